"""The files of a stylization: pictures, losses as a table and a plot, and a contact sheet."""

import csv
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bnnjax import destination
from bnnjax.images import FORMATS, LONGEST, contact_sheet, format_of, save_picture, save_png
from bnnjax.images.sizes import resize_channel
from bnnjax.nst.recipe import KEYWORD, UNFINISHED
from bnnjax.nst.stylization import Stylization

Losses = Sequence[Mapping[str, np.ndarray]]  # per picture: every term by name, [steps]
FIGURES = (".losses.csv", ".losses.png", ".sheet.png")  # after the name of the first picture


def picture_paths(
    names: Sequence[str], directory: str | Path, *, overwrite: bool, output_format: str = "png"
) -> list[Path]:
    """The paths of the pictures. Call it before the work starts, so that no result is lost.

    Raises:
      ValueError: an unknown format, some files exist (unless ``overwrite``), or the directory is a
        file.
    """
    if output_format not in FORMATS:
        raise ValueError(f"output_format is {output_format!r}, needs one of {', '.join(FORMATS)}")
    paths = [Path(directory) / f"{name}{FORMATS[output_format]}" for name in names]
    destination.check(paths, overwrite=overwrite)
    return paths


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes the pictures of a stylization, each with its recipe.

    Attributes:
      work: what is painted.
      paths: one per picture.
      keep_paths: whether recipes have the paths of the inputs.
      keep_metadata: whether pictures have the photograph's time of exposure, and a profile.
      keep_alpha: whether pictures are as transparent as the photograph.
    """

    work: Stylization
    paths: Sequence[Path]
    keep_paths: bool = False
    keep_metadata: bool = False
    keep_alpha: bool = False

    def check(self) -> None:
        """Call it before the work starts.

        Raises:
          ValueError: a picture is too long for its format, or a JPEG would be transparent.
        """
        for number, path in enumerate(self.paths):
            photograph, kind = self.work.photograph(number), format_of(path)
            height, width = photograph.cropped.shape[:2]
            if max(height, width) > LONGEST[kind]:
                raise ValueError(
                    f"{path}: {width}×{height} px, but a side of {kind} has at most "
                    f"{LONGEST[kind]} px; choose another output_format"
                )
            if self.keep_alpha and photograph.alpha is not None and kind == "jpeg":
                raise ValueError(f"{path}: a JPEG cannot be transparent; choose png or webp")

    def write(self, number: int, picture: np.ndarray, *, unfinished: str = "") -> Path:
        """Writes a picture [H, W, 3], and replaces what is there.

        Args:
          number: the index of the picture.
          picture: its pixels.
          unfinished: what is to be done, if the picture is not what the recipe makes.

        Raises:
          ValueError: the file cannot be written.
        """
        photograph, alpha = self.work.photograph(number), None
        texts = {KEYWORD: self.work.recipe(number, keep_paths=self.keep_paths).to_json()}
        if unfinished:
            texts[UNFINISHED] = unfinished
        if self.keep_alpha and photograph.alpha is not None:
            height, width = picture.shape[:2]
            alpha = resize_channel(photograph.alpha, height=height, width=width)
        save_picture(
            self.paths[number],
            picture,
            metadata=texts,
            alpha=alpha,
            like=photograph.path if self.keep_metadata else None,
            overwrite=True,
        )
        return self.paths[number]


def save_figures(
    directory: str | Path,
    names: Sequence[str],
    losses: Losses,
    rows: Sequence[Sequence[np.ndarray]],
    labels: Sequence[Sequence[str]],
) -> list[Path]:
    """Writes a table and a plot of the losses, and a contact sheet of these rows.

    They are named after the first picture, and replaced together.
    """
    table, curve, sheet = (Path(directory) / f"{names[0]}{suffix}" for suffix in FIGURES)
    _write_losses(table, names, losses)
    curve.unlink(missing_ok=True)
    drawn = _draw_losses(curve, names, losses)
    save_png(sheet, contact_sheet(rows, labels=labels), overwrite=True)
    return [table, *([curve] if drawn else []), sheet]


def read_losses(directory: Path, names: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """The losses of these pictures in the table of an earlier run, as far as it has them."""
    found: dict[str, list[dict[str, str]]] = {}
    try:
        with open(directory / f"{names[0]}{FIGURES[0]}", newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            for row in table:
                found.setdefault(row["picture"], []).append(row)
        terms = list(table.fieldnames or ())[2:]
        return {
            name: {term: np.array([row[term] for row in rows], np.float32) for term in terms}
            for name, rows in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is somebody else's
        return {}


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
    if 0 < len(axes.lines) <= 12:
        axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    return True
