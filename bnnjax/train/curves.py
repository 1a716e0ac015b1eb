"""The curves of a training run: tables that survive interruptions, and a picture of them."""

import contextlib
import csv
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bnnjax.images import failure

TRAINING, VALIDATION = "training.csv", "validation.csv"
LOG_EVERY = 25  # steps between rows of the training curve
LOSSES = ("loss", "labels", "soft", "hints")  # the columns that are plotted as losses


class CurveWriter:
    """Writes the tables of a run: ``training.csv`` and ``validation.csv``.

    ``training.csv`` has a row every 25 steps with the means of the metrics over these steps;
    ``seconds`` is the duration of a step, including compilation but not validation or checkpoints.
    ``validation.csv`` has a row per epoch.

    Args:
      workdir: the directory of the tables.
      done: the step from which the run resumes; later rows are dropped, because they will be
        written again.
    """

    def __init__(self, workdir: Path, done: int) -> None:
        self._training, self._validation = workdir / TRAINING, workdir / VALIDATION
        for path in (self._training, self._validation):
            _truncate(path, done)
        self._pending: list[Mapping[str, Any]] = []
        self._since = time.perf_counter()

    def add(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Adds the metrics of a training step."""
        self._pending.append(metrics)
        if step % LOG_EVERY:
            return
        means = {name: np.mean([float(each[name]) for each in self._pending]) for name in metrics}
        seconds = (time.perf_counter() - self._since) / len(self._pending)
        _append(self._training, {"step": step, **means, "seconds": seconds})
        self._pending, self._since = [], time.perf_counter()

    @contextlib.contextmanager
    def paused(self, metrics: Mapping[str, Any]) -> Iterator[None]:
        """Stops the clock as soon as the step that computes these metrics is done."""
        jax.block_until_ready(metrics)
        began = time.perf_counter()
        yield
        self._since += time.perf_counter() - began

    def add_validation(self, step: int, epoch: int, metrics: Mapping[str, float]) -> None:
        """Adds the validation metrics of an epoch."""
        _append(self._validation, {"step": step, "epoch": epoch, **metrics})


def _append(path: Path, row: Mapping[str, Any]) -> None:
    is_new = not path.exists()
    with open(path, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row.keys())
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def _truncate(path: Path, step: int) -> None:
    """Drops the rows after a step, and incomplete rows of an interruption."""
    if not step:
        path.unlink(missing_ok=True)
    if not path.exists():
        return
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.reader(file))
    except csv.Error as error:
        raise failure(path, "damaged; move it away to go on without it", error) from None
    if not rows:  # interrupted before the header was written
        path.unlink()
        return
    header, *rows = rows
    kept = [row for row in rows if len(row) == len(header) and _is_until(row[0], step)]
    draft = path.with_suffix(".draft")
    with open(draft, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *kept])
    draft.replace(path)


def _is_until(cell: str, step: int) -> bool:
    """Whether a row begins with the number of a step up to ``step``."""
    try:
        return int(cell) <= step
    except ValueError:
        return False


def read(path: str | Path) -> dict[str, list[float]]:
    """The columns of such a table by name; an empty dict if the file is missing or has no rows."""
    if not Path(path).exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}


def plot(workdir: str | Path) -> Path | None:
    """Plots the tables of a run as ``curves.png`` beside them.

    The left panel shows the losses, the right one all validation metrics and the training accuracy;
    both over steps.

    Returns:
      The picture, or None without matplotlib (the extra ``plot``) or before the first rows.
    """
    workdir = Path(workdir)
    training, validation = (read(workdir / name) for name in (TRAINING, VALIDATION))
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # the picture is an extra; the numbers are in the tables
        return None
    if not training:
        return None
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name in LOSSES:
        if name in training:
            left.plot(training["step"], training[name], label=name)
    if "accuracy" in training:
        right.plot(training["step"], training["accuracy"], label="training", alpha=0.5)
    for name in validation.keys() - {"step", "epoch"}:
        right.plot(validation["step"], validation[name], marker=".", label=name)
    left.set(xlabel="step", ylabel="loss", yscale="log")
    right.set(xlabel="step", ylabel="%")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.savefig(workdir / "curves.png", dpi=120)
    return workdir / "curves.png"
