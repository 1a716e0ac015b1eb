"""The files of a stylization: pictures, losses as a table and a plot, and a contact sheet."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bnnjax.images import contact_sheet, save_png
from bnnjax.nst.inputs import unused

Losses = Sequence[Mapping[str, np.ndarray]]  # per picture: every term by name, [steps]


def picture_paths(names: Iterable[str], directory: str | Path, *, overwrite: bool) -> list[Path]:
    """The paths of the pictures. Call it before the work starts, so that no result is lost.

    Raises:
      ValueError: some files exist (unless ``overwrite``), or the directory is a file.
    """
    directory = Path(directory)
    for folder in (directory, *directory.parents):
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"{folder} is a file, needs to be a directory")
    paths = [directory / f"{name}.png" for name in names]
    existing = [str(path) for path in paths if path.exists()]
    if existing and not overwrite:
        raise ValueError(
            f"{', '.join(existing)}: exists already; choose another directory, or set overwrite "
            "(--overwrite on the command line)"
        )
    return paths


def save_pictures(
    directory: str | Path,
    names: Sequence[str],
    pictures: Sequence[np.ndarray],
    metadata: Sequence[Mapping[str, str]],
    *,
    overwrite: bool,
) -> list[Path]:
    """Writes NAME.png for every picture [H, W, 3]; raises what `picture_paths` raises."""
    paths = picture_paths(names, directory, overwrite=overwrite)
    Path(directory).mkdir(parents=True, exist_ok=True)
    for path, picture, text in zip(paths, pictures, metadata, strict=True):
        save_png(path, picture, metadata=text, overwrite=overwrite)
    return paths


def save_figures(
    directory: str | Path,
    names: Sequence[str],
    losses: Losses,
    rows: Sequence[Sequence[np.ndarray]],
    labels: Sequence[Sequence[str]],
) -> list[Path]:
    """Writes a table and a plot of the losses, and a contact sheet of these rows."""
    table, curve, sheet = (
        _fresh(Path(directory) / name) for name in ("losses.csv", "losses.png", "contact_sheet.png")
    )
    _write_losses(table, names, losses)
    drawn = _draw_losses(curve, names, losses)
    save_png(sheet, contact_sheet(rows, labels=labels))
    return [table, *([curve] if drawn else []), sheet]


def _fresh(path: Path) -> Path:
    stem = unused(path.stem, lambda stem: not path.with_stem(stem).exists())
    return path.with_stem(stem)


def _write_losses(path: Path, names: Sequence[str], losses: Losses) -> None:
    found: Mapping[str, np.ndarray] = next((values for values in losses if values), {})
    terms = sorted(found, key=lambda name: (name != "total", name))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["picture", "step", *terms])
        for name, values in zip(names, losses, strict=True):
            rows = np.stack([values[term] for term in terms], axis=1) if values else ()
            writer.writerows([name, step, *row] for step, row in enumerate(rows, start=1))


def _draw_losses(path: Path, names: Sequence[str], losses: Losses) -> bool:
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # matplotlib is optional; the table has all numbers
        return False
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, values in zip(names, losses, strict=True):
        if values:
            axes.semilogy(np.arange(1, len(values["total"]) + 1), values["total"], label=name)
    axes.set(xlabel="step", ylabel="total loss")
    if len(names) <= 12:
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    return True
