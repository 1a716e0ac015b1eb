"""QuickNet v0.2 with random weights in both forms, and what it makes of two small pictures."""

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


@pytest.fixture(scope="session")
def latent_quicknet():
    """Latent ``quicknet_v0``, with norms that have run a while and zeros in its binary kernels."""
    entry = registry.find("quicknet_v0")
    architecture = Architecture(entry, False, entry.options)
    rng = np.random.default_rng(0)
    variables = {}
    for path, leaf in flatten_dict(architecture.variable_shapes()).items():
        value = rng.normal(size=leaf.shape)
        if path[-1] == "kernel" and path[1].startswith("section"):
            value[rng.random(leaf.shape) < 0.05] = rng.choice([0.0, -0.0])
        elif path[-1] == "kernel":
            value *= np.prod(leaf.shape[:-1]) ** -0.5
        elif path[-1] == "var":  # of a ReLU of sums of some thousand products
            value = 30 * rng.uniform(1, 3, leaf.shape) ** 2
            value[::16] = 1e-4  # where epsilon counts
        elif path[-1] == "scale":
            value[::16] /= 1e3
        variables[path] = jnp.asarray(value, leaf.dtype)
    return Network(architecture, unflatten_dict(variables), {"source": "random"})


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
def frozen_quicknet(latent_quicknet):
    """The same network, frozen."""
    return freeze(latent_quicknet)


@pytest.fixture(scope="session")
def latent_results(latent_quicknet, small_images, run):
    return run(latent_quicknet, small_images)


@pytest.fixture(scope="session")
def frozen_results(frozen_quicknet, small_images, run):
    return run(frozen_quicknet, small_images)
