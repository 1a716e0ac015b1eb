"""How much memory a run takes, by XLA's own analysis, before it is begun."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.binary import backend
from bnnjax.models.network import Variables
from bnnjax.nst import objective as objectives
from bnnjax.nst import optimize
from bnnjax.nst.config import LossWeights
from bnnjax.nst.objective import Objective, Targets

Shape = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Memory:
    """What pictures of one size take, in bytes.

    Attributes:
      step: a compiled step, with all that it reads and writes for one group.
      picture: what waits for its turn, a picture: its state and the best so far.
      content: the targets of a photograph, which all its pictures share.
      group: pictures that a step takes together.
    """

    step: int
    picture: int
    content: int
    group: int


def estimate(objective: Objective, variables: Variables, size: Shape, *, shifts: int) -> Memory:
    """Memory of pictures of ``size`` (height, width), in groups as large as the device holds.

    Compiles the step, which the run then need not do again.

    Args:
      objective: what is minimised.
      variables: of the network.
      size: of the pictures, px.
      shifts: how many random shifts the run has, each with content targets of its own.
    """
    free, group = available(), backend.group_size()
    while True:
        found = _of_group(objective, variables, size, shifts, group)
        if group == 1 or free is None or found.step <= free:
            return found
        group //= 2


def available() -> int | None:
    """Bytes that are free on JAX's default device; None where it does not tell."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        return stats["bytes_limit"] - stats["bytes_in_use"] if "bytes_limit" in stats else None
    try:
        with open("/proc/meminfo", encoding="utf-8") as file:
            lines = dict(line.split(":", 1) for line in file)
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError):  # not on Linux
        return None


def _of_group(
    objective: Objective, variables: Variables, size: Shape, shifts: int, group: int
) -> Memory:
    picture = jax.ShapeDtypeStruct((*size, 3), jnp.float32)
    state = jax.eval_shape(
        partial(optimize.start, objective), jax.ShapeDtypeStruct((group, *size, 3), jnp.float32)
    )
    offsets = jax.ShapeDtypeStruct((shifts, 2), jnp.int32)
    style, color = jax.eval_shape(partial(objectives.style_targets, objective), variables, picture)
    content = jax.eval_shape(
        partial(objectives.content_targets, objective), variables, picture, offsets
    )
    weights = LossWeights().for_pictures(group, taps=len(objective.style_taps))
    arguments = (
        variables,
        state,
        _in_groups(Targets(style, color, content), group),
        jax.tree.map(jnp.asarray, weights),
        offsets,
        jax.random.key(0),
        optimize.Steps(0, 1, 1),
    )
    analysis: Any = optimize.run_chunk.lower(objective, *arguments).compile().memory_analysis()
    step = (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
    )
    picture_bytes = _bytes(state) // group + _bytes(picture)
    return Memory(step, picture_bytes, _bytes(content), group)


def _in_groups(tree: Any, group: int) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((group, *leaf.shape), leaf.dtype), tree)


def _bytes(tree: Any) -> int:
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
