"""Inception v1 against NumPy, and its counts against tables written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.models import inception, registry, summary
from bnnjax.models.network import Architecture

pytestmark = pytest.mark.slow

ENTRY = registry.find("inception_v1")
# Table 1 of the paper: #1×1, #3×3 reduce, #3×3, #5×5 reduce, #5×5, pool proj; input; side of
# the map at 224 px.
TABLE = {
    "3a": (64, 96, 128, 16, 32, 32, 192, 28),
    "3b": (128, 128, 192, 32, 96, 64, 256, 28),
    "4a": (192, 96, 208, 16, 48, 64, 480, 14),
    "4b": (160, 112, 224, 24, 64, 64, 512, 14),
    "4c": (128, 128, 256, 24, 64, 64, 512, 14),
    "4d": (112, 144, 288, 32, 64, 64, 512, 14),
    "4e": (256, 160, 320, 32, 128, 128, 528, 14),
    "5a": (256, 160, 320, 32, 128, 128, 832, 7),
    "5b": (384, 192, 384, 48, 128, 128, 832, 7),
}


def convolutions():
    """(Name in Caffe's definition, side, in, out, side of the result at 224 px) of each."""
    rows = [
        ("conv1/7x7_s2", 7, 3, 64, 112),
        ("conv2/3x3_reduce", 1, 64, 64, 56),
        ("conv2/3x3", 3, 64, 192, 56),
    ]
    for module, (one, reduce3, three, reduce5, five, projected, inputs, side) in TABLE.items():
        name = f"inception_{module}"
        rows += [
            (f"{name}/1x1", 1, inputs, one, side),
            (f"{name}/3x3_reduce", 1, inputs, reduce3, side),
            (f"{name}/3x3", 3, reduce3, three, side),
            (f"{name}/5x5_reduce", 1, inputs, reduce5, side),
            (f"{name}/5x5", 5, reduce5, five, side),
            (f"{name}/pool_proj", 1, inputs, projected, side),
        ]
    return rows


def architecture_of(**changes):
    return Architecture.published(ENTRY, **changes)


def test_parameters_are_the_published_ones():
    shapes = architecture_of().latent_shapes()["params"]
    found = {inception.keras_name(name): v["kernel"].shape for name, v in shapes.items()}
    expected = {
        name: (side, side, inputs, outputs) for name, side, inputs, outputs, _ in convolutions()
    }
    assert found == {**expected, "loss3/classifier": (1024, 1000)}
    # 6,998,552 is the count of Caffe's deployed bvlc_googlenet.
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 6_998_552 == ENTRY.card.parameters


def test_products_are_those_of_the_paper():
    found = summary.summarize(architecture_of())
    products = sum(k * k * i * o * side**2 for _, k, i, o, side in convolutions()) + 1024 * 1000
    assert found.macs == found.macs_of(32) == products
    assert round(found.macs / 1e9, 1) in (1.5, 1.6)  # "1.5 billion multiply-adds"
    assert found.parameters == ENTRY.card.parameters


def test_taps_at_224_px_have_the_papers_shapes():
    images = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    logits, taps = jax.eval_shape(
        architecture_of().apply, architecture_of().latent_shapes(), images
    )
    assert logits.shape == (1, 1000)
    expected = {"conv1": (112, 64), "conv2_reduce": (56, 64), "conv2": (56, 192)}
    for name, (one, _, three, _, five, projected, _, side) in TABLE.items():
        expected[f"inception_{name}"] = (side, one + three + five + projected)
    assert {name: (tap.shape[1], tap.shape[3]) for name, tap in taps.items()} == expected
    assert expected["inception_5b"] == (7, 1024)


# --- NumPy, with the paddings of Caffe ---------------------------------------------------------


def convolve(x, layer, *, stride=1):
    kernel, pad = layer["kernel"], layer["kernel"].shape[0] // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    y = np.tensordot(windows[:, ::stride, ::stride], kernel, ((4, 5, 3), (0, 1, 2)))
    return np.maximum(y + layer["bias"], 0)


def caffe_pool(x, reduce, *, stride, pad=0):
    """Caffe's 3×3 pool: the result's size is rounded up, windows are cut at the edge."""
    height, width = (-(-(n + 2 * pad - 3) // stride) + 1 for n in x.shape[1:3])
    y = np.empty((x.shape[0], height, width, x.shape[3]))
    for i, j in np.ndindex(height, width):
        top, left = i * stride - pad, j * stride - pad
        y[:, i, j] = reduce(x[:, max(top, 0) : top + 3, max(left, 0) : left + 3], (1, 2))
    return y


def response_norm(x):
    y = np.empty_like(x)
    for c in range(x.shape[3]):
        near = x[..., max(c - 2, 0) : c + 3]
        y[..., c] = x[..., c] * (1 + 1e-4 / 5 * (near**2).sum(3)) ** -0.75
    return y


def reference(x, params, reduce):
    layer = {name: {k: v.astype(np.float64) for k, v in p.items()} for name, p in params.items()}
    taps = {"conv1": convolve(x, layer["conv1_7x7_s2"], stride=2)}
    x = response_norm(caffe_pool(taps["conv1"], reduce, stride=2))
    taps["conv2_reduce"] = convolve(x, layer["conv2_3x3_reduce"])
    taps["conv2"] = x = convolve(taps["conv2_reduce"], layer["conv2_3x3"])
    x = response_norm(x)
    for name in TABLE:
        if name in ("3a", "4a", "5a"):
            x = caffe_pool(x, reduce, stride=2)
        of = {part: layer[f"inception_{name}_{part}"] for part in PARTS}
        branches = (
            convolve(x, of["1x1"]),
            convolve(convolve(x, of["3x3_reduce"]), of["3x3"]),
            convolve(convolve(x, of["5x5_reduce"]), of["5x5"]),
            convolve(caffe_pool(x, np.max, stride=1, pad=1), of["pool_proj"]),
        )
        taps[f"inception_{name}"] = x = np.concatenate(branches, 3)
    head = layer["loss3_classifier"]
    return x.mean((1, 2)) @ head["kernel"] + head["bias"], taps


PARTS = ("1x1", "3x3_reduce", "3x3", "5x5_reduce", "5x5", "pool_proj")


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(0)
    return {
        name: {
            "kernel": rng.normal(
                0, np.sqrt(2 / np.prod(layer["kernel"].shape[:-1])), layer["kernel"].shape
            ),
            "bias": rng.normal(0, 0.3, layer["bias"].shape),
        }
        for name, layer in architecture_of().latent_shapes()["params"].items()
    }


@pytest.mark.parametrize("size", [(64, 61), (79, 66)])  # pools meet even and odd sides
def test_forward_agrees_with_numpy(params, size):
    images = np.random.default_rng(1).uniform(size=(2, *size, 3)).astype(np.float32)
    variables = {"params": jax.tree.map(jnp.float32, params)}
    logits, taps = jax.jit(architecture_of().apply)(variables, images)
    normalized = 255 * images[..., ::-1].astype(np.float64) - (104, 117, 123)
    expected, of_taps = reference(normalized, params, np.max)
    assert list(of_taps) == list(architecture_of().taps)
    for name, value in of_taps.items():
        np.testing.assert_allclose(
            taps[name], value, rtol=1e-4, atol=2e-5 * value.max(), err_msg=name
        )
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=2e-5 * abs(expected).max())


def test_average_pools_replace_those_between_modules():
    x = np.abs(np.random.default_rng(0).normal(size=(1, 5, 7, 3))).astype(np.float32)
    options = ENTRY.options.__class__(pooling="avg")
    halved = inception.InceptionV1(None, options)._halve(jnp.asarray(x))
    np.testing.assert_allclose(halved, caffe_pool(x, np.mean, stride=2), rtol=1e-6)


@pytest.mark.parametrize("side", [31, 32, 33, 224])
def test_the_smallest_sizes_have_features(side):
    images = jax.ShapeDtypeStruct((1, side, 31, 3), jnp.float32)
    logits, taps = jax.eval_shape(
        architecture_of(num_classes=None).apply,
        architecture_of(num_classes=None).latent_shapes(),
        images,
    )
    assert logits is None
    assert min(taps["inception_5b"].shape) >= 1
    assert ENTRY.sizes.takes(side)
    assert not ENTRY.sizes.takes(30)
