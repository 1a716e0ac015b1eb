"""The training loop: progress, curves, checkpoints, and going on where it was cut off."""

import contextlib
import csv
import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np
from tqdm.auto import tqdm

LOG_EVERY = 25  # steps between rows of the curves
SAVE_EVERY = 150  # steps between checkpoints
TRAINING, VALIDATION, CHOICES = "training.csv", "validation.csv", "choices.json"


class Task(Protocol):
    """What can be trained."""

    epochs: int
    steps_per_epoch: int
    choices: Mapping[str, Any]  # plain values, the same in all runs that one checkpoint may join

    def start(self) -> Any:
        """The state before the first step, a pytree of arrays."""

    def train(self, state: Any, step: int) -> tuple[Any, dict[str, Any]]:
        """The state after step number ``step``, and the step's figures, scalars."""

    def evaluate(self, state: Any) -> dict[str, float]:
        """Figures of how good the state is."""


def train(
    task: Task,
    workdir: str | Path,
    *,
    after_epoch: Callable[[Any, int, dict[str, float]], None] | None = None,
    progress: bool = True,
) -> Any:
    """Trains to the end, from the last checkpoint in ``workdir`` if there is one.

    An interrupted run goes on from its last checkpoint and gives the same result, number for
    number, as one that never stopped.

    Args:
      task: what to train.
      workdir: for checkpoints, the task's ``choices.json`` and the curves ``training.csv`` (a row
        every 25 steps, means over them; ``seconds`` are those of a step, compilation included, all
        else left out) and ``validation.csv`` (a row an epoch).
      after_epoch: called with the state, the number of epochs done, and what was measured.
      progress: whether to show a progress bar with the time left.

    Returns:
      The final state.

    Raises:
      ValueError: an epoch without steps (there are fewer pictures than a step takes), or a
        ``workdir`` that was begun with other choices.
    """
    if task.steps_per_epoch < 1:
        raise ValueError("an epoch has no step; give more pictures, or a smaller batch size")
    import orbax.checkpoint as ocp  # takes a second to import

    workdir = Path(workdir).absolute()
    _check_choices(workdir, task.choices)
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    with ocp.CheckpointManager(workdir / "checkpoints", options=options) as manager:
        state, done = task.start(), manager.latest_step() or 0
        if done:
            state = manager.restore(done, args=ocp.args.StandardRestore(state))
        curves = _Curves(workdir, done)
        last = task.epochs * task.steps_per_epoch
        with tqdm(total=last, initial=done, unit="step", disable=not progress) as bar:
            for step in range(done + 1, last + 1):
                state, figures = task.train(state, step - 1)
                bar.update()
                curves.add(step, figures)
                epoch, rest = divmod(step, task.steps_per_epoch)
                if not rest:
                    with curves.paused(figures):
                        measured = task.evaluate(state)
                        curves.measured(step, epoch, measured)
                        bar.set_postfix(measured)
                        if after_epoch:
                            after_epoch(state, epoch, measured)
                if step % SAVE_EVERY == 0 or step == last:
                    with curves.paused(figures):
                        manager.save(step, args=ocp.args.StandardSave(state))
    return state


def _check_choices(workdir: Path, choices: Mapping[str, Any]) -> None:
    """Keeps the choices of a run that begins, and compares them with those of one that goes on."""
    path, ours = workdir / CHOICES, json.loads(json.dumps(choices))
    if not path.exists():
        workdir.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(ours, indent=2) + "\n")
        draft.replace(path)
        return
    begun = json.loads(path.read_text())
    for name in sorted(begun.keys() | ours.keys()):
        if begun.get(name) != ours.get(name):
            raise ValueError(
                f"{workdir} was begun with {name}={begun.get(name)!r}, not {ours.get(name)!r}; "
                "give another folder"
            )


class _Curves:
    """The two tables of a run that has done so many steps."""

    def __init__(self, workdir: Path, done: int) -> None:
        self._training, self._validation = workdir / TRAINING, workdir / VALIDATION
        for path in (self._training, self._validation):
            _cut(path, done)
        self._waiting: list[Mapping[str, Any]] = []
        self._since = time.perf_counter()

    def add(self, step: int, figures: Mapping[str, Any]) -> None:
        """The figures of a step, kept until there is a row of them."""
        self._waiting.append(figures)
        if step % LOG_EVERY:
            return
        means = {
            name: float(np.mean([float(each[name]) for each in self._waiting])) for name in figures
        }
        seconds = (time.perf_counter() - self._since) / len(self._waiting)
        _append(self._training, {"step": step, **means, "seconds": seconds})
        self._waiting, self._since = [], time.perf_counter()

    @contextlib.contextmanager
    def paused(self, figures: Mapping[str, Any]) -> Iterator[None]:
        """Time that is no step's; the steps up to ``figures`` are waited for first."""
        jax.block_until_ready(figures)
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def measured(self, step: int, epoch: int, figures: Mapping[str, float]) -> None:
        """What a whole epoch has come to."""
        _append(self._validation, {"step": step, "epoch": epoch, **figures})


def _append(path: Path, row: Mapping[str, Any]) -> None:
    new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys())
        if new:
            writer.writeheader()
        writer.writerow(row)


def _cut(path: Path, step: int) -> None:
    """Leaves the rows up to a step: what came after it is about to be made again."""
    if not step:
        path.unlink(missing_ok=True)
    if not path.exists():
        return
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    if not rows:  # cut off before its heading was written
        path.unlink()
        return
    heading, *rows = rows
    kept = [row for row in rows if len(row) == len(heading) and int(row[0]) <= step]
    draft = path.with_suffix(".draft")
    with open(draft, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *kept])
    draft.replace(path)
