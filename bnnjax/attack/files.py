"""The files of an attack: pictures, a table, curves and a contact sheet."""

import csv
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bnnjax import destination
from bnnjax.images import contact_sheet, save_png

if TYPE_CHECKING:
    from bnnjax.attack.result import AttackResult

TABLE, CURVES, SHEET = "attack.csv", "attack.png", "contact_sheet.png"
_ROWS = 12  # of the contact sheet


def save(result: "AttackResult", directory: Path, *, overwrite: bool) -> list[Path]:
    """See `AttackResult.save`."""
    check(directory, overwrite=overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for row, epsilon in enumerate(result.epsilons):
        for number in np.flatnonzero(result.inputs.attackable()).tolist():
            path = directory / f"{_name(result, number, epsilon)}.png"
            save_png(path, result.outcome.pictures[row][number], overwrite=overwrite)
            beside = path.with_name(f"{path.stem}__change.png")
            save_png(beside, change(result, row, number), overwrite=overwrite)
            paths += [path, beside]
    _write_table(directory / TABLE, result)
    pictures, labels = _sheet(result)
    save_png(directory / SHEET, contact_sheet(pictures, labels=labels), overwrite=overwrite)
    drawn = [directory / CURVES] if _draw(directory / CURVES, result) else []
    return [*paths, directory / TABLE, *drawn, directory / SHEET]


def check(directory: Path, *, overwrite: bool) -> None:
    """Call it before the work starts, so that no result is lost.

    Raises:
      ValueError: the folder holds an attack already (unless ``overwrite``), or is a file.
    """
    destination.check([directory / TABLE], overwrite=overwrite)


def change(result: "AttackResult", row: int, number: int) -> np.ndarray:
    """The change of a picture on grey, its largest value as the full range, float32 [H, W, 3]."""
    before = result.inputs.pictures[number].astype(np.float32)
    found = result.outcome.pictures[row][number] - before
    return 0.5 + 0.5 * found / max(float(np.abs(found).max()), 1.0)


def _name(result: "AttackResult", number: int, epsilon: float) -> str:
    name = result.inputs.names[number]
    return name if np.isinf(epsilon) else f"{name}__eps{epsilon:g}"


def _write_table(path: Path, result: "AttackResult") -> None:
    names, inputs = result.class_names, result.inputs
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["picture", "epsilon", "label", "target", "attacked", "success",
             "success_before_rounding", "linf", "l2", "ssim", "top5_before", "top5_after"]
        )  # fmt: skip
        for row, epsilon in enumerate(result.epsilons):
            for number, name in enumerate(inputs.names):
                target = names[inputs.targets[number]] if inputs.targeted else ""
                writer.writerow(
                    [name, f"{epsilon:g}", names[inputs.labels[number]], target,
                     int(inputs.attackable()[number]), int(result.success[row, number]),
                     int(result.outcome.fooled[row, number]),
                     *(f"{value:.4f}" for value in result.distances[row][number]),
                     _top(result.guesses(number)), _top(result.guesses(number, row))]
                )  # fmt: skip


def _top(guesses: list[tuple[str, float]]) -> str:
    return "; ".join(f"{name} {chance:.3f}" for name, chance in guesses)


def _sheet(result: "AttackResult") -> tuple[list[list[np.ndarray]], list[list[str]]]:
    """A row for each of the first attacked pictures: it, then after each attack with its change."""
    pictures, labels = [], []
    for number in np.flatnonzero(result.inputs.attackable())[:_ROWS].tolist():
        pictures.append([result.inputs.pictures[number]])
        labels.append([_caption(result.guesses(number), "")])
        for row, epsilon in enumerate(result.epsilons):
            size = "" if np.isinf(epsilon) else f"{epsilon:g}: "
            pictures[-1] += [result.outcome.pictures[row][number], change(result, row, number)]
            moved = result.distances[row][number]
            labels[-1] += [
                _caption(result.guesses(number, row), size),
                f"Linf {moved.linf:g}, SSIM {moved.ssim:.3f}",
            ]
    if not pictures:
        return [result.inputs.pictures[:1]], [["nothing was attacked"]]
    return pictures, labels


def _caption(guesses: list[tuple[str, float]], size: str) -> str:
    name, chance = guesses[0]
    return f"{size}{name} {100 * chance:.0f} %"


def _draw(path: Path, result: "AttackResult") -> bool:
    """Accuracy and success by radius, unless matplotlib is missing or there is no radius."""
    if np.isinf(result.epsilons).any():
        return False
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # matplotlib is optional; the table has all numbers
        return False
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    radii = [0.0, *result.epsilons]
    axes.plot(radii, [result.clean_top1, *result.adversarial_top1], "o-", label="accuracy")
    axes.plot(radii, [0.0, *result.success_rate], "s--", label="success of the attack")
    norm = {"linf": "L∞", "l2": "L2"}[result.config.norm]
    axes.set(xlabel=f"radius ({norm}), 1/255", ylabel="%", ylim=(-3, 103))
    axes.set_title(f"{result.network.name}, {result.config.attack}")
    axes.legend()
    figure.savefig(path, dpi=120)
    return True
