"""The result of a study: pictures side by side, a table, plots, and the best settings."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bnnjax.images import contact_sheet, save_png
from bnnjax.images.png import to_pillow
from bnnjax.nst.inputs import Picture
from bnnjax.nst.recipe import KEYWORD, Recipe
from bnnjax.studies import plots
from bnnjax.studies.front import pareto_front, score
from bnnjax.studies.trials import Outcome, Setting, label, shown

CELL = 176  # px of a picture in a sheet
COLUMNS = 8  # most pictures in a row of a sheet


@dataclasses.dataclass(frozen=True, repr=False)
class Study:
    """All outcomes of a study; notebooks display them as a sheet.

    Attributes:
      outcomes: in the order of the trials.
      photographs, paintings: the originals.
    """

    outcomes: Sequence[Outcome]
    photographs: Sequence[Picture]
    paintings: Sequence[Picture]

    @cached_property
    def settings(self) -> list[Setting]:
        """The settings, in the order of their first trial."""
        return list(dict.fromkeys(outcome.trial.setting for outcome in self.outcomes))

    def of(self, setting: Setting) -> list[Outcome]:
        """The outcomes of one setting, one per pair."""
        return [outcome for outcome in self.outcomes if outcome.trial.setting == setting]

    @cached_property
    def means(self) -> dict[Setting, dict[str, float]]:
        """The measures of every setting, averaged over the pairs; NaN where one diverged."""
        return {s: _mean([outcome.measures for outcome in self.of(s)]) for s in self.settings}

    @property
    def front(self) -> list[Setting]:
        """The settings that no other beats in both style and content."""
        points = [(means["style"], means["content"]) for means in self.means.values()]
        mask = pareto_front(points)
        return [setting for setting, on in zip(self.settings, mask, strict=True) if on]

    @property
    def ranked(self) -> list[Setting]:
        """The settings from the lowest `score` to the highest."""
        return sorted(self.settings, key=lambda setting: score(self.means[setting]))

    @property
    def best(self) -> Recipe:
        """The recipe of the setting with the lowest score, for the first pair."""
        return self.of(self.ranked[0])[0].recipe

    @property
    def problems(self) -> list[str]:
        """One line for every picture whose loss did not stay finite."""
        return [
            f"{outcome.trial.name}: the loss was no longer finite at step {outcome.diverged}"
            for outcome in self.outcomes
            if outcome.diverged is not None
        ]

    def table(self) -> list[list[str]]:
        """A heading, then a row per setting, from the best to the worst: the mean measures, and the
        standard deviation of the score over the pairs."""
        names, front = list(self.means[self.settings[0]]), set(self.front)
        rows = [["setting", *names, "score", "spread", "front"]]
        for setting in self.ranked:
            numbers = [*self.means[setting].values(), score(self.means[setting])]
            spread = float(np.std([score(outcome.measures) for outcome in self.of(setting)]))
            cells = [f"{number:.3f}" for number in (*numbers, spread)]
            rows.append([label(setting), *cells, "*" if setting in front else ""])
        return rows

    def figures(self) -> dict[str, Any]:
        """The means of every setting, its score and the best one, as JSON values."""
        means = {label(s): {**m, "score": score(m)} for s, m in self.means.items()}
        return {
            "settings": means,
            "front": [*map(label, self.front)],
            "best": label(self.ranked[0]),
        }

    def sheet(self) -> np.ndarray:
        """The originals of every pair, followed by its pictures: rows share all settings but the
        last one that varies."""
        rows: dict[Any, tuple[list[np.ndarray], list[str]]] = {}
        captions = dict(zip(self.settings, _captions(self.settings), strict=True))
        for outcome in self.outcomes:
            pair, setting = outcome.trial.pair, outcome.trial.setting
            if (pair, None) not in rows:
                originals = self.photographs[pair.content], self.paintings[pair.style]
                pictures = [original.cropped for original in originals]
                rows[pair, None] = (pictures, [original.name for original in originals])
            pictures, labels = rows.setdefault((pair, setting[:-1]), ([], []))
            pictures.append(outcome.picture)
            labels.append(captions[setting])
        wrapped = [
            (pictures[i : i + COLUMNS], labels[i : i + COLUMNS])
            for pictures, labels in rows.values()
            for i in range(0, len(pictures), COLUMNS)
        ]
        pictures_of, labels_of = zip(*wrapped, strict=True)
        return contact_sheet(pictures_of, labels=labels_of, cell=CELL)

    def save(self, directory: str | Path) -> tuple[list[Path], list[Path]]:
        """Writes the pictures, ``study.csv``, ``sheet.png``, ``best.png`` with its recipe, and, if
        matplotlib is installed, ``front.png`` and ``curves.png``; existing files are replaced.

        Returns:
          The paths of the pictures, and those of the other files.
        """
        directory = Path(directory)
        for outcome in self.outcomes:
            outcome.write(directory)
        pictures = [directory / f"{outcome.trial.name}.png" for outcome in self.outcomes]
        best = self.of(self.ranked[0])[0]
        text = {KEYWORD: best.recipe.to_json()}
        save_png(directory / "best.png", best.picture, metadata=text, overwrite=True)
        save_png(directory / "sheet.png", self.sheet(), overwrite=True)
        self._write_table(directory / "study.csv")
        figures = [directory / name for name in ("best.png", "sheet.png", "study.csv")]
        drawn = plots.draw(directory, self.means, self.front)
        return pictures, [*figures, *drawn]

    def _write_table(self, path: Path) -> None:
        first = self.outcomes[0]
        names = [name for name, _ in first.trial.setting]
        losses = [f"loss_{name}" for name in first.losses]
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["picture", "pair", *names, *first.measures, *losses, "diverged"])
            for o in self.outcomes:
                setting = [shown(value) for _, value in o.trial.setting]
                figures = [*o.measures.values(), *o.losses.values(), o.diverged]
                writer.writerow([o.trial.name, o.trial.pair.name, *setting, *figures])

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        to_pillow(self.sheet()).save(buffer, "PNG")
        return buffer.getvalue()

    def __repr__(self) -> str:
        best = label(self.ranked[0])
        return (
            f"<Study: {len(self.outcomes)} pictures, {len(self.settings)} settings; best: {best}>"
        )


def _mean(measures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in measures])) for name in measures[0]}


def _captions(settings: Sequence[Setting]) -> list[str]:
    """What differs between the settings; values alone if names and values do not fit."""
    constant = set.intersection(*map(set, settings)) if len(settings) > 1 else set()
    differing = [tuple(item for item in setting if item not in constant) for setting in settings]
    whole = [*map(label, differing)]
    if max(map(len, whole)) < 26:
        return whole
    return [", ".join(shown(value) for _, value in setting) for setting in differing]
