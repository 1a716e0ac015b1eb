"""Learning-rate schedules and optimizers: Adam for all weights, or Bop for the binary ones."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

OptimizerName = Literal["adam", "bop"]
OPTIMIZERS: tuple[str, ...] = get_args(OptimizerName)


def cosine(*, peak: float, steps: int, warmup_steps: int) -> optax.Schedule:
    """A linear warm-up from 0 to ``peak``, then half a cosine down to a hundredth of it.

    The warm-up takes at most half of the steps.
    """
    warmup_steps = min(warmup_steps, steps // 2)
    return optax.warmup_cosine_decay_schedule(0.0, peak, warmup_steps, steps, peak / 100)


def inverse_time(start: float, decay: float) -> optax.Schedule:
    """``start / (1 + decay · step)``, the ``decay`` of Keras' optimizers."""
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
      name: "adam" for all parameters, or "bop" for binary kernels and Adam for the rest.
      learning_rate: schedule of Adam.
      weight_clips: the collection ``weight_clip`` of the network's variables, which lists the
        binary kernels.
      threshold: Bop's τ.
      gamma: Bop's γ, the adaptivity rate.

    Raises:
      ValueError: the name is neither of these.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer is {name!r}, needs one of {OPTIMIZERS}")
    adam = optax.adam(learning_rate)
    if name == "adam":
        return adam
    binary = flatten_dict(weight_clips).keys()

    def labels(params: Mapping[str, Any]) -> dict[str, Any]:
        paths = flatten_dict(params)
        return unflatten_dict({path: "bop" if path in binary else "adam" for path in paths})

    return optax.multi_transform({"adam": adam, "bop": bop(threshold, gamma)}, labels)


class BopState(NamedTuple):
    """The exponential moving average of the gradient."""

    mean: Any


def bop(threshold: float, gamma: float) -> optax.GradientTransformation:
    """Bop (Helwegen et al. 2019, arXiv 1906.02107): weight w flips where w · m > τ.

    m is the exponential moving average of the gradient with rate ``gamma``. The first step turns
    weights into ±1. Where w · m = τ the result is +1, the sign of zero in Larq. The order of
    operations is that of ``larq/optimizers.py`` (`optax.incremental_update` rounds differently).
    """

    def init(params: Any) -> BopState:
        return BopState(jax.tree.map(jnp.zeros_like, params))

    def update(gradient: Any, state: BopState, params: Any = None) -> tuple[Any, BopState]:
        mean = jax.tree.map(lambda m, g: m + gamma * (g - m), state.mean, gradient)
        updates = jax.tree.map(lambda w, m: _flip(w, m, threshold) - w, params, mean)
        return updates, BopState(mean)

    return optax.GradientTransformation(init, update)


def _flip(weight: Array, mean: Array, threshold: float) -> Array:
    kept = -jnp.sign(weight * mean - threshold) * weight
    return jnp.where(kept >= 0, 1.0, -1.0)
