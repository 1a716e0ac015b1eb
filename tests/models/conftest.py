"""Networks with random weights in both forms, their results, and layers in NumPy."""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models import registry
from bnnjax.models.forms import freeze
from bnnjax.models.network import Architecture, Network


def is_binary(layer):
    """Whether a layer of this name is a binary convolution."""
    return re.fullmatch(r"section\d_block\d+_conv", layer) is not None


@pytest.fixture(scope="session")
def latent():
    """A function name → that network with random latent weights, some of which are 0 in binary
    kernels, and norms with statistics as after some training."""

    @functools.cache
    def make(name):
        entry = registry.find(name)
        architecture = Architecture.published(entry)
        rng = np.random.default_rng(0)
        variables = {}
        for path, leaf in flatten_dict(architecture.latent_shapes()).items():
            value = rng.normal(size=leaf.shape)
            if path[-1] == "kernel" and is_binary(path[1]):
                value[rng.random(leaf.shape) < 0.05] = rng.choice([0.0, -0.0])
            elif path[-1] == "kernel":
                value *= np.prod(leaf.shape[:-1]) ** -0.5
            elif path[-1] == "var":  # after a ReLU of sums of some thousand products
                value = 30 * rng.uniform(1, 3, leaf.shape) ** 2
                value[::16] = 1e-4  # where epsilon counts
            elif path[-1] == "scale":
                value[::16] /= 1e3
            variables[path] = jnp.asarray(value, leaf.dtype)
        return Network(architecture, unflatten_dict(variables), {"source": "random"})

    return make


@pytest.fixture(scope="session")
def frozen(latent):
    """The same networks, frozen."""
    return functools.cache(lambda name: freeze(latent(name)))


@pytest.fixture(scope="session")
def latent_quicknet(latent):
    return latent("quicknet_v0")


@pytest.fixture(scope="session")
def frozen_quicknet(frozen):
    return frozen("quicknet_v0")


class Results(NamedTuple):
    """A network compiled for pictures [N, H, W, 3], and its logits and taps for them."""

    network: Network
    apply: Callable
    images: np.ndarray
    logits: np.ndarray
    taps: dict[str, np.ndarray]


@pytest.fixture(scope="session")
def run():
    """A function that applies a network to pictures."""

    def compile_and_apply(network, images):
        compiled = jax.jit(network.apply)

        def apply(images):
            return jax.tree.map(np.asarray, compiled(network.variables, images))

        return Results(network, apply, images, *apply(images))

    return compile_and_apply


@pytest.fixture(scope="session")
def small_images():
    """61 pixels high: halved to 31, then to 16."""
    return np.random.default_rng(1).uniform(size=(2, 61, 64, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def results_of(latent, frozen, small_images, run):
    """A function (name, "latent" or the backend of the frozen form) → `Results` for the small
    pictures."""

    @functools.cache
    def of(name, form):
        network = latent(name) if form == "latent" else frozen(name).with_options(backend=form)
        return run(network, small_images)

    return of


@pytest.fixture(scope="session")
def frozen_results(results_of):
    return results_of("quicknet_v0", "packed")


@pytest.fixture(scope="session")
def tap_shapes():
    """A function (name, height, width) → shapes of the taps of one picture by name, in the
    network's order, found by tracing alone."""

    def of(name, height, width):
        architecture = Architecture.published(registry.find(name))
        images = jax.ShapeDtypeStruct((1, height, width, 3), jnp.float32)
        logits, taps = jax.eval_shape(architecture.apply, architecture.frozen_shapes(), images)
        assert logits.shape == (1, 1000)
        assert taps.keys() == set(architecture.taps)
        return {name: taps[name].shape[1:] for name in architecture.taps}

    return of


@pytest.fixture(scope="session")
def taps_of():
    """A function (module, picture's shape) → shapes of its taps by their names."""

    def of(module, picture):
        def apply(x):
            variables = module.init(jax.random.key(0), x)
            return module.apply(variables, x, mutable=["taps"])[1]["taps"]

        return jax.eval_shape(apply, jax.ShapeDtypeStruct(picture, jnp.float32))

    return of


# --- layers in NumPy -------------------------------------------------------------------------


class NumpyLayers:
    """The layers of a latent network by name, in float64."""

    def __init__(self, network):
        variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), network.variables)
        self.params, self.statistics = variables["params"], variables["batch_stats"]

    def conv(self, name, x, stride=1):
        return _convolve(x, self.params[name]["kernel"], stride)

    def depthwise(self, name, x, stride=2):
        """Of kernels [kh, kw, C, multiplier], as in Keras."""
        y = _convolve(x, self.params[name]["kernel"], stride, multiply="nhwcij,ijcm->nhwcm")
        return y.reshape(*y.shape[:3], -1)

    def binary_conv(self, name, x, stride=1):
        return _convolve(_sign(x), _sign(self.params[name]["kernel"]), stride, pad_value=1)

    def norm(self, name, x, epsilon=1e-5):
        layer, statistics = self.params.get(name, {}), self.statistics[name]
        normed = (x - statistics["mean"]) / np.sqrt(statistics["var"] + epsilon)
        return normed * layer.get("scale", 1) + layer.get("bias", 0)

    def dense(self, name, x):
        return x @ self.params[name]["kernel"] + self.params[name].get("bias", 0)


def _sign(x):
    return np.where(x >= 0, 1.0, -1.0)


def _convolve(x, kernel, stride, pad_value=0, multiply="nhwcij,ijco->nhwo"):
    """SAME padding, split as in TensorFlow."""
    pads = [(0, 0)]
    for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True):
        total = max((-(-n // stride) - 1) * stride + k - n, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x.astype(np.float64), [*pads, (0, 0)], constant_values=pad_value)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum(multiply, windows[:, ::stride, ::stride], kernel, optimize=True)


@pytest.fixture(scope="session")
def in_numpy():
    """`NumpyLayers`."""
    return NumpyLayers


@pytest.fixture(scope="session")
def assert_follows():
    """A function (results, expected taps, expected logits) that compares them.

    Each tap is expected from those before it *as the network computed them*. Thus a rounding of a
    float that flips a sign cannot propagate, and the integers of binary convolutions must agree
    exactly.
    """

    def check(results, taps, logits):
        taps = dict(taps)
        assert taps.keys() == results.taps.keys()
        for name, value in taps.items():
            found = results.taps[name]
            if is_binary(name):
                np.testing.assert_array_equal(found, value, err_msg=name)
                assert found.std() > 1, name
            else:
                atol = 1e-5 * abs(value).max()
                np.testing.assert_allclose(found, value, rtol=1e-5, atol=atol, err_msg=name)
        atol = 1e-5 * abs(logits).max()
        np.testing.assert_allclose(results.logits, logits, rtol=1e-5, atol=atol)

    return check
