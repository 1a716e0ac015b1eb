"""Pictures of the curves that `loop.train` writes."""

import csv
import os
from pathlib import Path

from bnnjax.train.loop import TRAINING, VALIDATION

LOSSES = ("loss", "labels", "soft", "hints")


def draw(workdir: str | Path) -> Path | None:
    """Draws ``training.csv`` and ``validation.csv`` of a run as ``curves.png`` beside them.

    To the left the losses, to the right all else that was measured on validation pictures, and the
    accuracy on those of training; both over steps.

    Returns:
      The picture, or None without matplotlib (the extra ``plot``) or before the first rows.
    """
    workdir = Path(workdir)
    training, validation = (read(workdir / name) for name in (TRAINING, VALIDATION))
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # the curves are an extra; the figures are in the CSV
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


def read(path: str | Path) -> dict[str, list[float]]:
    """The columns of a CSV of numbers, by name; none if there is no such file, or an empty one."""
    if not Path(path).exists():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else ())}
