"""BinaryNet: the tutorial's counts, and its arithmetic against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models.binarynet import SIDE, BinaryNet
from bnnjax.models.summary import summarize_module

# The size of each kernel: height · width · inputs · outputs.
KERNELS = {
    "conv1": 3 * 3 * 3 * 128,
    "conv2": 3 * 3 * 128 * 128,
    "conv3": 3 * 3 * 128 * 256,
    "conv4": 3 * 3 * 256 * 256,
    "conv5": 3 * 3 * 256 * 512,
    "conv6": 3 * 3 * 512 * 512,
    "dense1": 3 * 3 * 512 * 1024,  # 32 px, unpadded 30, pooled 15, 7 and 3
    "dense2": 1024 * 1024,
    "dense3": 1024 * 10,
}


@pytest.fixture(scope="module")
def counted():
    return summarize_module(BinaryNet(), side=SIDE)


def test_every_kernel_is_binary_and_has_the_tutorials_size(counted):
    found = {layer.name: layer.parameters for layer in counted.layers if layer.name in KERNELS}
    assert found == {name: {1: count} for name, count in KERNELS.items()}
    assert counted.parameters_of(1) == 10_352_000


def test_the_network_is_thirty_times_smaller_than_in_float32(counted):
    channels = (
        2 * (128 + 256 + 512 + 1024) + 10
    )  # of the norms; Larq counts two parameters per channel
    assert counted.parameters_of(32) == 2 * channels
    ratio = counted.bytes_float32 / counted.bytes
    assert ratio == pytest.approx(4 * (10_352_000 + 7_700) / (10_352_000 / 8 + 4 * 7_700))
    assert 30 < ratio < 32


def test_layers_shrink_as_in_the_tutorial(counted):
    shapes = {layer.name: layer.output_shape for layer in counted.layers}
    convolutions = [shapes[f"conv{place}"][:2] for place in range(1, 7)]
    assert convolutions == [(30, 30), (30, 30), (15, 15), (15, 15), (7, 7), (7, 7)]
    norms = [shapes[f"conv{place}_norm"] for place in (2, 4, 6)]
    assert norms == [(15, 15, 128), (7, 7, 256), (3, 3, 512)]
    assert shapes["dense3_norm"] == (10,)


# --- against NumPy ---------------------------------------------------------------------------

SMALL = BinaryNet(filters=(8, 16), units=(12,), num_classes=5)


def signs(x):
    return np.where(x >= 0, 1.0, -1.0)


def convolved(x, kernel, *, pad):
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height, width = x.shape[1] - 2, x.shape[2] - 2
    return sum(
        x[:, i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def pooled(x):
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    blocks = x[:, :height, :width].reshape(len(x), height // 2, 2, width // 2, 2, -1)
    return blocks.max((2, 4))


def numpy_logits(variables, x):
    """The small network, layer by layer as in the tutorial."""
    params, stats = variables["params"], variables["batch_stats"]

    def norm(x, name):
        mean, var = stats[name]["mean"], stats[name]["var"]
        return (x - mean) / np.sqrt(var + 1e-3) + params[name]["bias"]

    def kernel(name):
        return signs(np.float64(params[name]["kernel"]))

    x = norm(convolved(x, kernel("conv1"), pad=0), "conv1_norm")
    x = norm(pooled(convolved(signs(x), kernel("conv2"), pad=1)), "conv2_norm")
    x = norm(convolved(signs(x), kernel("conv3"), pad=1), "conv3_norm")
    x = norm(pooled(convolved(signs(x), kernel("conv4"), pad=1)), "conv4_norm")
    x = x.reshape(len(x), -1)
    x = norm(signs(x) @ kernel("dense1"), "dense1_norm")
    return norm(signs(x) @ kernel("dense2"), "dense2_norm")


@pytest.mark.slow
def test_logits_are_the_tutorials():
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)
    shapes = jax.eval_shape(SMALL.init, jax.random.key(0), images)
    drawn = {
        path: rng.uniform(0.5, 2, leaf.shape) if path[-1] == "var" else rng.normal(0, 1, leaf.shape)
        for path, leaf in flatten_dict(shapes).items()
        if path[0] in ("params", "batch_stats")
    }
    variables = unflatten_dict({path: jnp.float32(leaf) for path, leaf in drawn.items()})
    expected = numpy_logits(unflatten_dict(drawn), np.float64(images))
    logits = jax.jit(SMALL.apply)(variables, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_norms_have_no_scale_and_a_momentum_of_0_999():
    images = jnp.ones((2, 16, 16, 3)) * jnp.linspace(-1, 1, 16)[:, None]
    variables = jax.jit(SMALL.init)(jax.random.key(0), images)
    assert {path[-1] for path in flatten_dict(variables["params"])} == {"kernel", "bias"}
    _, after = jax.jit(lambda v: SMALL.apply(v, images, train=True, mutable=["batch_stats"]))(
        variables
    )
    kernel = signs(np.asarray(variables["params"]["conv1"]["kernel"]))
    batch = convolved(np.asarray(images), kernel, pad=0).mean((0, 1, 2))
    moved = after["batch_stats"]["conv1_norm"]["mean"]
    np.testing.assert_allclose(moved, 0.001 * batch, rtol=1e-3, atol=1e-6)
