"""Optimisers by name, and how the learning rate changes over a run."""

import difflib
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

# Makes an optimiser from a learning rate, a function of the step; hashable.
Factory = Callable[[optax.Schedule], optax.GradientTransformation]
# The factor of the learning rate, from the share of the run that is done, 0 to 1.
Schedule = Callable[[Array], Array]


def cosine(done: Array) -> Array:
    """From 1 to a tenth along half a cosine."""
    return 0.55 + 0.45 * jnp.cos(jnp.pi * done)


def constant(done: Array) -> Array:
    """The same learning rate throughout: 1."""
    return jnp.ones_like(done)


def _lbfgs(learning_rate: optax.Schedule) -> optax.GradientTransformation:
    del learning_rate  # its line search finds the length of a step
    return optax.lbfgs()


def _as_given(
    optimizer: optax.GradientTransformation, learning_rate: optax.Schedule
) -> optax.GradientTransformation:
    del learning_rate  # it brings its own
    return optimizer


# Second moments are averaged over 100 steps, not Adam's 1000: a run has only some hundred.
_BY_NAME: dict[str, Factory] = {"adam": partial(optax.adam, b1=0.9, b2=0.99), "lbfgs": _lbfgs}


@cache
def factory(optimizer: Any) -> Factory:
    """What makes the optimiser of a choice.

    Args:
      optimizer: "adam" (β 0.9 and 0.99), "lbfgs", the name of any optimiser in optax that takes a
        learning rate, a function such as ``optax.sgd``, or an optax optimiser itself, which then
        brings its own learning rate.

    Raises:
      ValueError: no such optimiser, or one that cannot make a step from a loss and its gradient.
    """
    found = _find(optimizer)
    try:
        jax.eval_shape(partial(_try_step, found), [jnp.zeros((4, 4, 3), jnp.float32)])
    except Exception as error:  # whatever a function that is no optimiser may do
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"optimizer {optimizer!r} cannot make a step: {reason}") from None
    return found


def _find(optimizer: Any) -> Factory:
    if isinstance(optimizer, optax.GradientTransformation):
        return partial(_as_given, optimizer)
    if isinstance(optimizer, str):
        found = _BY_NAME.get(optimizer) or getattr(optax, optimizer, None)
        if not callable(found):
            near = difflib.get_close_matches(optimizer, [*_BY_NAME, *dir(optax)], n=1)
            hint = f"did you mean {near[0]!r}?" if near else "adam and lbfgs are usual"
            raise ValueError(f"no optimizer {optimizer!r} in optax; {hint}")
        return found
    if not callable(optimizer):
        raise ValueError(f"optimizer is {optimizer!r}, needs a name or an optax optimizer")
    return optimizer


def _try_step(make: Factory, params: Any) -> Any:
    optimizer = optax.with_extra_args_support(make(optax.constant_schedule(0.1)))
    value = {"value": jnp.sum(params[0]), "grad": params, "value_fn": lambda p: jnp.sum(p[0])}
    return optimizer.update(params, optimizer.init(params), params, **value)
