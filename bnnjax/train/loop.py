"""The training loop: progress, curves, checkpoints, and going on where it was cut off."""

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm.auto import tqdm

LOG_EVERY = 25  # steps between rows of the curves
SAVE_EVERY = 150  # steps between checkpoints
TRAINING, VALIDATION = "training.csv", "validation.csv"


class Task(Protocol):
    """What can be trained."""

    epochs: int
    steps_per_epoch: int

    def start(self) -> Any:
        """The state before the first step, a pytree of arrays."""

    def train(self, state: Any, step: int) -> tuple[Any, dict[str, Any]]:
        """The state after step number ``step``, and the step's figures, scalars."""

    def evaluate(self, state: Any) -> dict[str, float]:
        """Figures of how good the state is."""


def train(
    task: Task, workdir: str | Path, *, after_epoch: Any = None, progress: bool = True
) -> Any:
    """Trains to the end, from the last checkpoint in ``workdir`` if there is one.

    An interrupted run goes on from its last checkpoint and gives the same result, number for
    number, as one that never stopped.

    Args:
      task: what to train.
      workdir: for checkpoints and the curves ``training.csv`` (a row every 25 steps, means over
        them) and ``validation.csv`` (a row an epoch).
      after_epoch: called as ``after_epoch(state, epoch, figures)``.
      progress: whether to show a progress bar with the time left.

    Returns:
      The final state.

    Raises:
      ValueError: an epoch without steps: there are fewer pictures than a step takes.
    """
    if task.steps_per_epoch < 1:
        raise ValueError("an epoch has no step; give more pictures, or a smaller batch size")
    import orbax.checkpoint as ocp  # takes a second to import

    workdir = Path(workdir).absolute()
    options = ocp.CheckpointManagerOptions(max_to_keep=2, save_interval_steps=1)
    with ocp.CheckpointManager(workdir / "checkpoints", options=options) as manager:
        state, step = task.start(), manager.latest_step() or 0
        if step:
            state = manager.restore(step, args=ocp.args.StandardRestore(state))
        _cut(workdir / TRAINING, step)
        _cut(workdir / VALIDATION, step)
        last, figures, begun = task.epochs * task.steps_per_epoch, [], time.time()
        with tqdm(total=last, initial=step, unit="step", disable=not progress) as bar:
            while step < last:
                state, figure = task.train(state, step)
                step += 1
                figures.append(figure)
                bar.update()
                if step % LOG_EVERY == 0:
                    means = _means(figures)
                    bar.set_postfix(loss=f"{means['loss']:.3f}")
                    took = (time.time() - begun) / LOG_EVERY
                    _append(workdir / TRAINING, {"step": step, **means, "seconds": took})
                    figures, begun = [], time.time()
                if step % task.steps_per_epoch == 0:
                    epoch = step // task.steps_per_epoch
                    measured = task.evaluate(state)
                    bar.write(
                        f"epoch {epoch}: " + ", ".join(f"{k} {v:.2f}" for k, v in measured.items())
                    )
                    _append(workdir / VALIDATION, {"step": step, "epoch": epoch, **measured})
                    if after_epoch:
                        after_epoch(state, epoch, measured)
                if step % SAVE_EVERY == 0 or step == last:
                    manager.save(step, args=ocp.args.StandardSave(state))
        manager.wait_until_finished()
    return state


def _means(figures: list[Mapping[str, Any]]) -> dict[str, float]:
    names = figures[0].keys()
    return {name: float(np.mean([float(figure[name]) for figure in figures])) for name in names}


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
        heading, *rows = csv.reader(file)
    kept = [row for row in rows if len(row) == len(heading) and int(row[0]) <= step]
    draft = path.with_suffix(".draft")
    with open(draft, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([heading, *kept])
    draft.replace(path)
