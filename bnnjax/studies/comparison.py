"""The results of `bnnjax.studies.compare`: a table, a plot and a sheet."""

import csv
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bnnjax.images import contact_sheet, save_png
from bnnjax.studies.study import Study

MEASURES = ("style", "strokes", "content", "checker")
COSTS = ("ms_per_step", "memory_mib", "weights_mib")
FIGURES = (*MEASURES, *COSTS)
HEADINGS = (*MEASURES, "ms/step", "memory MiB", "weights MiB")
CELL = 224  # px of a picture in the sheet


@dataclasses.dataclass(frozen=True)
class Entrant:
    """One network of a comparison, and what came of it.

    Attributes:
      name: its name in tables, and that of its folder.
      study: its pictures, one per pair, of the setting (); None without weights.
      weights_mib: the size of the weights in use, binary kernels packed.
      note: why there are no pictures, or what went wrong.
    """

    name: str
    study: Study | None = None
    weights_mib: float = 0.0
    note: str = ""

    @property
    def figures(self) -> dict[str, float]:
        """The means of the measures and costs over all pictures; empty without weights."""
        rows = [*self.rows.values()]
        return {n: float(np.mean([row[n] for row in rows])) for n in FIGURES} if rows else {}

    @property
    def rows(self) -> dict[str, dict[str, float]]:
        """Name of a picture → its measures and costs; empty without weights."""
        outcomes = self.study.outcomes if self.study else ()
        own = {"weights_mib": self.weights_mib}
        found = {o.trial.name: {**o.measures, **o.costs, **own} for o in outcomes}
        return {picture: {name: row[name] for name in FIGURES} for picture, row in found.items()}


def table(entrants: Sequence[Entrant]) -> list[list[str]]:
    """Rows of text, heading first: the figures of each network."""
    rows = [["network", *HEADINGS, "note"]]
    for entrant in entrants:
        figures = entrant.figures
        cells = [f"{figures[name]:.3f}" if figures else "-" for name in MEASURES]
        cells += [f"{figures[name]:.1f}" if figures else "-" for name in COSTS]
        rows.append([entrant.name, *cells, entrant.note])
    return rows


def save(directory: Path, entrants: Sequence[Entrant]) -> None:
    """Writes ``comparison.csv``, ``sheet.png`` and, with matplotlib, ``comparison.png``."""
    directory.mkdir(parents=True, exist_ok=True)
    write_csv(directory / "comparison.csv", entrants)
    painted = [entrant for entrant in entrants if entrant.study]
    if painted:
        save_png(directory / "sheet.png", sheet(painted), overwrite=True)
        plot(directory / "comparison.png", painted)


def write_csv(path: Path, entrants: Sequence[Entrant]) -> None:
    """Writes a row per network and picture, and a row for each network without pictures."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["network", "picture", *FIGURES, "note"])
        writer.writeheader()
        for entrant in entrants:
            own = {"network": entrant.name, "note": entrant.note}
            for picture, row in entrant.rows.items() or {"": {}}.items():
                writer.writerow({**own, "picture": picture, **row})


def sheet(entrants: Sequence[Entrant]) -> np.ndarray:
    """A row per pair: photograph, painting, and the picture of each network, labelled with its
    style and content distances and the network's name; float32 [H, W, 3]."""
    studies = [entrant.study for entrant in entrants if entrant.study]
    rows, labels = [], []
    for number, first in enumerate(studies[0].outcomes):
        pair, outcomes = first.trial.pair, [study.outcomes[number] for study in studies]
        originals = studies[0].photographs[pair.content], studies[0].paintings[pair.style]
        rows.append([*(o.cropped for o in originals), *(o.picture for o in outcomes)])
        # The end of a label may be cut off.
        labels.append([original.name for original in originals])
        for entrant, outcome in zip(entrants, outcomes, strict=True):
            style, content = (outcome.measures[name] for name in ("style", "content"))
            labels[-1].append(f"{style:.2f} {content:.2f} {entrant.name}")
    return contact_sheet(rows, labels=labels, cell=CELL)


def plot(path: Path, entrants: Sequence[Entrant]) -> bool:
    """Draws a panel of bars per figure, a bar per network; returns whether matplotlib is there."""
    os.environ.setdefault("MPLBACKEND", "agg")
    try:
        from matplotlib.figure import Figure
    except ImportError:  # it is optional; the table has all figures
        return False
    figure = Figure(figsize=(14, 1.2 + 0.35 * len(entrants)), layout="constrained")
    panels = figure.subplots(1, len(FIGURES), sharey=True)
    names = [entrant.name for entrant in entrants]
    for axes, name, title in zip(panels, FIGURES, HEADINGS, strict=True):
        bars = axes.barh(names, [entrant.figures[name] for entrant in entrants])
        axes.bar_label(bars, fmt="{:.3g}", padding=2)
        axes.set_title(title, fontsize="medium")
        axes.margins(x=0.4)  # room for the labels
        axes.set_xticks([])
    panels[0].invert_yaxis()  # the first network on top
    figure.savefig(path, dpi=120)
    return True
