"""How latent and float weights move: Adam for all, or Bop for the binary ones."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

OPTIMIZERS = ("adam", "bop")


def cosine(*, peak: float, steps: int, warmup_steps: int) -> optax.Schedule:
    """Linear from 0 to ``peak``, in half of the steps at most, then a half cosine down to a
    hundredth of it."""
    warmup_steps = min(warmup_steps, steps // 2)
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, steps, peak / 100)


def inverse_time(start: float, decay: float) -> optax.Schedule:
    """``start / (1 + decay · step)``: Keras' optimizers with a ``decay``."""
    return lambda step: start / (1 + decay * step)


def optimizer(
    name: str,
    learning_rate: optax.Schedule,
    weight_clips: Mapping[str, Any],
    *,
    threshold: float = 1e-8,
    gamma: float = 1e-4,
) -> optax.GradientTransformation:
    """The optimizer of a network's parameters.

    Args:
      name: "adam" for all of them, or "bop" for binary kernels (and Adam for the rest).
      learning_rate: of Adam.
      weight_clips: the collection ``weight_clip`` of the network's variables: what is binary.
      threshold: of Bop, τ.
      gamma: of Bop, how fast its mean follows the gradient.

    Raises:
      ValueError: another name.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer is {name!r}, needs one of {OPTIMIZERS}")
    adam = optax.adam(learning_rate)
    if name == "adam":
        return adam
    binary = flatten_dict(weight_clips).keys()

    def kinds(params: Mapping[str, Any]) -> dict[str, Any]:
        names = {path: "bop" if path in binary else "adam" for path in flatten_dict(params)}
        return unflatten_dict(names)

    return optax.multi_transform({"adam": adam, "bop": bop(threshold, gamma)}, kinds)


class BopState(NamedTuple):
    """Exponential mean of the gradient."""

    mean: Any


def bop(threshold: float, gamma: float) -> optax.GradientTransformation:
    """Bop (Helwegen et al. 2019, arXiv 1906.02107): a weight flips where w · m > τ.

    m follows the gradient by ``gamma`` a step. Weights become ±1 at the first step; where w · m = τ
    the result is +1, the sign of zero, as in ``larq/optimizers.py``.
    """

    def init(params: Any) -> BopState:
        return BopState(jax.tree.map(jnp.zeros_like, params))

    def update(gradient: Any, state: BopState, params: Any = None) -> tuple[Any, BopState]:
        mean = jax.tree.map(lambda m, g: m + gamma * (g - m), state.mean, gradient)
        return jax.tree.map(lambda w, m: _flipped(w, m, threshold) - w, params, mean), BopState(
            mean
        )

    return optax.GradientTransformation(init, update)


def _flipped(weight: Array, mean: Array, threshold: float) -> Array:
    kept = -jnp.sign(weight * mean - threshold) * weight
    return jnp.where(kept >= 0, 1.0, -1.0)
