"""QuickNets of Larq Zoo 2.x against published shapes, and layer by layer against NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.layers import Options
from bnnjax.models import quicknet, registry
from bnnjax.models.network import Architecture
from bnnjax.models.quicknet import QuickNet

FILTERS = {
    "quicknet_small": (32, 64, 256, 512),
    "quicknet": (64, 128, 256, 512),
    "quicknet_large": (64, 128, 256, 512),
}
BLOCKS = {
    "quicknet_small": (4, 4, 4, 4),
    "quicknet": (4, 4, 4, 4),
    "quicknet_large": (6, 8, 12, 6),
}
ENTRY = registry.find("quicknet")
NAMES = pytest.mark.parametrize("name", FILTERS)


# --- sizes -----------------------------------------------------------------------------------


@pytest.mark.slow
@NAMES
@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [
        (224, 224, [(112, 112), (56, 56), (28, 28), (14, 14), (7, 7)]),
        (61, 45, [(31, 23), (16, 12), (8, 6), (4, 3), (2, 1)]),
    ],
)
def test_taps_have_their_names_order_and_shapes(tap_shapes, name, height, width, sides):
    filters = FILTERS[name]
    expected = {
        "stem_conv": (*sides[0], filters[0] // 4),
        "stem_depthwise": (*sides[1], filters[0] // 4),
        "stem": (*sides[1], filters[0]),
    }
    rows = enumerate(zip(BLOCKS[name], filters, sides[1:], strict=True), start=1)
    for section, (count, channels, side) in rows:
        if section > 1:
            expected[f"section{section}_transition"] = (*side, channels)
        for block in range(1, count + 1):
            expected[f"section{section}_block{block}_conv"] = (*side, channels)
            expected[f"section{section}_block{block}"] = (*side, channels)
        expected[f"section{section}"] = (*side, channels)
    taps = tap_shapes(name, height, width)
    assert taps == expected
    assert list(taps) == list(expected)


@pytest.mark.slow
def test_the_network_computes_exactly_the_sides_it_takes(taps_of):
    """Without the check of `Architecture.apply`, a map would be smaller than a pool's window."""
    module = QuickNet((4, 8, 8, 8), (1, 1, 1, 1))
    for side in (1, 7, 13, 14, *range(25, 34), 61, 97, 225):
        try:
            computes = taps_of(module, (1, side, 32, 3))["section4"].size > 0
        except (TypeError, ValueError):
            computes = False
        assert computes == quicknet.takes(side) == (side >= 29), side


def test_other_sizes_are_refused():
    architecture = Architecture.published(ENTRY)
    for size in ((28, 32), (32, 28), (0, 64)):
        with pytest.raises(ValueError, match=rf"{size[0]}×{size[1]} px, which quicknet does not"):
            architecture.apply({}, jnp.zeros((1, *size, 3)))


# --- values ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_images():
    """Sides that are odd at every other halving: 61, 31, 16, 15 … and 45, 23, 12, 11 …"""
    return np.random.default_rng(1).uniform(size=(2, 61, 45, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def results(latent, frozen, small_images, run):
    """A function (name, "latent", or the backend of the frozen form) → the network's results for
    the pictures with these options."""

    @functools.cache
    def of(name, form, **options):
        network = latent(name) if form == "latent" else frozen(name).with_options(backend=form)
        return run(network.with_options(**options), small_images)

    return of


def windows_of_four(x):
    return np.stack([x[:, :-1, :-1], x[:, 1:, :-1], x[:, :-1, 1:], x[:, 1:, 1:]])


def expected_taps(results, layers, reduce=np.max):
    """Each tap is computed from those before it."""
    taps, name = results.taps, results.network.entry.name
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images = (results.images.astype(np.float64) - mean) / deviation
    x = layers.norm("stem_conv_norm", layers.conv("stem_conv", images, 2), epsilon=1e-3)
    yield "stem_conv", np.maximum(x, 0)
    x = layers.depthwise("stem_depthwise", taps["stem_conv"])
    yield "stem_depthwise", layers.norm("stem_depthwise_norm", x, epsilon=1e-3)
    x = layers.conv("stem_pointwise", taps["stem_depthwise"])
    yield "stem", layers.norm("stem_norm", x, epsilon=1e-3)
    x = taps["stem"]
    for section, count in enumerate(BLOCKS[name], start=1):
        if section > 1:
            tap = f"section{section}_transition"
            pooled = reduce(windows_of_four(np.maximum(x, 0)), axis=0)
            x = layers.conv(f"{tap}_conv", layers.depthwise(f"{tap}_blur", pooled))
            yield tap, layers.norm(f"{tap}_norm", x)
            x = taps[tap]
        for block in range(1, count + 1):
            tap = f"section{section}_block{block}"
            yield f"{tap}_conv", layers.binary_conv(f"{tap}_conv", x)
            yield tap, layers.norm(f"{tap}_norm", np.maximum(taps[f"{tap}_conv"], 0)) + x
            x = taps[tap]
        yield f"section{section}", x


def expected_logits(results, layers):
    return layers.dense("dense", np.maximum(results.taps["section4"], 0).mean((1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("quicknet", "latent"),
        ("quicknet", "packed"),
        ("quicknet_large", "dense"),
    ],
)
def test_each_tap_follows_from_those_before(results, latent, in_numpy, assert_follows, name, form):
    """Computed from the latent weights for every form, so both forms have the same integers."""
    found, layers = results(name, form), in_numpy(latent(name))
    assert_follows(found, expected_taps(found, layers), expected_logits(found, layers))


@pytest.mark.slow
def test_average_pooling_changes_the_transitions_and_nothing_else(
    results, latent, in_numpy, assert_follows
):
    found, layers = results("quicknet", "latent", pooling="avg"), in_numpy(latent("quicknet"))
    taps = expected_taps(found, layers, reduce=np.mean)
    assert_follows(found, taps, expected_logits(found, layers))


@pytest.mark.slow
def test_the_residual_stream_is_real_valued_and_signed(results):
    """Unlike the rectified features that style transfer usually sees."""
    taps = results("quicknet", "packed").taps
    for name, tap in taps.items():
        if name.endswith("_conv") and name != "stem_conv":
            np.testing.assert_array_equal(tap, tap.round(), err_msg=name)
        elif name != "stem_conv":
            assert (tap != tap.round()).mean() > 0.9, name
            assert 0.1 < (tap < 0).mean() < 0.9, name
            assert (tap.mean((0, 1, 2)) < 0).any(), name


@pytest.mark.slow
def test_without_classes_there_are_taps_but_no_logits(results):
    found = results("quicknet", "packed")
    headless = Architecture(ENTRY, found.network.architecture.options, num_classes=None)
    shapes = headless.frozen_shapes()["params"]
    params = found.network.variables["params"]
    assert params.keys() - shapes.keys() == {"dense"}
    without = {"params": {name: params[name] for name in shapes}}
    logits, taps = jax.jit(headless.apply)(without, found.images)
    assert logits is None
    assert taps.keys() == found.taps.keys()
    np.testing.assert_array_equal(taps["section1_block1_conv"], found.taps["section1_block1_conv"])


# --- training --------------------------------------------------------------------------------


@pytest.mark.slow
def test_training_as_published():
    """Clips are 1.25, momenta 0.9 (0.99 in the stem). Everything but the blur gets gradients."""
    module = QuickNet((8, 16), (1, 1), num_classes=5)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 29, 32, 3)).astype(np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    shapes, clips = {k: shapes[k] for k in ("params", "batch_stats")}, shapes["weight_clip"]
    variables = jax.tree.map(lambda leaf: rng.uniform(-1.5, 1.5, leaf.shape).astype("f4"), shapes)
    assert {path[0] for path in flatten_dict(clips)} == {
        "section1_block1_conv",
        "section2_block1_conv",
    }

    @jax.jit
    def step(params):
        logits, after = module.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats", "taps"]
        )
        return logits.sum(), (after["taps"]["section1_block1_conv"], after["batch_stats"])

    gradients, (sums, after) = jax.grad(step, has_aux=True)(variables["params"])
    for path, gradient in flatten_dict(gradients).items():
        if path[0].endswith("_blur"):
            assert not gradient.any(), path
            continue
        assert np.isfinite(gradient).all(), path
        assert gradient.any(), path
        if path[0].startswith("section") and path[0].endswith("block1_conv"):
            size = abs(variables["params"][path[0]]["kernel"])
            assert not gradient[size > 1.25].any(), path
            assert gradient[(size > 1) & (size <= 1.25)].any(), path
    before = variables["batch_stats"]
    mean = np.maximum(sums, 0).mean((0, 1, 2))
    moved = after["section1_block1_norm"]["mean"] - before["section1_block1_norm"]["mean"]
    expected = 0.1 * (mean - before["section1_block1_norm"]["mean"])
    np.testing.assert_allclose(moved, expected, rtol=1e-4, atol=1e-5)


def test_a_new_network_blurs_by_binomials():
    def blur(key):
        variables = QuickNet((4, 8), (1, 1)).init(key, jnp.zeros((1, 16, 16, 3)))
        return variables["params"]["section2_transition_blur"]["kernel"]

    kernel = jax.jit(blur)(jax.random.key(0))  # which omits everything else
    binomial = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    np.testing.assert_array_equal(kernel, np.tile(binomial[..., None, None], (1, 1, 4, 1)))


def test_options_are_those_of_the_training():
    for name in FILTERS:
        published = Options(pseudo_gradient="ste_sign", clip=1.25, pooling="max")
        assert registry.find(name).options == published
    assert QuickNet((8,), (1,)).options == published
