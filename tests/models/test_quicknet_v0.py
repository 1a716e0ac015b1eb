"""QuickNets of Larq Zoo 1.0.5 against published counts, and layer by layer against NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.layers import Options
from bnnjax.models import quicknet_v0, registry
from bnnjax.models.network import Architecture
from bnnjax.models.quicknet_v0 import QuickNetV0

BLOCKS = {
    "quicknet_v0": (2, 3, 4, 4),
    "quicknet_large_v0": (4, 4, 4, 4),
    "quicknet_xl_v0": (6, 8, 12, 6),
}
CHANNELS = (64, 128, 256, 512)
ENTRY = registry.find("quicknet_v0")
NAMES = pytest.mark.parametrize("name", BLOCKS)


def shapes_of(entry, *, frozen):
    architecture = Architecture.published(entry)
    shapes = architecture.frozen_shapes() if frozen else architecture.latent_shapes()
    return {path: leaf.shape for path, leaf in flatten_dict(shapes).items()}


def blocks_of(name):
    """(section, block, whether it is a transition) from input to output."""
    for section, count in enumerate(BLOCKS[name], start=1):
        for block in range(1, count + 1):
            yield section, block, section > 1 and block == 1


# --- sizes -----------------------------------------------------------------------------------


def weights_of(entry):
    """Keras counts all four numbers per channel of a batch norm."""
    return sum(int(np.prod(shape)) for shape in shapes_of(entry, frozen=False).values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("quicknet_v0", 10_518_528),
        # The file of v0.2.1; the published number is that of v0.1.0, see below.
        ("quicknet_large_v0", 11_837_696 - 8_960),
        # Published as Larq counts: two numbers for each of the norms' 8,512 channels.
        ("quicknet_xl_v0", 22_058_368 + 2 * 8_512),
    ],
)
def test_parameters_are_as_many_as_published(name, published):
    assert weights_of(registry.find(name)) == published


def test_exciting_all_sections_gives_the_published_number_of_parameters():
    entry = registry.find("quicknet_large_v0")

    def build(**settings):
        return dataclasses.replace(entry.build(**settings), excited=(1, 2, 3, 4))

    assert (
        weights_of(dataclasses.replace(entry, build=build)) == entry.card.parameters == 11_837_696
    )


def test_frozen_parameters_take_one_bit_each():
    sizes = {path: np.prod(shape) for path, shape in shapes_of(ENTRY, frozen=True).items()}
    words = sum(size for path, size in sizes.items() if path[-1] == "words")
    assert 32 * words == 9_990_144
    assert sum(sizes.values()) - words == 10_511_232 - 9_990_144  # in full precision
    # 3.179 MiB by Larq's summary.
    assert round(4 * sum(sizes.values()) / 2**20, 3) == 3.179


@NAMES
def test_every_layer_has_its_kernel(name):
    shapes = shapes_of(registry.find(name), frozen=False)
    kernels = {path[1]: shape for path, shape in shapes.items() if path[-1] == "kernel"}
    expected = {
        "stem_conv": (3, 3, 3, 8),
        "stem_depthwise": (3, 3, 8, 8),
        "dense": (512, 1000),
    }
    for section, block, transition in blocks_of(name):
        layer, width = f"section{section}_block{block}", CHANNELS[section - 1]
        before = width // 2 if transition else width
        if name == "quicknet_v0":  # whose transitions concatenate
            expected[f"{layer}_conv"] = (3, 3, before, before)
            continue
        expected[f"{layer}_conv"] = (3, 3, before, width)
        if transition:
            expected[f"{layer}_shortcut_conv"] = (1, 1, before, width)
        if section in (3, 4):
            expected[f"{layer}_squeeze"] = (before, before // 16)
            expected[f"{layer}_excite"] = (before // 16, width)
    assert kernels == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "height", "width", "sides"),
    [
        *[(n, 224, 224, [(112,) * 2, (56,) * 2, (28,) * 2, (14,) * 2, (7,) * 2]) for n in BLOCKS],
        ("quicknet_v0", 32, 29, [(16, 15), (8, 8), (4, 4), (2, 2), (1, 1)]),
        ("quicknet_large_v0", 61, 95, [(31, 48), (16, 24), (8, 12), (4, 6), (2, 3)]),
    ],
)
def test_taps_have_their_names_order_and_shapes(tap_shapes, name, height, width, sides):
    expected = {
        "stem_conv": (*sides[0], 8),
        "stem_depthwise": (*sides[1], 64),
        "stem": (*sides[1], 64),
    }
    for section, block, transition in blocks_of(name):
        channels, side = CHANNELS[section - 1], sides[section]
        concatenated = transition and name == "quicknet_v0"
        tap = f"section{section}_block{block}"
        expected[f"{tap}_conv"] = (*side, channels // 2 if concatenated else channels)
        expected[tap] = (*side, channels)
        if block == BLOCKS[name][section - 1]:
            expected[f"section{section}"] = (*side, channels)
    taps = tap_shapes(name, height, width)
    assert taps == expected
    assert list(taps) == list(expected)


def test_sides_are_multiples_of_32_or_up_to_3_less():
    sides = {32 * k - less for k in range(1, 70) for less in range(4)}
    assert {side for side in range(-40, 2209) if quicknet_v0.takes(side)} == sides


@pytest.mark.slow
def test_the_network_computes_exactly_the_sides_it_takes(taps_of):
    """Without the check of `Architecture.apply`, shapes would differ or no pixels would remain."""
    module = QuickNetV0(blocks=(1, 1, 1, 1))
    for side in (1, 2, 4, 5, 9, 13, 17, 24, 28, 29, 32, 33, 60, 61, 64, 65, 80, 96):
        try:
            computes = taps_of(module, (1, side, 32, 3))["section4"].size > 0
        except (TypeError, ValueError):
            computes = False
        assert computes == quicknet_v0.takes(side), side


@pytest.mark.parametrize("size", [(28, 32), (32, 33), (223, 220), (48, 48), (0, 32)])
def test_other_sizes_are_refused(quicknet, size):
    with pytest.raises(ValueError, match=rf"{size[0]}×{size[1]} px, which quicknet_v0 does not"):
        quicknet.apply(quicknet.variables, jnp.zeros((1, *size, 3)))


# --- values ----------------------------------------------------------------------------------


@pytest.fixture(params=["latent", "packed"])
def results(request, results_of):
    return results_of("quicknet_v0", request.param)


def halve(x, reduce):
    n, height, width, channels = x.shape
    return reduce(x.reshape(n, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


def expected_taps(results, layers, reduce=np.max, residual_scale=1):
    """Each tap is computed from those before it."""
    taps, concatenates = results.taps, results.network.entry.name == "quicknet_v0"
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    images = (results.images.astype(np.float64) - mean) / deviation
    yield "stem_conv", layers.conv("stem_conv", images, 2)
    yield "stem_depthwise", np.maximum(layers.depthwise("stem_depthwise", taps["stem_conv"]), 0)
    yield "stem", layers.norm("stem_norm", taps["stem_depthwise"])
    x = taps["stem"]
    for section, block, transition in blocks_of(results.network.entry.name):
        tap = f"section{section}_block{block}"
        yield f"{tap}_conv", layers.binary_conv(f"{tap}_conv", x, 2 if transition else 1)
        deep = layers.norm(f"{tap}_norm", np.maximum(taps[f"{tap}_conv"], 0))
        if section > 2 and not concatenates:
            hidden = np.maximum(layers.dense(f"{tap}_squeeze", x.mean((1, 2))), 0)
            deep *= 1 / (1 + np.exp(-layers.dense(f"{tap}_excite", hidden)))[:, None, None]
        if transition:
            x = halve(x, reduce)
            if not concatenates:
                x = layers.conv(f"{tap}_shortcut_conv", x)
            x = layers.norm(f"{tap}_shortcut_norm", x)
        added = deep + residual_scale * x
        yield tap, np.concatenate([x, added], 3) if transition and concatenates else added
        x = taps[tap]
        if block == BLOCKS[results.network.entry.name][section - 1]:
            yield f"section{section}", x


def expected_logits(results, layers):
    return layers.dense("dense", np.maximum(results.taps["section4"], 0).mean((1, 2)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("quicknet_v0", "latent"),
        ("quicknet_v0", "packed"),
        ("quicknet_large_v0", "packed"),
        ("quicknet_xl_v0", "dense"),
    ],
)
def test_each_tap_follows_from_those_before(
    results_of, latent, in_numpy, assert_follows, name, form
):
    """Computed from the latent weights for every form, so both forms have the same integers."""
    results, layers = results_of(name, form), in_numpy(latent(name))
    assert_follows(results, expected_taps(results, layers), expected_logits(results, layers))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quicknet_v0", "quicknet_large_v0"])
def test_average_pooling_changes_the_transitions_and_nothing_else(
    latent, small_images, run, in_numpy, assert_follows, name
):
    results = run(latent(name).with_options(pooling="avg"), small_images)
    layers = in_numpy(latent(name))
    taps = expected_taps(results, layers, reduce=np.mean)
    assert_follows(results, taps, expected_logits(results, layers))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quicknet_v0", "quicknet_large_v0"])
@pytest.mark.parametrize("scale", [0, 0.5])
def test_shortcuts_are_scaled_or_cut(
    latent, small_images, run, in_numpy, assert_follows, name, scale
):
    """With a scale of 0, every block is its convolution, ReLU and norm alone."""
    results = run(latent(name).with_options(residual_scale=scale), small_images)
    layers = in_numpy(latent(name))
    taps = expected_taps(results, layers, residual_scale=scale)
    assert_follows(results, taps, expected_logits(results, layers))


@pytest.mark.slow
def test_a_residual_scale_of_1_is_the_published_network_to_the_bit(results, run):
    again = run(results.network.with_options(residual_scale=1.0), results.images)
    np.testing.assert_array_equal(again.logits, results.logits)


@pytest.mark.slow
def test_pictures_of_a_batch_do_not_affect_each_other(results):
    other = results.images.copy()
    other[1] = other[1, ::-1]
    logits, taps = results.apply(other)
    for name, tap in results.taps.items():
        np.testing.assert_array_equal(taps[name][0], tap[0], err_msg=name)
        assert (taps[name][1] != tap[1]).any(), name
    np.testing.assert_array_equal(logits[0], results.logits[0])


@pytest.mark.slow
def test_training_as_published():
    """Clips of 1.25, a momentum of 0.9, and gradients everywhere else."""
    module = QuickNetV0(blocks=(1, 1), num_classes=5)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 16, 16, 3)).astype(np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    variables = jax.tree.map(lambda leaf: rng.uniform(-1.5, 1.5, leaf.shape).astype("f4"), shapes)

    @jax.jit
    def step(params):
        logits, after = module.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats", "taps"]
        )
        return logits.sum(), (after["taps"]["stem_depthwise"], after["batch_stats"])

    gradients, (normed, after) = jax.grad(step, has_aux=True)(variables["params"])
    for path, gradient in flatten_dict(gradients).items():
        assert np.isfinite(gradient).all(), path
        if path[0].startswith("section") and path[-1] == "kernel":
            size = abs(variables["params"][path[0]]["kernel"])
            assert not gradient[size > 1.25].any(), path
            # There is none where ReLU has silenced a channel.
            assert (gradient[(size > 1) & (size <= 1.25)] != 0).mean() > 0.5, path
        else:
            assert gradient.any(), path
    before = variables["batch_stats"]
    for path, value in flatten_dict(after).items():
        assert (value != flatten_dict(before)[path]).all(), path
    expected = 0.9 * before["stem_norm"]["mean"] + 0.1 * normed.mean((0, 1, 2))
    np.testing.assert_allclose(after["stem_norm"]["mean"], expected, rtol=1e-4, atol=1e-5)


def test_options_are_those_of_the_training():
    assert ENTRY.options == Options(pseudo_gradient="ste_sign", clip=1.25, pooling="max")
    assert QuickNetV0().options == ENTRY.options


def test_normalize_gives_mean_0_and_deviation_1():
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = jnp.asarray([mean, mean + deviation, mean - 2 * deviation], jnp.float32)
    np.testing.assert_allclose(
        quicknet_v0.normalize(images[None]), [[[0] * 3, [1] * 3, [-2] * 3]], atol=1e-5
    )
