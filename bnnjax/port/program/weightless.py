"""The steps of a program that have no weights.

Each function takes the step, the run and the values that the step reads. Integer sums often lie
exactly at the kink of an activation, or are tied. The gradients there follow TensorFlow; those of
JAX's own functions are mostly half as large.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from bnnjax import layers
from bnnjax.port.program.program import Cut, Grid, Step, Window
from bnnjax.port.program.run import Run

ACTIVATIONS: dict[int, Callable[[Array], Array]] = {  # by the schema's enumeration
    0: lambda x: x,
    1: nn.relu,
    2: jax.nn.hard_tanh,
    3: lambda x: jnp.where(x >= 6, 6, nn.relu(x)),
    4: jnp.tanh,
}


def max_pool(step: Step, run: Run, x: Array) -> Array:
    window: Window = step.options
    where = {"size": window.size, "stride": window.strides, "padding": window.padding}
    return layers.pool(x, run.options, **where)


def avg_pool(step: Step, run: Run, x: Array) -> Array:
    window: Window = step.options
    return layers.avg_pool(x, size=window.size, stride=window.strides, padding=window.padding)


def maximum(x: Any, y: Any) -> Any:
    """The larger one; of equal ones the first, which gets the whole gradient."""
    return jnp.where((x >= y) | jnp.isnan(x), x, y)


def minimum(x: Any, y: Any) -> Any:
    """The smaller one; of equal ones the first, which gets the whole gradient."""
    return jnp.where((x <= y) | jnp.isnan(x), x, y)


def arithmetic(apply: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def compute(step: Step, run: Run, x: Any, y: Any) -> Any:
        return apply(*_aligned(step, x, y))

    return compute


def _aligned(step: Step, x: Any, y: Any) -> tuple[Any, Any]:
    """Both values with the same rank. The first axis of computed values is the batch, as in a gate
    [N, C] times a map [N, h, w, C]; a file for one picture does not necessarily express this."""
    if any(isinstance(ref, str) for ref in step.inputs) or x.ndim == y.ndim:
        return x, y
    if x.ndim > y.ndim:
        return _aligned(step, y, x)[::-1]
    ones = (1,) * (y.ndim - x.ndim)
    return x.reshape(x.shape[0], *ones, *x.shape[1:]), y


def reshape(step: Step, run: Run, x: Array, shape: Any = None) -> Array:
    if shape is None:
        shape = (x.shape[0], *step.options[1:])
    return x.reshape([int(side) for side in shape])


def dropout(step: Step, run: Run, x: Array) -> Array:
    """Dropout while training, with keys of the stream "dropout"; the identity else."""
    rate, shared = step.options  # axes with one decision for all
    if not run.train:
        return x
    return nn.Dropout(rate, broadcast_dims=shared, deterministic=False)(x)


def flatten(step: Step, run: Run, x: Array) -> Array:
    if x.shape[1:] != step.options:
        raise ValueError(f"what follows needs a map {list(step.options)}")
    return x.reshape(x.shape[0], -1)


def pad(step: Step, run: Run, x: Array) -> Array:
    amounts, value = step.options
    return jnp.pad(x, amounts, constant_values=value)


def cut(step: Step, run: Run, x: Any) -> Any:
    where: Cut = step.options
    index: list[Any] = []
    for axis, (begin, end, stride) in enumerate(zip(*where[:3], strict=True)):
        if where.shrink_mask >> axis & 1:
            index.append(begin)
            continue
        first = None if where.begin_mask >> axis & 1 else begin
        index.append(slice(first, None if where.end_mask >> axis & 1 else end, stride))
    if isinstance(x, np.ndarray):  # the sides of a tensor
        return x[tuple(index)]
    # On the batch axis, the file slices its single picture; we keep the whole batch.
    return x[(slice(None), *index[1:])]


def pack(step: Step, run: Run, *values: Any) -> np.ndarray:
    given = iter(values)
    known: Any = step.options
    return np.asarray([next(given) if number is None else number for number in known])


def part(step: Step, run: Run, x: Array) -> Array:
    axis, number, of = step.options
    return jnp.split(x, of, axis)[number]


def rounded(step: Step, run: Run, x: Array) -> Array:
    return round_to(step.options, x)


def round_to(grid: Grid, x: Array) -> Array:
    """Rounds to the nearest number of the grid, ties away from 0; the gradient passes straight
    through within the range of the grid."""
    low, high = (grid.scale * (q - grid.zero_point) for q in (grid.low, grid.high))
    inside = jnp.clip(x, low, high)
    steps = inside / grid.scale
    nearest = grid.scale * jnp.sign(steps) * jnp.floor(jnp.abs(steps) + 0.5)
    return inside + jax.lax.stop_gradient(nearest - inside)


def unary(apply: Callable[[Array], Array]) -> Callable[..., Array]:
    return lambda step, run, x: apply(x)
