"""QuickNet v0.2 against published counts, and layer by layer against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.layers import Options
from bnnjax.models import quicknet_v0, registry
from bnnjax.models.network import Architecture
from bnnjax.models.quicknet_v0 import QuickNetV0

ENTRY = registry.find("quicknet_v0")
BLOCKS = (2, 3, 4, 4)
CHANNELS = (64, 128, 256, 512)


def shapes_of(*, frozen):
    shapes = Architecture(ENTRY, frozen, ENTRY.options).variable_shapes()
    return {path: leaf.shape for path, leaf in flatten_dict(shapes).items()}


def taps_of(height, width):
    """Names, in order, and shapes of the taps of one picture, computed by nothing but tracing."""
    names = []

    def apply(variables, images):
        logits, taps = architecture.apply(variables, images)
        names.extend(taps)  # in the network's order: a pytree loses it
        return logits, taps

    architecture = Architecture(ENTRY, True, ENTRY.options)
    images = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
    logits, taps = jax.eval_shape(apply, architecture.variable_shapes(), images)
    assert logits.shape == (1, 1000)
    return {name: taps[name].shape[1:] for name in names}


# --- sizes -----------------------------------------------------------------------------------


def test_parameters_are_as_many_as_published():
    """Keras counts 4 numbers a channel of a batch norm; Larq the 2 that remain in inference."""
    latent = {path: np.prod(shape) for path, shape in shapes_of(frozen=False).items()}
    norms = sum(size for path, size in latent.items() if path[-1] in ("scale", "bias", "mean"))
    norms -= latent["params", "dense", "bias"]
    norms += sum(size for path, size in latent.items() if path[-1] == "var")
    binary = sum(
        size
        for path, size in latent.items()
        if path[1].startswith("section") and path[-1] == "kernel"
    )
    assert sum(latent.values()) == 10_518_528
    assert sum(latent.values()) - norms // 2 == 10_511_232
    assert binary == 9_990_144


def test_frozen_parameters_take_a_bit_each():
    frozen = {path: np.prod(shape) for path, shape in shapes_of(frozen=True).items()}
    words = sum(size for path, size in frozen.items() if path[-1] == "words")
    assert 32 * words == 9_990_144
    assert sum(frozen.values()) - words == 10_511_232 - 9_990_144  # in full precision
    # 3.179 MiB by Larq's summary.
    assert round(4 * sum(frozen.values()) / 2**20, 3) == 3.179


def test_every_layer_has_its_kernel():
    latent = shapes_of(frozen=False)
    kernels = {path[1]: shape for path, shape in latent.items() if path[-1] == "kernel"}
    expected = {
        "stem_conv": (3, 3, 3, 8),
        "stem_depthwise": (3, 3, 1, 64),
        "dense": (512, 1000),
    }
    for section, (count, channels) in enumerate(zip(BLOCKS, CHANNELS, strict=True), start=1):
        for block in range(1, count + 1):
            width = channels // 2 if section > 1 and block == 1 else channels
            expected[f"section{section}_block{block}_conv"] = (3, 3, width, width)
    assert kernels == expected


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [
        (224, 224, [(112, 112), (56, 56), (28, 28), (14, 14), (7, 7)]),
        (32, 29, [(16, 15), (8, 8), (4, 4), (2, 2), (1, 1)]),
        (61, 95, [(31, 48), (16, 24), (8, 12), (4, 6), (2, 3)]),
    ],
)
def test_taps_have_their_names_order_and_shapes(height, width, sides):
    expected = {
        "stem_conv": (*sides[0], 8),
        "stem_depthwise": (*sides[1], 64),
        "stem": (*sides[1], 64),
    }
    rows = enumerate(zip(BLOCKS, CHANNELS, sides[1:], strict=True), start=1)
    for section, (count, channels, side) in rows:
        for block in range(1, count + 1):
            width_of_conv = channels // 2 if section > 1 and block == 1 else channels
            expected[f"section{section}_block{block}_conv"] = (*side, width_of_conv)
            expected[f"section{section}_block{block}"] = (*side, channels)
        expected[f"section{section}"] = (*side, channels)
    taps = taps_of(height, width)
    assert taps == expected
    assert list(taps) == list(expected) == list(ENTRY.taps)


def test_sides_are_multiples_of_32_or_up_to_3_less():
    sides = {32 * k - less for k in range(1, 70) for less in range(4)}
    assert {side for side in range(-40, 2209) if quicknet_v0.takes(side)} == sides


def test_the_network_can_compute_just_the_sides_it_takes():
    """Without the check of its caller, other sides give shapes that do not fit, or no pixels."""
    module = QuickNetV0(blocks=(1, 1, 1, 1))
    for side in (1, 2, 4, 5, 9, 13, 17, 24, 28, 29, 32, 33, 60, 61, 64, 65, 80, 96):
        image = jax.ShapeDtypeStruct((1, side, 32, 3), jnp.float32)
        try:
            (_, taps), _ = jax.eval_shape(module.init_with_output, jax.random.key(0), image)
            computes = taps["section4"].size > 0
        except (TypeError, ValueError):
            computes = False
        assert computes == quicknet_v0.takes(side), side


@pytest.mark.parametrize("size", [(28, 32), (32, 33), (223, 220), (48, 48), (0, 32)])
def test_other_sizes_are_refused(quicknet, size):
    with pytest.raises(ValueError, match=rf"{size[0]}×{size[1]} px, which quicknet_v0 cannot"):
        quicknet.apply(quicknet.variables, jnp.zeros((1, *size, 3)))


# --- values ----------------------------------------------------------------------------------


@pytest.fixture(params=["latent", "frozen"])
def results(request):
    return request.getfixturevalue(f"{request.param}_results")


def convolve(x, kernel, stride, pad_value=0, multiply="nhwcij,ijco->nhwo"):
    """SAME as TensorFlow splits it, in float64."""
    pads = [(0, 0)]
    for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True):
        total = max((-(-n // stride) - 1) * stride + k - n, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x.astype(np.float64), [*pads, (0, 0)], constant_values=pad_value)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum(multiply, windows[:, ::stride, ::stride], kernel, optimize=True)


def halve(x, reduce):
    n, height, width, channels = x.shape
    return reduce(x.reshape(n, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


def sign(x):
    return np.where(x >= 0, 1.0, -1.0)


class Reference:
    """What each tap must be, given the taps before it *as the network computed them*.

    Compared so, layer by layer, a rounding of a float that flips a sign cannot add up, and the
    whole numbers of the binary convolutions must agree exactly.
    """

    def __init__(self, results, reduce=np.max):
        self.variables = jax.tree.map(np.asarray, results.network.variables)
        self.params = self.variables["params"]
        self.results, self.taps, self.reduce = results, results.taps, reduce

    def norm(self, name, x):
        layer = self.params[name]
        if "multiplier" in layer:
            return x * layer["multiplier"].astype(np.float64) + layer["bias"]
        statistics = self.variables["batch_stats"][name]
        deviation = np.sqrt(statistics["var"].astype(np.float64) + 1e-5)
        return (x - statistics["mean"]) / deviation * layer["scale"] + layer["bias"]

    def kernel(self, name):
        layer = self.params[name]
        if "kernel" in layer:
            return sign(layer["kernel"])
        bits = np.unpackbits(layer["words"].view(np.uint8), bitorder="little")
        kh, kw, words, features = layer["words"].shape
        return np.swapaxes(2.0 * bits.reshape(kh, kw, words, features, 32) - 1, 3, 4).reshape(
            kh, kw, words * 32, features
        )

    def binary_conv(self, before, name, stride):
        return convolve(sign(before), self.kernel(name), stride, pad_value=1)

    def stem(self):
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        images = (self.results.images.astype(np.float64) - mean) / deviation
        yield "stem_conv", convolve(images, self.params["stem_conv"]["kernel"], 2)
        depthwise = self.params["stem_depthwise"]["kernel"].reshape(3, 3, 8, 8)
        y = convolve(self.taps["stem_conv"], depthwise, 2, multiply="nhwcij,ijcm->nhwcm")
        yield "stem_depthwise", np.maximum(y.reshape(*y.shape[:3], 64), 0)
        yield "stem", self.norm("stem_norm", self.taps["stem_depthwise"])

    def sections(self):
        before = self.taps["stem"]
        for section, count in enumerate(BLOCKS, start=1):
            for block in range(1, count + 1):
                name = f"section{section}_block{block}"
                transition = section > 1 and block == 1
                yield (
                    f"{name}_conv",
                    self.binary_conv(before, f"{name}_conv", 2 if transition else 1),
                )
                deep = self.norm(f"{name}_norm", np.maximum(self.taps[f"{name}_conv"], 0))
                if transition:
                    pooled = halve(before, self.reduce)
                    shortcut = self.norm(f"{name}_shortcut_norm", pooled)
                    yield name, np.concatenate([shortcut, deep + shortcut], axis=3)
                else:
                    yield name, deep + before
                before = self.taps[name]
            yield f"section{section}", before

    def logits(self):
        pooled = np.maximum(self.taps["section4"].astype(np.float64), 0).mean((1, 2))
        return pooled @ self.params["dense"]["kernel"] + self.params["dense"]["bias"]


def assert_is_reference(results, reference):
    expected = dict([*reference.stem(), *reference.sections()])
    assert expected.keys() == results.taps.keys()
    for name, value in expected.items():
        tap = results.taps[name]
        if name.startswith("section") and name.endswith("_conv"):
            np.testing.assert_array_equal(tap, value, err_msg=name)
            assert tap.std() > 1, name
        else:
            atol = 1e-5 * abs(value).max()
            np.testing.assert_allclose(tap, value, rtol=1e-5, atol=atol, err_msg=name)
    logits = reference.logits()
    np.testing.assert_allclose(results.logits, logits, rtol=1e-5, atol=1e-5 * abs(logits).max())


def test_each_tap_follows_from_those_before(results):
    assert_is_reference(results, Reference(results))


def test_average_pooling_changes_the_transitions_and_nothing_else(
    latent_quicknet, small_images, run
):
    results = run(latent_quicknet.with_options(pooling="avg"), small_images)
    assert_is_reference(results, Reference(results, reduce=np.mean))


def test_pictures_of_a_batch_do_not_meet(results):
    other = results.images.copy()
    other[1] = other[1, ::-1]
    logits, taps = results.apply(other)
    for name, tap in results.taps.items():
        np.testing.assert_array_equal(taps[name][0], tap[0], err_msg=name)
        assert (taps[name][1] != tap[1]).any(), name
    np.testing.assert_array_equal(logits[0], results.logits[0])


def test_training_as_published():
    """Clips of 1.25, a momentum of 0.9, and gradients everywhere else."""
    module = QuickNetV0(blocks=(1, 1), classes=5)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(2, 16, 16, 3)).astype(np.float32)
    shapes = jax.eval_shape(module.init, jax.random.key(0), images)
    variables = jax.tree.map(lambda leaf: rng.uniform(-1.5, 1.5, leaf.shape).astype("f4"), shapes)

    @jax.jit
    def step(params):
        (logits, taps), after = module.apply(
            {**variables, "params": params}, images, train=True, mutable=["batch_stats"]
        )
        return logits.sum(), (taps["stem_depthwise"], after["batch_stats"])

    gradients, (normed, after) = jax.grad(step, has_aux=True)(variables["params"])
    for path, gradient in flatten_dict(gradients).items():
        assert np.isfinite(gradient).all(), path
        if path[0].startswith("section") and path[-1] == "kernel":
            size = abs(variables["params"][path[0]]["kernel"])
            assert not gradient[size > 1.25].any(), path
            # All but where a channel is dead behind its ReLU.
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
