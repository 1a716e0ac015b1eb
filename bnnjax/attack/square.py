"""The Square attack, which asks for losses and never for gradients."""

from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from bnnjax.optimize.optimizers import Factory

_SHARE = 0.8  # of the pixels, in the first window; AutoAttack's choice
# The share is halved after each of these fractions of all queries.
_HALVINGS = np.array([10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000]) / 10_000


class _Search(NamedTuple):
    best: Any
    best_loss: Array
    done: Array
    key: Array


@cache
def square(queries: int, *, seed: int = 0) -> Factory:
    """Random windows of ± the learning rate, kept where they lower the loss; for the norm "linf".

    Andriushchenko et al., *Square Attack* (ECCV 2020, arXiv 1912.00049), algorithms 1 and 2. Every
    step of the engine is one query, the first being the stripes of `region.around`; the learning
    rate is twice the radius. The windows of all pictures are the same.

    Args:
      queries: the number of queries, which decides how the windows shrink.
      seed: of the random windows.
    """

    def init(params: Any) -> _Search:
        infinite, zero = jnp.asarray(jnp.inf, jnp.float32), jnp.zeros((), jnp.int32)
        # Raw words: the engine selects and stores states as plain arrays.
        return _Search(params, infinite, zero, jax.random.key_data(jax.random.key(seed)))

    def make(size: optax.Schedule) -> optax.GradientTransformationExtraArgs:
        def update(
            gradient: Any, state: _Search, params: Any = None, *, value: Array, **_: Any
        ) -> tuple[Any, _Search]:
            del gradient  # so that XLA drops the backward pass
            better = value < state.best_loss
            best = jax.tree.map(partial(jnp.where, better), params, state.best)
            key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.done)
            draw = partial(_window, key, share=_share(state.done, queries))
            moves = jax.tree.map(
                lambda x, now: x + size(state.done) * draw(x.shape) - now, best, params
            )
            loss = jnp.where(better, value, state.best_loss)
            return moves, _Search(best, loss, state.done + 1, state.key)

        return optax.GradientTransformationExtraArgs(init, update)

    return make


def _share(done: Array, queries: int) -> Array:
    """The share of all pixels in the window after ``done`` queries."""
    passed = jnp.sum(done.astype(jnp.float32) / queries > jnp.asarray(_HALVINGS, jnp.float32))
    return _SHARE / 2 ** passed.astype(jnp.float32)


def _window(key: Array, shape: tuple[int, ...], share: Array) -> Array:
    """±1 per channel in a random square window, 0 elsewhere, [H, W, 3]."""
    height, width, channels = shape
    side = jnp.round(jnp.sqrt(share * height * width)).astype(jnp.int32)
    side = jnp.clip(side, 1, min(height, width) - 1)
    place, colour = jax.random.split(key)
    corner = jax.random.uniform(place, (2,), jnp.float32)
    rows, columns = (
        _between(jnp.arange(length), jnp.floor(part * (length - side + 1)).astype(jnp.int32), side)
        for part, length in zip(corner, (height, width), strict=True)
    )
    signs = jax.random.rademacher(colour, (channels,), jnp.float32)
    return (rows[:, None] & columns[None, :])[..., None] * signs


def _between(positions: Array, first: Array, length: Array) -> Array:
    return (positions >= first) & (positions < first + length)
