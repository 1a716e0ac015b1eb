"""The optimisation: one picture's step, vmapped over a group, jitted in chunks of steps.

A chunk is one compiled call; between chunks the host sees the losses, so that progress, previews,
interruption and the stop on NaN cost nothing inside. Neither the number of steps nor a weight is
compiled in: one compilation serves every run of the same objective, size and group.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from bnnjax.models.network import Variables
from bnnjax.nst import objective as objectives
from bnnjax.nst import parametrize
from bnnjax.nst.config import LossWeights
from bnnjax.nst.objective import TERMS, Objective, Targets

CHUNK = 25  # steps a compiled call makes at most; about the time between two signs of life

_OPTIMIZERS: dict[str, Callable[[optax.Schedule], optax.GradientTransformation]] = {
    "adam": partial(optax.adam, b1=0.9, b2=0.99),
    "lbfgs": lambda schedule: optax.lbfgs(),  # its line search finds the step, not a schedule
}


class State(NamedTuple):
    """What a step changes, a leading axis a picture.

    ``best`` is the z of the lowest loss so far, whatever the steps were grouped into.
    """

    z: list[Array]
    optimizer: Any
    best: list[Array]
    best_loss: Array


class Steps(NamedTuple):
    """Which steps a chunk makes (traced): ``number`` from ``start`` on, of ``total``."""

    start: int | Array
    number: int | Array
    total: int | Array


def make_optimizer(choice: Any, schedule: optax.Schedule) -> optax.GradientTransformationExtraArgs:
    """The optimiser of a choice: "adam" (β 0.9, 0.99), "lbfgs", any name in optax that takes a
    learning rate, or an optax optimiser itself, which then brings its own learning rate.

    Raises:
      ValueError: no such optimiser.
    """
    if isinstance(choice, str):
        maker = _OPTIMIZERS.get(choice) or getattr(optax, choice, None)
        if not callable(maker):
            raise ValueError(f"no optimizer {choice!r} in optax; adam and lbfgs are usual")
        try:
            choice = maker(schedule)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"optax.{choice} is no optimizer: {error}") from None
    if not isinstance(choice, optax.GradientTransformation):
        raise ValueError(f"optimizer is {choice!r}, needs a name or an optax optimiser")
    return optax.with_extra_args_support(choice)


def check_optimizer(choice: Any) -> None:
    """Tries a step, without computing it.

    Raises:
      ValueError: no optimiser, or one that cannot make a step from what we have.
    """
    optimizer = make_optimizer(choice, cosine_schedule(jnp.asarray(0.1), 1))

    def step(z: list[Array]) -> Any:
        value = {"value": jnp.sum(z[0]), "grad": z, "value_fn": lambda z: jnp.sum(z[0])}
        return optimizer.update(z, optimizer.init(z), z, **value)

    try:
        jax.eval_shape(step, [jnp.zeros((4, 4, 3))])
    except Exception as error:  # whatever a function that is no optimiser may do
        first = str(error).splitlines()[0]
        raise ValueError(f"optimizer {choice!r} cannot make a step: {first}") from None


def cosine_schedule(learning_rate: Array, total: int | Array) -> optax.Schedule:
    """From the learning rate to a tenth of it along half a cosine."""
    return lambda count: learning_rate * (0.55 + 0.45 * jnp.cos(jnp.pi * count / total))


@partial(jax.jit, static_argnames="objective")
def start(objective: Objective, pictures: Array) -> State:
    """The state before the first step, for first pictures [G, H, W, 3]."""

    def one(picture: Array) -> State:
        z = parametrize.encode(picture, kind=objective.parametrization)
        optimizer = make_optimizer(objective.optimizer, optax.constant_schedule(0.0))
        return State(z, optimizer.init(z), z, jnp.asarray(jnp.inf, jnp.float32))

    return jax.vmap(one)(pictures)


@partial(jax.jit, static_argnames="objective")
def pictures_of(objective: Objective, z: list[Array]) -> Array:
    """The pictures [G, H, W, 3] in [0, 1] of a state's ``z`` or ``best``."""
    return jax.vmap(partial(parametrize.decode, kind=objective.parametrization))(z)


@partial(jax.jit, static_argnames="objective")
def run_chunk(
    objective: Objective,
    variables: Variables,
    state: State,
    targets: Targets,
    weights: LossWeights,
    shifts: Array,
    key: Array,
    steps: Steps,
) -> tuple[State, dict[str, Array]]:
    """Makes up to `CHUNK` steps for a group of G pictures.

    Args:
      objective: static.
      variables: of the network, shared by all pictures.
      state, targets, weights: a leading axis of G on every leaf.
      shifts: [S, 2], see `objective.random_shifts`; the same for all pictures.
      key: from which, with its number, each step draws its shift; the same for all pictures.
      steps: which ones.

    Returns:
      The new state and every term of the loss by name, [CHUNK, G], NaN beyond ``steps.number``.
    """
    variables = objective.architecture.lay_out(variables)
    group = jax.tree.leaves(state.z)[0].shape[0]
    history = {name: jnp.full((CHUNK, group), jnp.nan) for name in TERMS}

    def body(i: Array, carry: tuple) -> tuple:
        state, history = carry
        step_key = jax.random.fold_in(key, steps.start + i)
        index = jax.random.randint(step_key, (), 0, shifts.shape[0])
        one = partial(_step, objective, variables, index, shifts[index], steps.total)
        state, terms = jax.vmap(one)(state, targets, weights)
        return state, {name: history[name].at[i].set(terms[name]) for name in TERMS}

    return jax.lax.fori_loop(0, steps.number, body, (state, history))


def _step(
    objective: Objective,
    variables: Variables,
    index: Array,
    shift: Array,
    total: int | Array,
    state: State,
    targets: Targets,
    weights: LossWeights,
) -> tuple[State, dict[str, Array]]:
    """One step of one picture."""

    def loss(z: list[Array]) -> tuple[Array, dict[str, Array]]:
        picture = parametrize.decode(z, kind=objective.parametrization)
        return objectives.loss(objective, variables, picture, targets, weights, shift, index)

    (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(state.z)
    schedule = cosine_schedule(jnp.asarray(weights.learning_rate), total)
    updates, optimizer = make_optimizer(objective.optimizer, schedule).update(
        gradient,
        state.optimizer,
        state.z,
        value=value,
        grad=gradient,
        value_fn=lambda z: loss(z)[0],
    )
    z = parametrize.project(optax.apply_updates(state.z, updates), kind=objective.parametrization)
    better = value < state.best_loss  # never of a NaN
    best = [jnp.where(better, *each) for each in zip(state.z, state.best, strict=True)]
    return State(z, optimizer, best, jnp.where(better, value, state.best_loss)), terms
