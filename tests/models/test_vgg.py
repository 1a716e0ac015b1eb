"""VGG-19 against a convolution written with NumPy, and its conventions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.models import vgg

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


@pytest.mark.parametrize(("pooling", "reduce"), [("max", np.max), ("avg", np.mean)])
def test_forward_agrees_with_numpy(variables, pooling, reduce):
    images = np.random.default_rng(1).normal(0, 1, (2, 17, 20, 3)).astype(np.float32)
    logits, taps = vgg.VGG19(pooling=pooling).apply(variables, images)
    expected = reference(images, variables["params"], reduce)
    assert logits is None
    assert list(taps) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(taps[name], value, rtol=1e-3, atol=1e-4, err_msg=name)


def test_parameters_are_the_published_ones():
    shapes = jax.eval_shape(vgg.VGG19().init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    kernels = {name: layer["kernel"].shape for name, layer in shapes["params"].items()}
    assert kernels == vgg.kernel_shapes()
    assert list(vgg.layer_names()) == [f"conv{name}" for name in NAMES]
    # Column E of the paper's table 1 up to conv5_1: 9·in·out weights and `out` biases a layer.
    widths = [WIDTHS[int(name[0])] for name in NAMES]
    expected = sum(9 * i * o + o for i, o in zip([3, *widths], widths, strict=False))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == expected


def test_normalize_swaps_channels_and_subtracts_the_mean():
    red = jnp.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(vgg.normalize(red), [-103.939, -116.779, 255 - 123.68], rtol=1e-6)
    mean = jnp.array([123.68, 116.779, 103.939]) / 255
    np.testing.assert_allclose(vgg.normalize(mean[None, None, None]), 0, atol=1e-4)


def test_normalize_wants_three_channels():
    with pytest.raises(ValueError, match="three channels last"):
        vgg.normalize(jnp.zeros((3, 8, 8)))


@pytest.mark.parametrize("shape", [(16, 16, 3), (1, 3, 16, 16), (1, 15, 16, 3)])
def test_wrong_images_are_refused(variables, shape):
    with pytest.raises(ValueError, match="at least 16"):
        vgg.VGG19().apply(variables, jnp.zeros(shape))


def test_unknown_pooling_is_refused(variables):
    with pytest.raises(ValueError, match=r"'mean'; need one of \['avg', 'max'\]"):
        vgg.VGG19(pooling="mean").apply(variables, jnp.zeros((1, 16, 16, 3)))
