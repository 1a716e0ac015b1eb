"""One picture's step, vectorised over a group of pictures and jitted in chunks of steps.

A chunk is one compiled call. The host reads the losses between chunks, so that progress, previews
and interruption cost nothing within one. The number of steps and the weights are traced: one
compilation serves every run with the same problem, picture size and group size.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from bnnjax.optimize import optimizers
from bnnjax.optimize.optimizers import Factory, Schedule
from bnnjax.optimize.parametrizations import Parametrization

CHUNK = 25  # most steps per compiled call: about a second at 224 px

Terms = dict[str, Array]


class Objective(Protocol):
    """What to minimise; static and hashable (a frozen dataclass, say), so that equal objectives
    share a compiled step."""

    def loss(
        self, variables: Any, picture: Array, data: Any, weights: Mapping[str, Array], key: Array
    ) -> tuple[Array, Terms]:
        """The loss of one picture.

        Args:
          variables: the variables of the network or networks; a pytree, shared by all pictures.
          picture: float32 [H, W, 3], sRGB in [0, 1].
          data: what this picture is compared with; a pytree of arrays.
          weights: this picture's weights by name, scalars or small arrays.
          key: a random key that changes with each step and is the same for all pictures.

        Returns:
          The scalar to minimise, and its terms by name: scalars that go into the history.
        """
        ...


class Problem(NamedTuple):
    """The static half of a run; hashable."""

    objective: Objective
    parametrization: Parametrization
    optimizer: Factory
    schedule: Schedule


class State(NamedTuple):
    """What a step updates; in a group, every leaf has a leading axis of pictures.

    ``best`` holds the params with the lowest loss so far.
    """

    params: Any
    optimizer: Any
    best: Any
    best_loss: Array


class Steps(NamedTuple):
    """The steps of a chunk (traced): ``number`` steps from ``start``, out of ``total``."""

    start: Array | np.int32
    number: Array | np.int32
    total: Array | np.int32


@partial(jax.jit, static_argnames="problem")
def start(problem: Problem, pictures: Array, data: Any) -> State:
    """The state before the first step, for initial pictures [G, H, W, 3]."""

    def one(picture: Array, data: Any) -> State:
        params = problem.parametrization.encode(picture, data)
        optimizer = problem.optimizer(optax.constant_schedule(0.0))
        worst = jnp.asarray(jnp.inf, jnp.float32)
        return State(params, optimizer.init(params), params, worst)

    return jax.vmap(one)(pictures, data)


@partial(jax.jit, static_argnames="problem")
def decode(problem: Problem, params: Any, data: Any) -> Array:
    """The pictures [G, H, W, 3] of a state's ``params`` or ``best``."""
    return jax.vmap(problem.parametrization.decode)(params, data)


@partial(jax.jit, static_argnames="problem", donate_argnames="state")
def run_chunk(
    problem: Problem,
    variables: Any,
    state: State,
    data: Any,
    weights: Mapping[str, Array],
    learning_rate: Array,
    key: Array,
    steps: Steps,
) -> tuple[State, Terms]:
    """Runs up to `CHUNK` steps for a group of G pictures.

    Args:
      problem: static.
      variables: shared by all pictures.
      state, data, weights, learning_rate: pytrees with a leading axis of G on every leaf.
      key: a random key; each step folds in its own number.
      steps: the steps to run.

    Returns:
      The new state, and every term by name, [CHUNK, G], with the loss as "total"; only the first
      ``steps.number`` rows are valid.
    """

    def step(number: Array, state: State) -> tuple[State, Terms]:
        one = partial(
            _step,
            problem,
            variables,
            jax.random.fold_in(key, number),
            number.astype(jnp.float32) / steps.total.astype(jnp.float32),
        )
        return jax.vmap(one)(state, data, weights, learning_rate)

    def body(i: Array, carry: tuple[State, Terms]) -> tuple[State, Terms]:
        state, history = carry
        state, terms = step(steps.start + i, state)
        return state, jax.tree.map(lambda column, term: column.at[i].set(term), history, terms)

    evaluate = partial(_evaluate, problem, variables, key)
    _, terms = jax.eval_shape(jax.vmap(evaluate), state.params, data, weights)
    history = {name: jnp.zeros((CHUNK, *t.shape), jnp.float32) for name, t in terms.items()}
    return jax.lax.fori_loop(0, steps.number, body, (state, history))


def _evaluate(
    problem: Problem,
    variables: Any,
    key: Array,
    params: Any,
    data: Any,
    weights: Mapping[str, Array],
) -> tuple[Array, Terms]:
    """The loss of one picture, and the terms that are recorded, all float32."""
    picture = problem.parametrization.decode(params, data)
    total, terms = problem.objective.loss(variables, picture, data, weights, key)
    if "total" in terms:
        raise ValueError("a term is called 'total', which is the name of the loss; rename it")
    # The loss may be of another dtype: of data in float64, say, where JAX has that enabled.
    scalars = {n: jnp.asarray(v, jnp.float32) for n, v in {**terms, "total": total}.items()}
    for name, value in scalars.items():
        if value.shape:
            raise ValueError(f"{name} has shape {value.shape}, needs to be a scalar")
    return scalars["total"], scalars


def _step(
    problem: Problem,
    variables: Any,
    key: Array,
    done: Array,
    state: State,
    data: Any,
    weights: Mapping[str, Array],
    learning_rate: Array,
) -> tuple[State, Terms]:
    """One step of one picture."""

    def loss(params: Any) -> tuple[Array, Terms]:
        return _evaluate(problem, variables, key, params, data, weights)

    (value, terms), gradient = jax.value_and_grad(loss, has_aux=True)(state.params)
    rate = learning_rate * problem.schedule(done)
    updates, memory = optimizers.update(
        problem.optimizer(lambda _: rate),
        gradient,
        state.optimizer,
        state.params,
        value=value,
        value_fn=lambda params: loss(params)[0],
    )
    params = optax.apply_updates(state.params, updates)
    params = problem.parametrization.project(params, data)
    better = value < state.best_loss  # never true of a NaN
    best = jax.tree.map(partial(jnp.where, better), state.params, state.best)
    new = State(params, memory, best, jnp.where(better, value, state.best_loss))
    return new, terms
