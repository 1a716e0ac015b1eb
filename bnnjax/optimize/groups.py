"""Groups: pictures that one compiled step processes together."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.optimize import memory
from bnnjax.optimize.devices import Devices
from bnnjax.optimize.step import CHUNK, Problem, State, Steps, decode, run_chunk, start

TURN = 1.0  # approximate seconds between two returns of a group to the host


class Run(NamedTuple):
    """What all groups of a run share.

    Attributes:
      problem: the static half.
      devices: the devices that it runs on.
      shared: each device → its copies of the networks' variables and of the random key.
      total: the number of steps per picture.
    """

    problem: Problem
    devices: Devices
    shared: Mapping[jax.Device, tuple[Any, Array]]
    total: int


class Inputs(NamedTuple):
    """The inputs in the order of the pictures: ``pictures`` float32 [H, W, 3] each, ``data`` a
    function of a picture's index, ``weights`` by name and ``learning_rate``, both [N, ...];
    ``skip``, the indices of those that are finished."""

    pictures: Sequence[np.ndarray]
    data: Callable[[int], Any]
    weights: Mapping[str, np.ndarray]
    learning_rate: np.ndarray
    skip: frozenset[int] = frozenset()


@dataclasses.dataclass
class Group:
    """Pictures that are being optimised; every array has a leading axis of pictures.

    Attributes:
      members: the indices of its pictures. If there are fewer than the step takes, the last one is
        repeated, which costs less than compiling a smaller step.
      history: every term by name, [total steps, G]; the first ``done`` rows are filled.
      length: the number of steps in the next turn.
    """

    members: tuple[int, ...]
    device: jax.Device
    state: State
    data: Any
    weights: Mapping[str, Array]
    learning_rate: Array
    history: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    done: int = 0
    length: int = 1  # one step first, so that problems show early

    @classmethod
    def begin(
        cls, run: Run, inputs: Inputs, members: Sequence[int], size: int, device: jax.Device
    ) -> "Group":
        """Creates a group on this device, before its first step."""
        return cls(tuple(members), device, *_arrays(run, inputs, members, size, device))

    @classmethod
    def planned(
        cls, run: Run, inputs: Inputs, members: Sequence[int], size: int, device: jax.Device
    ) -> "Group":
        """The group that `begin` would create, with the shapes of its arrays only."""
        shapes = jax.eval_shape(lambda: _arrays(run, inputs, members, size, device))
        return cls(tuple(members), device, *shapes)

    def arguments(self, run: Run, number: int) -> tuple[Any, ...]:
        """The non-static arguments of `run_chunk` for ``number`` steps."""
        variables, key = run.shared[self.device]
        steps = Steps(*map(np.int32, (self.done, number, run.total)))
        return variables, self.state, self.data, self.weights, self.learning_rate, key, steps

    def advance(self, run: Run, step: Callable[..., Any]) -> None:
        """Runs a compiled step for about `TURN` seconds."""
        began = time.perf_counter()
        number = min(self.length, run.total - self.done)
        self.state, terms = step(*self.arguments(run, number))
        for name, values in terms.items():
            shape = (run.total, values.shape[1])
            rows = self.history.setdefault(name, np.zeros(shape, np.float32))
            rows[self.done : self.done + number] = np.asarray(values)[:number]
        self.done += number
        spent = time.perf_counter() - began
        if spent < 0.7 * TURN:
            self.length = min(2 * self.length, CHUNK)
        elif spent > 2 * TURN:
            self.length = max(self.length // 2, 1)

    def finished(self, total: int) -> bool:
        """Whether all steps are done, or every picture has diverged."""
        hopeless = self.done > 0 and not np.isfinite(self.history["total"][self.done - 1]).any()
        return self.done == total or hopeless

    def best(self, problem: Problem) -> list[np.ndarray]:
        """The members' pictures with the lowest loss so far, float32 [H, W, 3]."""
        return list(np.asarray(decode(problem, self.state.best, self.data))[: len(self.members)])

    def diverged(self, problem: Problem) -> dict[int, int]:
        """Members whose loss or picture is not finite → the step (from 1) where that began."""
        last = np.asarray(decode(problem, self.state.params, self.data))
        found = {}
        for place, member in enumerate(self.members):
            bad = ~np.isfinite(self.history["total"][: self.done, place])
            if bad.any() or not np.isfinite(last[place]).all():
                found[member] = int(bad.argmax()) + 1 if bad.any() else self.done
        return found


def _arrays(
    run: Run, inputs: Inputs, members: Sequence[int], size: int, device: jax.Device
) -> tuple[State, Any, dict[str, Array], Array]:
    """State, data, weights and learning rates of a group of ``size``."""
    numbers = [*members, *[members[-1]] * (size - len(members))]
    put = partial(jax.device_put, device=device)
    pictures = put(np.stack([inputs.pictures[number] for number in numbers]))
    each = [inputs.data(number) for number in numbers]
    data = put(jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))
    weights = {name: put(values[numbers]) for name, values in inputs.weights.items()}
    rate = put(inputs.learning_rate[numbers])
    return start(run.problem, pictures, data), data, weights, rate


class Step:
    """The step for one kind of picture and one group size, compiled once per device."""

    def __init__(self, run: Run, group: Group) -> None:
        self.size = len(jax.tree.leaves(group.state)[0])
        self._compiled: dict[jax.Device, Any] = {}
        self.program = ""
        self.bytes = 0
        self.on(run, group)

    def on(self, run: Run, group: Group) -> Callable[..., Any]:
        """The compiled step for the device of this group."""
        if group.device not in self._compiled:
            lowered = run_chunk.lower(run.problem, *group.arguments(run, 1))
            compiled = self._compiled[group.device] = lowered.compile()
            self.program = lowered.as_text()
            self.bytes = memory.step_bytes(compiled)
            memory.release()
        return self._compiled[group.device]


class Plan(NamedTuple):
    """A group that has not started: its members and its step."""

    members: tuple[int, ...]
    step: Step


def plan(run: Run, inputs: Inputs) -> tuple[list[Plan], int]:
    """The groups of a run, and the bytes that the run needs. Compiles a step per kind of picture.
    Groups with no pictures but those to skip are left out.

    Pictures are of one kind if they and their data have the same shapes. Groups are as large as
    the devices allow, and no larger than necessary.
    """
    kinds: dict[Any, list[int]] = {}
    for number, picture in enumerate(inputs.pictures):
        leaves, structure = jax.tree.flatten(jax.eval_shape(lambda n=number: inputs.data(n)))
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        kinds.setdefault((picture.shape, structure, shapes), []).append(number)
    plans = []
    for members in kinds.values():
        if inputs.skip.issuperset(members):
            continue
        step = _fitting_step(run, inputs, members)
        for first in range(0, len(members), step.size):
            group = tuple(members[first : first + step.size])
            if not inputs.skip.issuperset(group):
                plans.append(Plan(group, step))
    at_once = min(len(run.devices.workers), len(plans)) if run.devices.shared else 1
    results = sum(picture.nbytes for picture in inputs.pictures)
    return plans, at_once * max((plan.step.bytes for plan in plans), default=0) + results


def _fitting_step(run: Run, inputs: Inputs, members: Sequence[int]) -> Step:
    """The step for these pictures of one kind, with the largest group that fits into memory."""
    free, workers = memory.available_memory(), run.devices.workers
    rounds = math.ceil(len(members) / (run.devices.most * len(workers)))
    size = math.ceil(len(members) / (rounds * len(workers)))
    while True:
        step = Step(run, Group.planned(run, inputs, members[:size], size, workers[0]))
        if size == 1 or free is None or step.bytes <= free:
            return step
        size = math.ceil(size / 2)
