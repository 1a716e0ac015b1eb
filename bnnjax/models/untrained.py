"""Networks with random weights, as controls: what they can do is not due to training."""

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

from bnnjax.layers import BatchNorm
from bnnjax.models.entry import Entry
from bnnjax.models.forms import freeze
from bnnjax.models.network import Architecture, Network


def untrained(entry: Entry, images: Array, *, seed: int = 0) -> Network:
    """A packed network with random weights, as the layers initialize them.

    Its batch norms have the statistics of ``images``. Without these, sums of hundreds of signs
    would reach the next layer as they are, and the gradients would vanish where signs clip them.

    Args:
      entry: the architecture.
      images: float [N, H, W, 3], sRGB in [0, 1], processed in one batch.
      seed: of the weights.
    """
    architecture = Architecture.published(entry)
    first = entry.normalize(jnp.asarray(images[:1], jnp.float32))
    variables = jax.jit(architecture.module.init)(jax.random.key(seed), first)
    kept = {name: tree for name, tree in variables.items() if name in ("params", "batch_stats")}
    if "batch_stats" in kept:
        stats = jax.jit(architecture.train)(kept, images)[2]
        kept["batch_stats"] = _of_the_batch(stats, architecture)
    provenance = {"source": "random", "seed": seed}
    network = Network(architecture, kept, provenance)
    return freeze(network) if network.form == "latent" else network


def _of_the_batch(updated: dict[str, Array], architecture: Architecture) -> dict[str, Array]:
    """The statistics of a batch from those after one update, which moved from mean 0 and variance 1
    towards them."""
    layers, found = architecture.layers(), {}
    for (*path, name), value in flatten_dict(updated).items():
        layer, start = layers[(*path,)], 1.0 if name == "var" else 0.0
        assert isinstance(layer, BatchNorm)
        found[(*path, name)] = start + (value - start) / (1 - layer.momentum)
    return unflatten_dict(found)
