"""`minimize`: takes an objective and initial pictures, returns pictures with a low loss."""

import dataclasses
import operator
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm.auto import tqdm

from bnnjax import interrupts
from bnnjax.optimize import devices, groups, memory, optimizers
from bnnjax.optimize.groups import Group, Inputs, Plan, Run
from bnnjax.optimize.optimizers import Schedule, cosine
from bnnjax.optimize.parametrizations import Parametrization, pixels
from bnnjax.optimize.snapshots import Snapshots
from bnnjax.optimize.step import Objective, Problem


class Update(NamedTuple):
    """The progress of pictures that are optimised together.

    Attributes:
      members: the indices of the pictures.
      steps: the number of steps done.
      finished: whether these were the last.
      pictures: the best so far, float32 [H, W, 3] each.
    """

    members: tuple[int, ...]
    steps: int
    finished: bool
    pictures: list[np.ndarray]


@dataclasses.dataclass
class Minimized:
    """The result of a run; lists are in the order of the initial pictures.

    Attributes:
      pictures: those with the lowest loss, float32 [H, W, 3]; the initial one if no step was done.
      history: every term of the loss by name, float32 [steps done]; "total" is the loss itself.
      diverged: index of each picture whose loss became non-finite → the step where it did.
      interrupted: whether Ctrl-C ended the run.
      estimated_memory: in bytes, by XLA's analysis.
      seconds: the time it took to "prepare" (plan and compile) and to "optimize".
    """

    pictures: list[np.ndarray]
    history: list[dict[str, np.ndarray]]
    diverged: dict[int, int] = dataclasses.field(default_factory=dict)
    interrupted: bool = False
    estimated_memory: int = 0
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


def minimize(
    objective: Objective,
    variables: Any,
    pictures: Any,
    data: Any = None,
    weights: Mapping[str, Any] | None = None,
    *,
    parametrization: Parametrization | None = None,
    optimizer: Any = "adam",
    learning_rate: Any = 0.03,
    schedule: Schedule = cosine,
    steps: int = 400,
    key: jax.Array | None = None,
    progress: bool = True,
    watch: Callable[[Update], None] | None = None,
    skip: Collection[int] = (),
    snapshots: str | Path | None = None,
    rehearse: bool = False,
) -> Minimized:
    """Optimises pictures independently, as many at a time as devices and memory allow.

    A picture's result depends on its own inputs alone: neither on the rest of the batch nor on the
    number of devices (of one kind, and up to the order of summation in wide groups).

    Args:
      objective: what to minimise; static and hashable, see `Objective`.
      variables: its networks' variables, a pytree; `Network.laid_out()` makes steps faster.
      pictures: the initial pictures, sRGB in [0, 1]: [N, H, W, 3], or a sequence of N [H, W, 3].
      data: what the pictures are compared with: a pytree whose leaves have a leading axis of N, or
        a function from a picture's index to its data. The function is called when the picture's
        turn comes and must be traceable by `jax.eval_shape`.
      weights: numbers or arrays by name: one for all pictures, or with a leading axis of N.
      parametrization: how a picture is represented by parameters; `pixels` if None.
      optimizer: "adam", "lbfgs", the name of an optax optimiser, a function from a learning rate
        to one, or an optax optimiser itself, which keeps its own learning rate.
      learning_rate: one for all pictures, or [N]. Like the weights, it is traced: changing it never
        triggers a compilation.
      schedule: maps the fraction of the run that is done to a factor of the learning rate:
        `cosine` (to a tenth) or `constant`.
      steps: the number of steps per picture.
      key: the random key of the run; `jax.random.key(0)` if None.
      progress: whether to show a progress bar with the time left.
      watch: called about once a second with an `Update`, in the calling thread.
      skip: the indices of pictures that keep their initial values, because an earlier run finished
        them: groups are formed as they were then, and those with no other pictures do not run.
      snapshots: a folder for snapshots; after a kill, the same call resumes from there.
      rehearse: whether to compile the steps and check the memory, but to do no step.

    Returns:
      The pictures with the lowest loss, and the terms of every step. Ctrl-C ends a run early.

    Raises:
      ValueError: invalid pictures, weights or options, a run that does not fit into memory, or
        snapshots of another run.
    """
    began = time.perf_counter()
    problem = _problem(objective, parametrization or pixels(), optimizer, schedule)
    inputs = _inputs(pictures, data, weights or {}, learning_rate)._replace(skip=frozenset(skip))
    steps = _at_least_one(steps)
    where = devices.find()
    shared = (variables, jax.random.key(0) if key is None else key)
    copies = {device: jax.device_put(shared, device) for device in where.workers}
    run = Run(problem, where, copies, steps)
    result = Minimized(list(inputs.pictures), [{} for _ in inputs.pictures])
    total = steps * (len(inputs.pictures) - len(inputs.skip))
    with tqdm(total=total, unit="step", disable=not progress, leave=not rehearse) as bar:
        bar.set_description("compiling")
        plans, result.estimated_memory = groups.plan(run, inputs)
        _check_memory(result.estimated_memory, len(inputs.pictures))
        if rehearse:
            return result
        bar.set_description(f"{result.estimated_memory / 2**20:.0f} MiB")
        prepared = time.perf_counter()
        folder = None if snapshots is None else Path(snapshots)
        turns = _turns(run, inputs, plans, folder)
        with interrupts.held() as interrupted:
            try:
                for group in turns:
                    before = result.history[group.members[0]].get("total", ())
                    _record(result, run, group)
                    bar.update((group.done - len(before)) * len(group.members))
                    if watch is not None:
                        watch(_update(result, run, group))
                    if interrupted.is_set():
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                result.interrupted = True
            finally:
                turns.close()
    result.seconds = {"prepare": prepared - began, "optimize": time.perf_counter() - prepared}
    return result


def _turns(
    run: Run, inputs: Inputs, plans: Sequence[Plan], folder: Path | None
) -> Generator[Group, None, None]:
    """Runs all groups to their ends, several at a time; yields each one after every turn.

    Only running groups have a state in memory. Compiled steps run in worker threads. Everything
    else, tracing included, runs in the calling thread, whose JAX settings may be thread-local.
    """
    waiting, began = deque(plans), time.monotonic()
    idle = list(run.devices.workers)
    active: dict[Future[None], _Turn] = {}
    with ThreadPoolExecutor(len(idle)) as threads:
        while waiting or active:
            while waiting and idle:
                plan = waiting.popleft()
                group = Group.begin(run, inputs, plan.members, plan.step.size, idle.pop())
                step = plan.step.on(run, group)
                kept = None
                if folder is not None:
                    kept = Snapshots(folder, run, group, plan.step.program, began=began)
                    kept.restore()
                active[threads.submit(group.advance, run, step)] = _Turn(group, step, kept)
            ended, _ = wait(active, return_when=FIRST_COMPLETED)
            for future in ended:
                group, step, kept = turn = active.pop(future)
                future.result()
                if kept:
                    kept.save()
                yield group
                if group.finished(run.total):
                    idle.append(group.device)
                else:
                    active[threads.submit(group.advance, run, step)] = turn


class _Turn(NamedTuple):
    group: Group
    step: Callable[..., Any]
    kept: Snapshots | None


def _record(result: Minimized, run: Run, group: Group) -> None:
    """Writes the state of a group into the result."""
    for place, (member, picture) in enumerate(
        zip(group.members, group.best(run.problem), strict=True)
    ):
        result.pictures[member] = picture
        result.history[member] = {n: rows[: group.done, place] for n, rows in group.history.items()}
    if group.finished(run.total):
        result.diverged |= group.diverged(run.problem)


def _update(result: Minimized, run: Run, group: Group) -> Update:
    pictures = [result.pictures[member] for member in group.members]
    return Update(group.members, group.done, group.finished(run.total), pictures)


# --- the inputs of a caller ----------------------------------------------------------------


def _problem(objective: Any, parametrization: Any, optimizer: Any, schedule: Any) -> Problem:
    if isinstance(objective, type) or not callable(getattr(objective, "loss", None)):
        raise ValueError(f"objective is {objective!r}, needs an object with a method `loss`")
    if not isinstance(parametrization, Parametrization):
        raise ValueError(f"parametrization is {parametrization!r}, needs one such as pixels()")
    if not callable(schedule):
        raise ValueError(f"schedule is {schedule!r}, needs a function such as optimize.cosine")
    problem = Problem(objective, parametrization, optimizers.factory(optimizer), schedule)
    try:
        hash(problem)
    except TypeError as error:
        raise ValueError(
            f"the objective must be hashable, a frozen dataclass, say ({error})"
        ) from None
    return problem


def _at_least_one(steps: Any) -> int:
    try:
        found = operator.index(steps)
    except TypeError:
        found = 0
    if found < 1:
        raise ValueError(f"steps is {steps!r}, needs an integer of at least 1")
    return found


def _inputs(pictures: Any, data: Any, weights: Mapping[str, Any], learning_rate: Any) -> Inputs:
    first = [_picture(number, picture) for number, picture in enumerate(pictures)]
    if not first:
        raise ValueError("no pictures were given")
    count = len(first)
    spread = {name: _per_picture(name, value, count) for name, value in weights.items()}
    rate = _per_picture("learning_rate", learning_rate, count)
    if rate.ndim != 1:
        raise ValueError(
            f"learning_rate has shape {np.shape(learning_rate)}, needs () or ({count},)"
        )
    return Inputs(first, data if callable(data) else _rows_of(data, count), spread, rate)


def _picture(number: int, picture: Any) -> np.ndarray:
    array = np.asarray(picture)
    if not jax.numpy.issubdtype(array.dtype, jax.numpy.floating):
        raise ValueError(f"picture {number} is {array.dtype}, needs floats, sRGB in [0, 1]")
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"picture {number} has shape {array.shape}, needs [H, W, 3]")
    return array.astype(np.float32, copy=False)


def _per_picture(name: str, value: Any, count: int) -> np.ndarray:
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, needs numbers") from None
    if array.ndim == 0:
        return np.full(count, array)
    if array.shape[0] != count:
        raise ValueError(f"{name} has shape {array.shape}, needs () or ({count}, …)")
    return array


def _rows_of(data: Any, count: int) -> Callable[[int], Any]:
    arrays = jax.tree.map(jax.numpy.asarray, data)
    for leaf in jax.tree.leaves(arrays):
        if leaf.ndim == 0 or leaf.shape[0] != count:
            raise ValueError(
                f"data holds an array {leaf.shape}, needs a leading axis of {count}; lists are "
                "pytrees, so convert them to arrays"
            )
    return lambda number: jax.tree.map(lambda leaf: leaf[number], arrays)


def _check_memory(needed: int, pictures: int) -> None:
    free = memory.available_memory()
    if free is not None and needed > free:
        raise ValueError(
            f"{pictures} picture(s) of this size need about {needed / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free; use a smaller size or fewer pictures at a time"
        )
