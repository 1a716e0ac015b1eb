"""Optimisers by name, and schedules of the learning rate."""

import difflib
from collections.abc import Callable, Hashable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

# Makes an optimiser from a learning-rate schedule; hashable.
Factory = Callable[[optax.Schedule], optax.GradientTransformation]
# Maps the fraction of the run that is done, 0 to 1, to a factor of the learning rate.
Schedule = Callable[[Array], Array]


def cosine(done: Array) -> Array:
    """Decays from 1 to 0.1 along half a cosine."""
    return 0.55 + 0.45 * jnp.cos(jnp.pi * done)


def constant(done: Array) -> Array:
    """The same learning rate throughout: 1."""
    return jnp.ones_like(done)


def _lbfgs(learning_rate: optax.Schedule) -> optax.GradientTransformation:
    del learning_rate  # the line search chooses the step size
    return optax.lbfgs()


def _as_given(
    optimizer: optax.GradientTransformation, learning_rate: optax.Schedule
) -> optax.GradientTransformation:
    del learning_rate  # the optimiser has its own
    return optimizer


# Second moments are averaged over 100 steps, not Adam's 1000: a run has only a few hundred.
_BY_NAME: dict[str, Factory] = {"adam": partial(optax.adam, b1=0.9, b2=0.99), "lbfgs": _lbfgs}


def update(
    optimizer: optax.GradientTransformation,
    gradient: Any,
    state: Any,
    params: Any,
    *,
    value: Array,
    value_fn: Callable[[Any], Array],
) -> tuple[Any, Any]:
    """The updates of any optax optimiser, and its new state."""
    optimizer = optax.with_extra_args_support(optimizer)
    with jax.numpy_dtype_promotion("standard"):  # optax raises floats to the power of integers
        return optimizer.update(
            gradient, state, params, value=value, grad=gradient, value_fn=value_fn
        )


def factory(optimizer: Any) -> Factory:
    """The function that makes an optimiser from a learning-rate schedule.

    Args:
      optimizer: "adam" (β 0.9 and 0.99), "lbfgs", the name of any optax optimiser that takes a
        learning rate, a function such as ``optax.sgd``, or an optax optimiser itself, which keeps
        its own learning rate.

    Raises:
      ValueError: no such optimiser, or one that cannot make a step from a loss and its gradient.
    """
    known = isinstance(optimizer, str | optax.GradientTransformation) or callable(optimizer)
    if not known or not isinstance(optimizer, Hashable):
        raise ValueError(f"optimizer is {optimizer!r}, needs a name or an optax optimizer")
    return _factory(optimizer)


@cache
def _factory(optimizer: Any) -> Factory:
    found = _find(optimizer)
    try:
        jax.eval_shape(partial(_try_step, found), [jnp.zeros((4, 4, 3), jnp.float32)])
    except Exception as error:  # a function that is not an optimiser may raise anything
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
            hint = f"did you mean {near[0]!r}?" if near else "try adam or lbfgs"
            raise ValueError(f"no optimizer {optimizer!r} in optax; {hint}")
        return found
    return optimizer


def _try_step(make: Factory, params: Any) -> Any:
    optimizer = make(optax.constant_schedule(0.1))
    state = optimizer.init(params)
    value = jnp.sum(params[0])
    return update(optimizer, params, state, params, value=value, value_fn=lambda p: jnp.sum(p[0]))
