"""Groups: pictures that one compiled step takes together."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.optimize import memory
from bnnjax.optimize.devices import Devices
from bnnjax.optimize.step import CHUNK, Problem, State, Steps, decode, run_chunk, start

TURN = 1.0  # seconds that a group is left to itself, about


class Run(NamedTuple):
    """What all groups of a run share.

    Attributes:
      problem: the static half.
      devices: where it runs.
      variables: of the networks, a copy on each device.
      key: of all steps, likewise.
      total: how many steps each picture gets.
    """

    problem: Problem
    devices: Devices
    variables: Any
    key: Array
    total: int


class Inputs(NamedTuple):
    """What the pictures begin with, in their order: ``pictures`` float32 [H, W, 3], ``data`` a
    function of a picture's number, ``weights`` by name and ``learning_rate`` [N, ...]."""

    pictures: Sequence[np.ndarray]
    data: Callable[[int], Any]
    weights: Mapping[str, np.ndarray]
    learning_rate: np.ndarray


@dataclasses.dataclass
class Group:
    """Pictures under way; every array has a leading axis of pictures.

    Attributes:
      members: the numbers of its pictures. There may be fewer than the step takes; the last is
        then repeated, which costs less than to compile a smaller step.
      history: every term by name, [steps in all, G], of which ``done`` rows are filled.
      length: how many steps the next turn makes.
    """

    members: tuple[int, ...]
    state: State
    data: Any
    weights: Mapping[str, Array]
    learning_rate: Array
    history: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    done: int = 0
    length: int = 1  # a single step first, which shows soon that all is well

    @classmethod
    def begin(cls, run: Run, inputs: Inputs, members: Sequence[int], size: int) -> "Group":
        """The group before its first step."""
        numbers = [*members, *[members[-1]] * (size - len(members))]
        spread = run.devices.spread
        pictures = spread(np.stack([inputs.pictures[number] for number in numbers]))
        each = [inputs.data(number) for number in numbers]
        data = spread(jax.tree.map(lambda *leaves: jnp.stack(leaves), *each))
        weights = {name: spread(values[numbers]) for name, values in inputs.weights.items()}
        rate = spread(inputs.learning_rate[numbers])
        return cls(tuple(members), start(run.problem, pictures, data), data, weights, rate)

    def arguments(self, run: Run, number: int) -> tuple[Any, ...]:
        """What `run_chunk` takes to make so many steps, after the static ones."""
        steps = run.devices.share(Steps(*map(np.int32, (self.done, number, run.total))))
        own = (self.state, self.data, self.weights, self.learning_rate)
        return run.variables, *own, run.key, steps

    def advance(self, run: Run, step: Callable[..., Any]) -> None:
        """Makes a turn of about `TURN` seconds by a compiled step."""
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
        """Whether all steps are made, or every picture has diverged."""
        hopeless = self.done > 0 and not np.isfinite(self.history["total"][self.done - 1]).any()
        return self.done == total or hopeless

    def best(self, problem: Problem) -> list[np.ndarray]:
        """The members' pictures of the lowest loss so far, float32 [H, W, 3]."""
        return list(np.asarray(decode(problem, self.state.best, self.data))[: len(self.members)])

    def diverged(self, problem: Problem) -> dict[int, int]:
        """Members whose loss or picture is not finite, and the step (from 1) since when."""
        last = np.asarray(decode(problem, self.state.params, self.data))
        found = {}
        for place, member in enumerate(self.members):
            bad = ~np.isfinite(self.history["total"][: self.done, place])
            if bad.any() or not np.isfinite(last[place]).all():
                found[member] = int(bad.argmax()) + 1 if bad.any() else self.done
        return found


class Plan(NamedTuple):
    """A group that is to come: its members, how many pictures its step takes, the step as XLA got
    it (which says what is computed, to the last detail), and compiled."""

    members: tuple[int, ...]
    size: int
    lowered: Any
    compiled: Callable[..., Any]


def plan(run: Run, inputs: Inputs) -> tuple[list[Plan], int]:
    """The groups of a run, and the bytes that the run takes. Compiles a step per kind of picture.

    Pictures are of one kind when they have the same shape and their data too. Groups are as large
    as devices and memory allow, and no larger than need be.
    """
    kinds: dict[Any, list[int]] = {}
    for number, picture in enumerate(inputs.pictures):
        leaves, structure = jax.tree.flatten(jax.eval_shape(lambda n=number: inputs.data(n)))
        shapes = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        kinds.setdefault((picture.shape, structure, shapes), []).append(number)
    plans, largest = [], 0
    for members in kinds.values():
        size, lowered, compiled = _compile(run, inputs, members)
        largest = max(largest, memory.step_bytes(compiled))
        for first in range(0, len(members), size):
            plans.append(Plan(tuple(members[first : first + size]), size, lowered, compiled))
    results = sum(picture.nbytes for picture in inputs.pictures)
    return plans, largest * min(run.devices.workers, len(plans)) + results


def _compile(run: Run, inputs: Inputs, members: Sequence[int]) -> tuple[int, Any, Any]:
    """How many of these pictures, all of one kind, a step takes; the step, lowered and compiled."""
    free, devices = memory.available_memory(), run.devices
    rounds = math.ceil(len(members) / (devices.most * devices.number))
    each = math.ceil(len(members) / (rounds * devices.number))  # pictures per device
    while True:
        size = each * devices.number
        group = Group.begin(run, inputs, members[:size], size)
        arguments = group.arguments(run, 1)
        lowered = run_chunk.lower(run.problem, devices.mesh, *arguments)
        compiled = lowered.compile()
        if each == 1 or free is None or memory.step_bytes(compiled) * devices.workers <= free:
            return size, lowered, compiled
        each = math.ceil(each / 2)
