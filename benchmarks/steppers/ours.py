"""Steps of style transfer by this package, for `nst_step.py`.

It reads lines ``NETWORK BATCH SIZE STEPS`` and answers each with the median milliseconds per step
(for the whole batch). NETWORK is a name of the registry, with its default options, or
``like_others``: QuickNet with the losses and taps of the other steppers.
"""

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax import Network
from bnnjax.models import registry
from bnnjax.models.network import Architecture
from bnnjax.nst.config import resolve
from bnnjax.nst.stages import PARAMETRIZATIONS
from bnnjax.nst.transfer import configured, make_objective, random_jitters
from bnnjax.optimize import cosine, devices
from bnnjax.optimize.groups import Group, Inputs, Run, Step, plan
from bnnjax.optimize.optimizers import factory
from bnnjax.optimize.step import Problem

NETWORKS = {"like_others": "quicknet"}
LIKE_OTHERS = {
    "style_taps": tuple(f"section{section}_block2" for section in (1, 2, 3, 4)),
    "content_taps": ("section3_block3",),
    "statistics": "gram",
    "parametrization": "pixels",
    "jitter": 0,
    "color_weight": 0,
}
TOTAL = 10_000  # steps, more than are ever run


def random_network(name: str) -> Network:
    """A network with random weights, as speed does not depend on them."""
    entry = registry.find(name)
    architecture = Architecture.published(entry)
    random = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        if leaf.dtype == jnp.uint32:
            return jnp.asarray(random.integers(0, 2**32, leaf.shape, np.uint32))
        return jnp.asarray(random.normal(0, 0.1, leaf.shape), leaf.dtype)

    variables = jax.tree.map(draw, architecture.frozen_shapes())
    return Network(architecture, variables, {"source": "random"})


def prepare(name: str, count: int, size: int) -> tuple[Run, list[tuple[Group, Step]]]:
    """A run on pictures of noise, as `stylize_batch` would begin it."""
    config = resolve({**(LIKE_OTHERS if name in NETWORKS else {}), "size": size})
    network = configured(random_network(NETWORKS.get(name, name)), config)
    objective = make_objective(network, config)
    parametrization = PARAMETRIZATIONS[config.parametrization]()
    problem = Problem(objective, parametrization, factory(config.optimizer), cosine)
    shared = (network.laid_out(), jax.random.key(0))
    where = devices.find()
    copies = {device: jax.device_put(shared, device) for device in where.workers}
    run = Run(problem, where, copies, TOTAL)
    pictures = np.random.default_rng(1).random((2 * count, size, size, 3), np.float32)
    jitters = random_jitters(jax.random.key(1), reach=config.jitter)
    taps = len(make_objective(network, config).terms[1].taps)
    weights = config.weights(count, taps=taps)

    def data(number: int):
        pair = (pictures[number], pictures[count + number])
        return objective.measure(network.variables, *pair, jitters)

    inputs = Inputs(pictures[:count], data, weights, weights["learning_rate"])
    plans, _ = plan(run, inputs)
    workers = where.workers
    begun = [
        (Group.begin(run, inputs, p.members, p.step.size, workers[n % len(workers)]), p.step)
        for n, p in enumerate(plans)
    ]
    return run, begun


def make_step(name: str, count: int, size: int) -> Callable[[int], None]:
    """A function that runs steps of all pictures, side by side like `minimize`."""
    run, begun = prepare(name, count, size)
    threads = ThreadPoolExecutor(len(run.devices.workers))

    def steps(number: int) -> None:
        def advance(pair: tuple[Group, Step]) -> None:
            group, step = pair
            group.done, group.length = 0, number
            group.advance(run, step.on(run, group))

        list(threads.map(advance, begun))

    return steps


def compiled_text(name: str) -> str:
    """The compiled step for one picture of 224 px, as XLA prints it."""
    run, [(group, step)] = prepare(name, 1, 224)
    return step.on(run, group).as_text()


def main() -> None:
    runs: dict[tuple[str, int, int], Callable[[int], None]] = {}
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
