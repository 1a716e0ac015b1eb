"""Steps of style transfer by this package, for `nst_step.py`.

Reads lines ``NETWORK BATCH SIZE STEPS`` and answers each with the median milliseconds of a step
(of all pictures of the batch together). NETWORK is a name of the registry, with the default recipe,
or ``like_others``: QuickNet with the losses and taps that the other steppers have.
"""

import statistics
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax import Network
from bnnjax.models import registry
from bnnjax.models.network import Architecture
from bnnjax.nst import batch, optimize
from bnnjax.nst.config import split_choices
from bnnjax.nst.inputs import Canvas, Pair
from bnnjax.nst.stylize import configured, make_objective

NETWORKS = {"like_others": "quicknet"}
LIKE_OTHERS = {
    "style_taps": tuple(f"section{section}_block2" for section in (1, 2, 3, 4)),
    "content_taps": ("section3_block3",),
    "statistics": "gram",
    "parametrization": "pixels",
    "shift": 0,
    "color_weight": 0,
}


def random_network(name: str) -> Network:
    """Speed does not depend on the weights."""
    entry = registry.find(name)
    architecture = Architecture.published(entry)
    random = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if leaf.dtype == jnp.uint32:
            return jnp.asarray(random.integers(0, 2**32, leaf.shape, np.uint32))
        return jnp.asarray(random.normal(0, 0.1, leaf.shape), leaf.dtype)

    variables = jax.tree.map(draw, architecture.frozen_shapes())
    return Network(architecture, variables, {"source": "random"})


def make_step(name: str, count: int, size: int):
    """A function that makes so many steps of all pictures, as `stylize_batch` does."""
    choices = LIKE_OTHERS if name in NETWORKS else {}
    config, weights = split_choices({**choices, "size": size})
    network = configured(random_network(NETWORKS.get(name, name)), config)
    objective = make_objective(network, config)
    random, whole = np.random.default_rng(1), slice(0, size)
    canvases = [
        Canvas(random.random((size, size, 3), np.float32), whole, whole) for _ in range(2 * count)
    ]
    pairs = [Pair(i, i, str(i)) for i in range(count)]
    weights = weights.for_pictures(count, taps=len(objective.style_taps))
    randomness = batch.Randomness.from_config(config)
    groups = batch.make_groups(
        objective,
        network.variables,
        pairs,
        canvases[:count],
        canvases[count:],
        weights,
        config,
        randomness,
        {(size, size, 3): 1},
    )

    def run(steps: int) -> None:
        for group in groups:
            group.advance(objective, network.variables, randomness, optimize.Steps(0, steps, 10**6))
        jax.block_until_ready(groups[-1].state.z)

    return run


def compiled_text(name: str) -> str:
    """The compiled step for one picture of 224 px, as XLA writes it."""
    texts: list[str] = []
    advance = optimize.run_chunk

    def look(*arguments):
        texts.append(advance.lower(*arguments).compile().as_text())
        return advance(*arguments)

    optimize.run_chunk = look
    try:
        make_step(name, 1, 224)(1)
    finally:
        optimize.run_chunk = advance
    return texts[0]


def main() -> None:
    runs = {}
    print("ready", flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        count, size, steps = map(int, numbers)
        key = (name, count, size)
        if key not in runs:
            runs[key] = make_step(*key)
            runs[key](1)
        chunks = []
        for _ in range(3):
            began = time.perf_counter()
            runs[key](steps)
            chunks.append(1e3 * (time.perf_counter() - began) / steps)
        print(statistics.median(chunks), flush=True)


if __name__ == "__main__":
    main()
