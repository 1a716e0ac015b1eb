"""Cross-validation over pairs of pictures: which choice matters, and does the best one hold?"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bnnjax.studies.front import score
from bnnjax.studies.study import Study
from bnnjax.studies.trials import Setting, label

MEASURES = ("score", "style", "strokes", "content")


class HeldOut(NamedTuple):
    """What happens to a pair that took no part in the choice of the setting.

    Attributes:
      pair: the name of the pair.
      chosen: the best setting according to all other pairs.
      score: its score for this pair.
      best, median: the lowest score of any setting for this pair, and the median.
    """

    pair: str
    chosen: Setting
    score: float
    best: float
    median: float


def scores(study: Study, measure: str = "score") -> np.ndarray:
    """A measure, or the score, of every setting for every pair, [settings, pairs]."""

    def value(measures: dict[str, float]) -> float:
        return score(measures) if measure == "score" else measures[measure]

    return np.array([[value(o.measures) for o in study.of(s)] for s in study.settings])


def leave_one_out(study: Study) -> list[HeldOut]:
    """For each pair, the setting that the others choose, and what it is worth.

    Raises:
      ValueError: the study has a single pair.
    """
    table = scores(study)
    pairs = [outcome.trial.pair.name for outcome in study.of(study.settings[0])]
    if len(pairs) < 2:
        raise ValueError("the study has a single pair of pictures, cross-validation needs two")
    found = []
    for place, pair in enumerate(pairs):
        chosen = int(np.delete(table, place, axis=1).mean(axis=1).argmin())
        own = table[:, place]
        held = HeldOut(pair, study.settings[chosen], own[chosen], own.min(), float(np.median(own)))
        found.append(held)
    return found


def shares(values: ArrayLike) -> tuple[float, ...]:
    """Each axis' share of the variance (η², its main effect), and what is left to interactions.

    ``values`` have an axis per factor: for content taps, style taps and pairs, say. The shares sum
    to 1.
    """
    array = np.asarray(values, np.float64)
    total = np.mean((array - array.mean()) ** 2)
    if total == 0:
        return (*[0.0] * array.ndim, 1.0)
    axes = range(array.ndim)
    means = [array.mean(axis=tuple(a for a in axes if a != axis)) for axis in axes]
    main = [float(np.var(mean) / total) for mean in means]
    return (*main, 1 - sum(main))


def factors(study: Study) -> dict[str, dict[str, float]]:
    """For each measure, the share of its variance that each varied option and the pair explain.

    Raises:
      ValueError: the study is not a full grid.
    """
    values = {
        name: list(dict.fromkeys(dict(s)[name] for s in study.settings))
        for name, _ in study.settings[0]
    }
    shape = [*map(len, values.values()), -1]
    names = [*values, "pair", "rest"]
    if np.prod(shape[:-1]) != len(study.settings):
        raise ValueError("the study is not a full grid of its settings")
    known = [name for name in MEASURES if name == "score" or name in study.outcomes[0].measures]
    return {
        name: dict(zip(names, shares(scores(study, name).reshape(shape)), strict=True))
        for name in known
    }


def table(study: Study) -> list[list[str]]:
    """The held-out pairs, one per row."""
    rows = [["held-out pair", "chosen by the others", "score", "best", "median"]]
    for held in leave_one_out(study):
        numbers = [f"{value:.3f}" for value in held[2:]]
        rows.append([held.pair, label(held.chosen), *numbers])
    return rows


def factor_table(found: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    """The shares in per cent, a row per measure."""
    names: Sequence[str] = list(next(iter(found.values())))
    rows = [["share of variance, %", *names]]
    return rows + [[m, *(f"{100 * of[name]:.0f}" for name in names)] for m, of in found.items()]
