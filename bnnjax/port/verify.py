"""Compares a ported network with its source, evaluated operator by operator."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.models.network import Network
from bnnjax.port.tflite_evaluate import evaluate
from bnnjax.port.tflite_graph import read_graph

TOLERANCE = 1e-5  # of the probabilities; the whole numbers have none


class Comparison(NamedTuple):
    """What `verify` found.

    Attributes:
      sums: whole numbers compared, over all binary convolutions.
      differing: those of them that are not identical.
      probability: largest difference of the probabilities.
    """

    sums: int
    differing: int
    probability: float

    @property
    def agrees(self) -> bool:
        """Whether every whole number is identical and the probabilities are within tolerance."""
        return self.differing == 0 and self.probability <= TOLERANCE


def fixed_pictures(count: int = 2, *, side: int = 224) -> Array:
    """Pictures [count, side, side, 3] in [0, 1] from a seed: smooth fields with fine noise."""
    generator = np.random.default_rng(0)
    coarse = jnp.asarray(generator.random((count, 7, 7, 3)), jnp.float32)
    smooth = jax.image.resize(coarse, (count, side, side, 3), "linear")
    noise = jnp.asarray(generator.normal(0, 0.05, smooth.shape), jnp.float32)
    return jnp.clip(smooth + noise, 0, 1)


def verify_tflite(network: Network, source: str | Path, pictures: Array) -> Comparison:
    """Compares whole-numbered sums of all binary convolutions, and the probabilities.

    Both sides run operator by operator (no fusion, hence no reassociation of float sums), so that
    the sums must be identical from the first layer to the last.

    Args:
      network: ported, in any form.
      source: the ``.tflite`` file it came from.
      pictures: float32 [N, 224, 224, 3], sRGB in [0, 1].

    Raises:
      ValueError: the source is no ``.tflite`` file.
    """
    graph = read_graph(source)
    sums = differing = 0
    worst = 0.0
    for picture in pictures:
        expected, expected_sums = evaluate(graph, network.entry.normalize(picture[None]))
        with jax.disable_jit():
            logits, taps = network.apply(network.variables, picture[None])
        names = [name for name in taps if name.endswith("_conv") and name != "stem_conv"]
        for name, value in zip(names, expected_sums.values(), strict=True):
            sums += value.size
            differing += int(jnp.sum(taps[name] != value))
        worst = max(worst, float(jnp.max(jnp.abs(jax.nn.softmax(logits) - expected))))
    return Comparison(sums, differing, worst)
