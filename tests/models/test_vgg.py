"""VGG-16 and VGG-19 against Keras and NumPy, and their conventions."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.layers import Options
from bnnjax.models import registry, summary, vgg
from bnnjax.models.network import Architecture

KERAS = np.load(Path(__file__).parents[1] / "reference" / "vgg.npz")
DEPTHS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 1}
WIDTHS = {1: 64, 2: 128, 3: 256, 4: 512, 5: 512}
NAMES = [f"{block}_{index}" for block, depth in DEPTHS.items() for index in range(1, depth + 1)]


@pytest.fixture(scope="module")
def variables():
    rng = np.random.default_rng(0)
    params, channels = {}, 3
    for name in NAMES:
        width = WIDTHS[int(name[0])]
        kernel = rng.normal(0, (2 / (9 * channels)) ** 0.5, (3, 3, channels, width))
        params[f"conv{name}"] = {
            "kernel": kernel.astype(np.float32),
            "bias": rng.normal(0, 0.1, width).astype(np.float32),
        }
        channels = width
    return {"params": params}


def convolve(x, kernel, bias):
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return np.tensordot(windows, kernel.astype(np.float64), ((4, 5, 3), (0, 1, 2))) + bias


def pool(x, reduce):
    height, width = x.shape[1] // 2, x.shape[2] // 2
    x = x[:, : 2 * height, : 2 * width]
    return reduce(x.reshape(len(x), height, 2, width, 2, -1), axis=(2, 4))


def reference(images, params, reduce):
    x, taps = images.astype(np.float64), {}
    for name in NAMES:
        if name[2] == "1" and name[0] != "1":
            x = pool(x, reduce)
        layer = params[f"conv{name}"]
        x = taps[f"relu{name}"] = np.maximum(convolve(x, layer["kernel"], layer["bias"]), 0)
    return taps


@pytest.mark.slow
@pytest.mark.parametrize(("pooling", "reduce"), [("max", np.max), ("avg", np.mean)])
def test_forward_agrees_with_numpy(variables, pooling, reduce):
    images = np.random.default_rng(1).normal(0, 1, (2, 17, 20, 3)).astype(np.float32)
    module = vgg.VGG(vgg.TO_CONV5_1, options=Options(pooling=pooling))
    logits, state = module.apply(variables, images, mutable=["taps"])
    taps = state["taps"]
    expected = reference(images, variables["params"], reduce)
    assert logits is None
    assert list(taps) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(taps[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_parameters_are_the_published_ones():
    shapes = jax.eval_shape(
        vgg.VGG(vgg.TO_CONV5_1).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
    )
    kernels = {name: layer["kernel"].shape for name, layer in shapes["params"].items()}
    assert kernels == vgg.kernel_shapes(vgg.TO_CONV5_1)
    assert list(vgg.layer_names(vgg.TO_CONV5_1)) == [f"conv{name}" for name in NAMES]
    # Column E of the paper's table 1 up to conv5_1: 9·in·out weights and `out` biases per layer.
    widths = [WIDTHS[int(name[0])] for name in NAMES]
    expected = sum(9 * i * o + o for i, o in zip([3, *widths], widths, strict=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


def test_normalize_swaps_channels_and_subtracts_the_mean():
    red = jnp.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(vgg.normalize(red), [-103.939, -116.779, 255 - 123.68], rtol=1e-6)
    mean = jnp.array([123.68, 116.779, 103.939]) / 255
    np.testing.assert_allclose(vgg.normalize(mean[None, None, None]), 0, atol=1e-4)


def test_normalize_needs_three_channels():
    with pytest.raises(ValueError, match="three channels last"):
        vgg.normalize(jnp.zeros((3, 8, 8)))


@pytest.mark.parametrize("shape", [(16, 16, 3), (1, 3, 16, 16), (1, 15, 16, 3)])
def test_wrong_images_are_refused(variables, shape):
    with pytest.raises(ValueError, match="at least 16"):
        vgg.VGG(vgg.TO_CONV5_1).apply(variables, jnp.zeros(shape))


# --- the whole networks ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_convolutions_are_those_of_keras(name, draws):
    """The comparison starts from sRGB pictures, so it includes preprocessing."""
    entry = registry.find(name)
    architecture = Architecture(entry, entry.options, None)
    layers = KERAS[f"{name} layers"].tolist()
    shapes = architecture.latent_shapes()["params"]
    ours = list(shapes)
    assert [vgg.keras_name(mine) for mine in ours] == layers
    params = {
        mine: {
            "kernel": draws.float_kernel(name, theirs, shapes[mine]["kernel"].shape),
            "bias": draws.float_bias(name, theirs, shapes[mine]["bias"].shape),
        }
        for mine, theirs in zip(ours, layers, strict=True)
    }
    picture = draws.rng(name, "picture").uniform(size=(1, 32, 32, 3)).astype(np.float32)
    logits, taps = jax.jit(architecture.apply)({"params": params}, picture)
    assert logits is None
    for tap, layer in zip(architecture.taps, layers, strict=True):
        found = np.asarray(taps[tap]).reshape(-1)
        expected = KERAS[f"{name} {layer}"]
        found = found[draws.positions(layer, found.size, 400)]
        np.testing.assert_allclose(found, expected, atol=2e-5 * expected.max(), err_msg=layer)
        assert 0 < np.mean(expected > 0) < 1  # ReLU has silenced some values, but not all


@pytest.mark.parametrize(
    ("name", "published"), [("vgg16", 138_357_544), ("vgg19", 143_667_240), ("vgg19_conv5_1", None)]
)
def test_parameters_with_the_classifier_are_keras_and_the_published_ones(name, published):
    entry = registry.find(name)
    found = summary.summarize(Architecture.published(entry)).parameters
    if published:
        assert found == published == KERAS[f"{name} parameters"] == entry.card.parameters
    else:
        assert found == 12_944_960  # see test_parameters_are_the_published_ones


NARROW = ((4, 1), (2, 2), (3, 1), (5, 1), (6, 1))


@pytest.mark.slow
def test_the_classifier_is_three_products():
    """Of a narrow network, at 224 px, where the 7×7 cells are left as they are."""
    module = vgg.VGG(NARROW, num_classes=3)
    images = np.random.default_rng(0).normal(0, 50, (2, 224, 224, 3)).astype(np.float32)
    variables = jax.jit(module.init)(jax.random.key(0), images)
    logits, state = jax.jit(partial(module.apply, mutable=["taps"]))(variables, images)
    taps = state["taps"]
    params = jax.tree.map(np.asarray, variables["params"])
    x = pool(np.asarray(taps["relu5_1"]), np.max).reshape(2, -1)
    assert x.shape == (2, 7 * 7 * 6)
    assert params["fc1"]["kernel"].shape == (7 * 7 * 6, 4096)
    for name in ("fc1", "fc2", "predictions"):
        x = x @ params[name]["kernel"].astype(np.float64) + params[name]["bias"]
        x = x if name == "predictions" else np.maximum(x, 0)
    np.testing.assert_allclose(logits, x, rtol=1e-4, atol=1e-4 * abs(x).max())
    assert x.std() > 1e-3


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 7), (14, 5), (10, 21)])
def test_cells_are_those_of_torchs_adaptive_pooling(height, width):
    x = np.random.default_rng(0).normal(size=(1, height, width, 2)).astype(np.float32)
    found = np.asarray(vgg.to_cells(jnp.asarray(x)))
    for i, j in np.ndindex(7, 7):
        top, bottom = i * height // 7, -(-(i + 1) * height // 7)
        left, right = j * width // 7, -(-(j + 1) * width // 7)
        expected = x[0, top:bottom, left:right].mean((0, 1))
        np.testing.assert_allclose(found[0, i, j], expected, rtol=1e-5, atol=1e-6)


def test_a_picture_of_any_size_has_logits():
    entry = registry.find("vgg16")
    architecture = Architecture.published(entry)
    images = jax.ShapeDtypeStruct((1, 64, 33, 3), jnp.float32)
    logits, taps = jax.eval_shape(architecture.apply, architecture.latent_shapes(), images)
    assert logits.shape == (1, 1000)
    assert taps["relu5_3"].shape == (1, 4, 2, 512)


def test_the_classifier_needs_larger_pictures():
    entry = registry.find("vgg16")
    architecture = Architecture.published(entry)
    small = jax.ShapeDtypeStruct((1, 31, 32, 3), jnp.float32)
    with pytest.raises(ValueError, match="31×32 px, which vgg16 does not take"):
        jax.eval_shape(architecture.apply, architecture.latent_shapes(), small)
    with pytest.raises(ValueError, match="at least 32"):
        vgg.VGG(NARROW, num_classes=3).apply({}, jnp.zeros((1, 31, 32, 3)))
