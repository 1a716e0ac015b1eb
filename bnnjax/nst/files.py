"""A stylization's files: pictures with their recipes, losses as a table and a curve, a sheet."""

import csv
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnnjax.images import contact_sheet, read_metadata, save_png
from bnnjax.nst.config import CHOICES
from bnnjax.nst.inputs import unused
from bnnjax.nst.objective import TERMS
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stylize import Preview

RECIPE = "bnnjax-recipe"  # keyword of the PNG's text


def save(result: StylizeResult, directory: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Writes everything there is of a result.

    NAME.png for every picture, with its recipe; ``losses.csv``, ``losses.png`` (where matplotlib
    is installed) and ``contact_sheet.png``, numbered where such files exist already.

    Returns:
      The paths written, the pictures' first.

    Raises:
      ValueError: a picture exists and ``overwrite`` is False, or a file cannot be written.
    """
    directory = Path(directory)
    paths = picture_paths(result.names, directory, overwrite=overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    for index, (path, image) in enumerate(zip(paths, result.images, strict=True)):
        recipe = json.dumps(result.recipe(index), ensure_ascii=False)
        save_png(path, image, metadata={RECIPE: recipe}, overwrite=overwrite)
    paths.append(_write_losses(result, _fresh(directory / "losses.csv")))
    curve = _fresh(directory / "losses.png")
    if _draw_losses(result, curve):
        paths.append(curve)
    sheet = _fresh(directory / "contact_sheet.png")
    save_png(sheet, _sheet(result))
    return [*paths, sheet]


def picture_paths(names: Iterable[str], directory: Path, *, overwrite: bool) -> list[Path]:
    """Where the pictures go; to be asked before the work, so that nothing is lost after it.

    Raises:
      ValueError: names the files that exist, unless ``overwrite``; or the directory is a file.
    """
    for folder in (directory, *directory.parents):
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file, needs to be a directory")
    paths = [directory / f"{name}.png" for name in names]
    existing = [str(path) for path in paths if path.exists()]
    if existing and not overwrite:
        raise ValueError(f"{', '.join(existing)}: exists already, and overwrite is off")
    return paths


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The recipe in a picture that `save` wrote.

    Raises:
      ValueError: not a PNG, or one without a recipe.
    """
    text = read_metadata(path).get(RECIPE)
    if text is None:
        raise ValueError(f"{path}: holds no recipe; only pictures made by bnnjax do")
    try:
        recipe = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: its recipe is damaged ({error})") from None
    if not isinstance(recipe, dict):
        raise ValueError(f"{path}: its recipe is damaged (no object of choices)")
    return recipe


def choices_of(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a recipe, as keyword arguments of `stylize_batch`."""
    return {name: value for name, value in recipe.items() if name in CHOICES}


def previewer(directory: Path) -> Preview:
    """A ``preview`` for `stylize_batch` that keeps NAME.preview.png of every picture up to date."""

    def write(_: int, names: Sequence[str], images: Sequence[np.ndarray]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, image in zip(names, images, strict=True):
            save_png(directory / f"{name}.preview.png", image, overwrite=True)

    return write


def table(result: StylizeResult, paths: Sequence[Path]) -> list[list[str]]:
    """What became of each picture: a heading and a row each."""
    rows = [["picture", "size", "steps", "loss first", "last", "file"]]
    for name, image, losses, path in zip(
        result.names, result.images, result.losses, paths[: len(result.names)], strict=True
    ):
        total = losses.get("total", np.zeros(0))
        ends = [f"{total[0]:.3f}", f"{total[-1]:.3f}"] if len(total) else ["", ""]
        height, width = image.shape[:2]
        rows.append([name, f"{width}×{height}", str(len(total)), *ends, str(path)])
    return rows


def summary(result: StylizeResult) -> str:
    """One line: what was done, with what, where, and how fast."""
    run = result.run
    steps = sum(len(losses.get("total", ())) for losses in result.losses)
    pace = 1000 * result.seconds["optimize"] / max(steps, 1)
    return (
        f"{len(result.names)} picture(s) by {run['network']} on {run['device']}, {run['backend']} "
        f"arithmetic; {pace:.1f} ms a step and picture, compilation included"
    )


def _fresh(path: Path) -> Path:
    stem = unused(path.stem, lambda stem: not path.with_stem(stem).exists())
    return path.with_stem(stem)


def _write_losses(result: StylizeResult, path: Path) -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "step", *TERMS])
        for name, values in zip(result.names, result.losses, strict=True):
            rows = np.stack([values[term] for term in TERMS], axis=1) if values else ()
            writer.writerows([name, step, *row] for step, row in enumerate(rows, start=1))
    return path


def _draw_losses(result: StylizeResult, path: Path) -> bool:
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # the curve is an extra; the figures are in the CSV
        return False
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in zip(result.names, result.losses, strict=True):
        if values:
            axes.semilogy(np.arange(1, len(values["total"]) + 1), values["total"], label=name)
    axes.set(xlabel="step", ylabel="total loss")
    if len(result.names) <= 12:
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    return True


def _sheet(result: StylizeResult) -> np.ndarray:
    rows, labels = [], []
    for pair, image in zip(result.pairs, result.images, strict=True):
        photograph, painting = result.photographs[pair.content], result.paintings[pair.style]
        rows.append([photograph.pixels, painting.pixels, image])
        labels.append([photograph.name, painting.name, pair.name])
    return contact_sheet(rows, labels=labels)
