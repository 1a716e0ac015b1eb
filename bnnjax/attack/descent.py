"""Projected gradient descent and Auto-PGD as optimisers for the engine.

Both return a function from a learning-rate schedule to an optax transformation.
"""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from bnnjax.attack.config import Norm
from bnnjax.attack.region import into, steepest
from bnnjax.optimize.optimizers import Factory

_FIRST = jnp.zeros((), jnp.int32)  # the engine's learning rate does not depend on the count


@cache
def pgd(norm: Norm) -> Factory:
    """Steps of one length in the direction of steepest descent (Madry et al. 2018)."""

    def make(length: optax.Schedule) -> optax.GradientTransformation:
        def step(gradient: Any, params: Any) -> Any:
            del params
            return jax.tree.map(lambda d: length(_FIRST) * d, steepest(norm, gradient))

        return optax.stateless(step)

    return make


class _Progress(NamedTuple):
    """What Auto-PGD remembers.

    Attributes:
      done: the number of updates so far.
      previous: the params before the last update.
      last: their loss.
      best, best_gradient, best_loss: of the params with the lowest loss.
      checked_loss: ``best_loss`` at the last checkpoint.
      gains: how many updates since then have lowered the loss.
      factor: of the step; halved at checkpoints.
      halved: whether the last checkpoint halved it.
    """

    done: Array
    previous: Any
    last: Array
    best: Any
    best_gradient: Any
    best_loss: Array
    checked_loss: Array
    gains: Array
    factor: Array
    halved: Array


@cache
def apgd(norm: Norm, updates: int) -> Factory:
    """Auto-PGD of Croce & Hein (ICML 2020, arXiv 2003.01690), algorithm 1.

    The learning rate is the first step, twice the radius. At checkpoints the step is halved, and
    the search returns to the best picture, if at most 75 % of the updates lowered the loss, or if
    neither step nor best loss has changed since the checkpoint before.

    Args:
      norm: of the ball.
      updates: the number of updates, which places the checkpoints.
    """
    ends = checkpoints(updates)

    def init(params: Any) -> _Progress:
        infinite, zero = jnp.asarray(jnp.inf, jnp.float32), jnp.zeros((), jnp.int32)
        return _Progress(
            done=zero, previous=params, last=infinite, best=params,
            best_gradient=jax.tree.map(jnp.zeros_like, params), best_loss=infinite,
            checked_loss=infinite, gains=zero, factor=jnp.ones((), jnp.float32),
            halved=jnp.ones((), bool),
        )  # fmt: skip

    def make(length: optax.Schedule) -> optax.GradientTransformationExtraArgs:
        def update(
            gradient: Any, state: _Progress, params: Any = None, *, value: Array, **_: Any
        ) -> tuple[Any, _Progress]:
            state = _see(state, params, gradient, value)
            state, back = _check(state, jnp.asarray(ends)[state.done])
            start = _select(back, state.best, params)
            slope = steepest(norm, _select(back, state.best_gradient, gradient))
            step = length(_FIRST) * state.factor
            ahead = into(norm, jax.tree.map(lambda x, d: x + step * d, start, slope))
            share = jnp.where(state.done == 0, 1.0, 0.75).astype(jnp.float32)
            moves = jax.tree.map(
                lambda x, z, old, now: x + share * (z - x) + (1 - share) * (x - old) - now,
                start, ahead, state.previous, params,
            )  # fmt: skip
            return moves, state._replace(done=state.done + 1, previous=params)

        return optax.GradientTransformationExtraArgs(init, update)

    return make


def checkpoints(updates: int) -> np.ndarray:
    """For each number of updates done, the length of the period that ends there, or 0; [N + 1].

    Periods begin at 22 % of all updates and shrink by 3 % to 6 %, as in AutoAttack's code.
    """
    period, shrink, least = (max(int(share * updates), 1) for share in (0.22, 0.03, 0.06))
    ends = np.zeros(updates + 1, np.int32)
    done = period
    while done <= updates:
        ends[done] = period
        period = max(period - shrink, least)
        done += period
    return ends


def _see(state: _Progress, params: Any, gradient: Any, value: Array) -> _Progress:
    """Takes note of the loss and gradient of the current params."""
    better, first = value < state.best_loss, state.done == 0
    gains = state.gains + (value < state.last).astype(jnp.int32)
    return state._replace(
        best=_select(better, params, state.best),
        best_gradient=_select(better, gradient, state.best_gradient),
        best_loss=jnp.where(better, value, state.best_loss),
        checked_loss=jnp.where(first, value, state.checked_loss),
        gains=jnp.where(first, 0, gains).astype(jnp.int32),
        last=value,
    )


def _check(state: _Progress, period: Array) -> tuple[_Progress, Array]:
    """The state after a checkpoint, if this is one, and whether to return to the best params."""
    here = period > 0
    few = state.gains.astype(jnp.float32) <= 0.75 * period.astype(jnp.float32)
    stuck = ~state.halved & (state.best_loss >= state.checked_loss)
    back = here & (few | stuck)
    checked = state._replace(
        factor=jnp.where(back, state.factor / 2, state.factor),
        halved=jnp.where(here, back, state.halved),
        checked_loss=jnp.where(here, state.best_loss, state.checked_loss),
        gains=jnp.where(here, 0, state.gains).astype(jnp.int32),
    )
    return checked, back


def _select(condition: Array, first: Any, second: Any) -> Any:
    return jax.tree.map(partial(jnp.where, condition), first, second)
