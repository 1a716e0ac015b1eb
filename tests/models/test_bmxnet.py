"""BMXNet's ResNet-18: every tap against NumPy, each computed from the tap before it."""

import functools

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models import registry
from bnnjax.models.forms import freeze
from bnnjax.models.network import Architecture, Network
from bnnjax.port import load

REAL = {
    "bmxnet_resnet18": "bmxnet_resnet18-64bit-0040.params",
    "bmxnet_resnet18_float_stage1": "bmxnet_resnet18-64bit-1st-stage-fullprecision-0038.params",
}
EPSILON = 2e-5  # in BMXNet's graphs


@functools.cache
def random_network(name):
    """Random latent weights; every eighth channel of a norm is 0 everywhere, where signs are +1."""
    architecture = Architecture.published(registry.find(name))
    rng, variables = np.random.default_rng(0), {}
    for path, leaf in flatten_dict(architecture.latent_shapes()).items():
        value = rng.normal(size=leaf.shape)
        if path[-1] == "kernel":
            value *= np.prod(leaf.shape[:-1]) ** -0.5
        elif path[-1] == "var":
            value = rng.uniform(50, 200, leaf.shape)
        elif path[1] != "input_norm":
            value[::8] = 0
        if path[-1] == "mean" and path[1].startswith("section"):
            value += 300  # about half of the products
        variables[path] = value.astype(np.float32)
    return Network(architecture, unflatten_dict(variables), {"source": "random"})


@pytest.fixture(scope="module", params=[*REAL, *(f"real {name}" for name in REAL)])
def checked(request):
    """A network, its latent arrays by (layer, name), pictures, and its logits and taps for them."""
    name = request.param.removeprefix("real ")
    if request.param == name:
        latent = random_network(name)
        network = freeze(latent)
    else:
        path = request.getfixturevalue("data_dir") / "weights" / REAL[name]
        if not path.is_file():
            pytest.skip(f"no {path}; set BNNJAX_DATA")
        network, latent = load.load_model(path), load.port_file(path, model=name, frozen=False)
    arrays = {path[1:]: np.asarray(a) for path, a in flatten_dict(latent.variables).items()}
    pictures = np.random.default_rng(1).uniform(size=(2, 70, 64, 3)).astype(np.float32)
    logits, taps = network(pictures)
    taps = {name: np.asarray(tap) for name, tap in taps.items()}
    return network, arrays, pictures, np.asarray(logits), taps


def normalized(x, arrays, name, *, scaled=True):
    """Batch norm as in its definition, in float64."""
    scale = arrays[name, "scale"] if scaled else 1.0
    x = (x - np.float64(arrays[name, "mean"])) / np.sqrt(arrays[name, "var"] + EPSILON)
    return x * scale + arrays[name, "bias"]


def convolved(x, kernel, stride):
    """A convolution padded as in MXNet, with half the kernel's size on all four sides."""
    side = kernel.shape[0]
    x = np.pad(x, ((0, 0), *[(side // 2,) * 2] * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), axis=(1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows[:, ::stride, ::stride], kernel, optimize=True)


def counted(x, kernel, stride):
    """How many products of signs are +1: integers. Padding is 0 before the sign, so +1."""
    side = kernel.shape[0]
    x = np.pad(x, ((0, 0), *[(side // 2,) * 2] * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x >= 0, (side, side), axis=(1, 2))
    windows = windows[:, ::stride, ::stride].transpose(0, 1, 2, 4, 5, 3)
    signs = 2 * windows.reshape(*windows.shape[:3], -1).astype(np.int64) - 1
    weights = np.where(kernel.reshape(-1, kernel.shape[-1]) >= 0, 1, -1).astype(np.int64)
    twice = len(weights) + signs @ weights
    assert not (twice % 2).any()
    return twice // 2


def blocks(network):
    """(block, layers of convolutions → stride, whether it is binary) of all blocks."""
    for section in range(1, 5):
        for block in (1, 2):
            stride = 2 if block == 1 and section > 1 else 1
            binary = section > ("float" in network.name)
            yield f"section{section}_block{block}", stride, block == 1, binary


@pytest.mark.slow
def test_counts_of_binary_convolutions_equal_numpy_integers(checked):
    network, arrays, _, _, taps = checked
    compared = 0
    for block, stride, is_first, binary in blocks(network):
        if not binary:
            continue
        x = taps[f"{block}_norm"]
        inputs = {"conv1": (x, stride), "conv2": (taps[f"{block}_conv1_norm"], 1)}
        inputs |= {"shortcut_conv": (x, stride)} if is_first else {}
        for layer, (before, step) in inputs.items():
            name = f"{block}_{layer}"
            expected = counted(before, arrays[name, "kernel"], step)
            np.testing.assert_array_equal(taps[name], expected, err_msg=name)
            compared += 1
    assert compared == (20 if network.name == "bmxnet_resnet18" else 15)


@pytest.mark.slow
def test_zeros_occur_and_padding_counts(checked):
    network, arrays, _, _, taps = checked
    if network.provenance["source"] == "random":
        assert (taps["section2_block2_norm"][..., ::8] == 0).all()
    corner = taps["section3_block2_norm"][:, :2, :2]
    kernel = arrays["section3_block2_conv1", "kernel"]
    inside = counted(corner, kernel, 1)[:, 0, 0]
    np.testing.assert_array_equal(taps["section3_block2_conv1"][:, 0, 0], inside)
    elsewhere = np.where(kernel >= 0, 1, 0).sum((0, 1, 2))  # were all inputs +1
    assert (taps["section3_block2_conv1"][:, 0, 0] != elsewhere).any()


def test_the_stem_agrees_with_numpy(checked):
    _, arrays, pictures, _, taps = checked
    x = 255.0 * np.float64(pictures) - (123.68, 116.779, 103.939)
    x = convolved(
        normalized(x, arrays, "input_norm", scaled=False), arrays["stem_conv", "kernel"], 2
    )
    x = np.maximum(normalized(x, arrays, "stem_norm"), 0)
    np.testing.assert_allclose(taps["stem_conv"], x, rtol=1e-4, atol=1e-4)
    padded = np.pad(taps["stem_conv"], ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    np.testing.assert_array_equal(taps["stem"], windows[:, ::2, ::2].max((4, 5)))


def test_streams_and_float_sections_agree_with_numpy(checked):
    network, arrays, _, _, taps = checked
    stream = taps["stem"]
    for block, stride, is_first, binary in blocks(network):
        x = normalized(stream, arrays, f"{block}_norm")
        scale = np.abs(x).max()
        np.testing.assert_allclose(taps[f"{block}_norm"], x, rtol=1e-4, atol=1e-5 * scale)
        x = normalized(taps[f"{block}_conv1"], arrays, f"{block}_conv1_norm")
        scale = np.abs(x).max()
        np.testing.assert_allclose(taps[f"{block}_conv1_norm"], x, rtol=1e-4, atol=1e-5 * scale)
        if not binary:
            x = np.maximum(taps[f"{block}_norm"], 0)
            for layer in ("conv1", *(["shortcut_conv"] if is_first else [])):
                kernel = arrays[f"{block}_{layer}", "kernel"]
                expected = convolved(np.float64(x), kernel, stride)
                atol = 1e-6 * np.abs(expected).max()  # sums of hundreds of products may cancel
                np.testing.assert_allclose(taps[f"{block}_{layer}"], expected, rtol=1e-3, atol=atol)
        shortcut = taps[f"{block}_shortcut_conv"] if is_first else stream
        np.testing.assert_array_equal(taps[block], taps[f"{block}_conv2"] + shortcut)
        stream = taps[block]
    assert taps["section4"].shape == (2, 3, 2, 512)
    np.testing.assert_array_equal(taps["section4"], stream)


def test_logits_agree_with_numpy(checked):
    _, arrays, _, logits, taps = checked
    head = np.maximum(normalized(taps["section4"], arrays, "head_norm"), 0)
    np.testing.assert_allclose(taps["head"], head, rtol=1e-4, atol=1e-4)
    expected = head.mean((1, 2)) @ arrays["dense", "kernel"] + arrays["dense", "bias"]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
def test_latent_and_packed_forms_agree(checked):
    network, _, pictures, expected, taps = checked
    if network.provenance["source"] != "random" or "float" not in network.name:
        pytest.skip("one network with both kinds of sections is enough")
    logits, found = random_network(network.name)(pictures)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-3)
    for name in ("section1_block1_conv1", "section2_block1_conv1", "section4_block2"):
        np.testing.assert_allclose(found[name], taps[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", REAL)
def test_networks_without_a_classifier_have_taps_only(name):
    architecture = Architecture.published(registry.find(name), num_classes=None)
    shapes = architecture.latent_shapes()
    assert "dense" not in shapes["params"]
    pictures = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    logits, taps = jax.eval_shape(architecture.apply, shapes, pictures)
    assert logits is None
    assert taps["head"].shape == (1, 2, 2, 512)
