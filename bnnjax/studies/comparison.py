"""The results of `bnnjax.studies.compare`: a table, a plot and a sheet."""

import csv
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnnjax.images import contact_sheet, fit, load, save_png

MEASURES = ("style", "strokes", "content", "checker")
COSTS = ("ms_per_step", "memory_mib", "weights_mib")
HEADINGS = ("ms/step", "memory MiB", "weights MiB")  # of `COSTS`
CELL = 224  # px of a picture in the sheet


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one network.

    Attributes:
      name: its name in tables, and that of its folder.
      measures: name of a picture → its measures, see `bnnjax.judge`; empty without weights.
      costs: see `bnnjax.studies.compare.costs`; empty without weights.
      note: why there are no pictures, or what went wrong.
    """

    name: str
    measures: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    note: str = ""

    @property
    def figures(self) -> dict[str, float]:
        """The means of the measures over all pictures, and the costs; empty without weights."""
        if not self.measures:
            return {}
        means = {m: float(np.mean([row[m] for row in self.measures.values()])) for m in MEASURES}
        return {**means, **self.costs}


def table(outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Rows of text, heading first: the figures of each network."""
    rows = [["network", *MEASURES, *HEADINGS, "note"]]
    for outcome in outcomes:
        figures = outcome.figures
        cells = [f"{figures[name]:.3f}" if figures else "-" for name in MEASURES]
        cells += [f"{figures[name]:.1f}" if figures else "-" for name in COSTS]
        rows.append([outcome.name, *cells, outcome.note])
    return rows


def save(
    directory: Path, outcomes: Sequence[Outcome], originals: Mapping[str, tuple[Path, Path]]
) -> None:
    """Writes ``comparison.csv``, ``sheet.png`` and, with matplotlib, ``comparison.png``.

    Args:
      directory: the folder; the pictures are in a folder per network.
      outcomes: all networks so far.
      originals: name of a picture → the photograph and the painting that it was made from.
    """
    directory.mkdir(parents=True, exist_ok=True)
    write_csv(directory / "comparison.csv", outcomes)
    painted = [outcome for outcome in outcomes if outcome.measures]
    if painted:
        sheet = make_sheet(directory, painted, originals)
        save_png(directory / "sheet.png", sheet, overwrite=True)
        plot(directory / "comparison.png", painted)


def write_csv(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes a row per network and picture, and a row for each network without pictures."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["network", "picture", *MEASURES, *COSTS, "note"])
        writer.writeheader()
        for outcome in outcomes:
            own = {"network": outcome.name, **outcome.costs, "note": outcome.note}
            for picture, measures in outcome.measures.items() or {"": {}}.items():
                writer.writerow({**own, "picture": picture, **measures})


def make_sheet(
    directory: Path, outcomes: Sequence[Outcome], originals: Mapping[str, tuple[Path, Path]]
) -> np.ndarray:
    """A row per pair: photograph, painting, and the picture of each network, labelled with its
    style and content distances and the network's name; float32 [H, W, 3]."""
    rows, labels = [], []
    for picture, pair in originals.items():
        row: list[Any] = [fit(load(path), size=CELL) for path in pair]
        names = [path.stem for path in pair]
        for outcome in outcomes:
            row.append(directory / outcome.name / f"{picture}.png")
            style, content = (outcome.measures[picture][name] for name in ("style", "content"))
            names.append(f"{style:.2f} {content:.2f} {outcome.name}")  # the end may be cut off
        rows.append(row)
        labels.append(names)
    return contact_sheet(rows, labels=labels, cell=CELL)


def plot(path: Path, outcomes: Sequence[Outcome]) -> bool:
    """Draws a panel of bars per figure, a bar per network; returns whether matplotlib is there."""
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # it is optional; the table has all figures
        return False
    figure = Figure(figsize=(14, 1.2 + 0.35 * len(outcomes)), layout="constrained")
    panels = figure.subplots(1, len(MEASURES) + len(COSTS), sharey=True)
    names, titles = [outcome.name for outcome in outcomes], (*MEASURES, *HEADINGS)
    for axes, name, title in zip(panels, (*MEASURES, *COSTS), titles, strict=True):
        bars = axes.barh(names, [outcome.figures[name] for outcome in outcomes])
        axes.bar_label(bars, fmt="{:.3g}", padding=2)
        axes.set_title(title, fontsize="medium")
        axes.margins(x=0.4)  # room for the labels
        axes.set_xticks([])
    panels[0].invert_yaxis()  # the first network on top
    figure.savefig(path, dpi=120)
    return True
