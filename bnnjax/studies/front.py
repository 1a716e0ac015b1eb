"""Which settings are best when there are several measures."""

import numpy as np
from numpy.typing import ArrayLike

_SCORED = ("style", "strokes", "content")


def pareto_front(points: ArrayLike) -> np.ndarray:
    """The mask [N] of the rows of ``points`` [N, M] that no other row dominates.

    A row dominates another if it is at most as large in every column and smaller in one. Rows that
    are not finite are never in the front.
    """
    rows = np.asarray(points, np.float64)
    rows = np.where(np.isfinite(rows).all(axis=1, keepdims=True), rows, np.inf)
    no_worse = (rows[:, None] <= rows[None]).all(axis=2)
    better = (rows[:, None] < rows[None]).any(axis=2)
    dominated = (no_worse & better).any(axis=0)
    return np.asarray(~dominated & np.isfinite(rows).all(axis=1))


def score(measures: dict[str, float]) -> float:
    """style + strokes + content, as far as there are such; lower is better, and NaN becomes inf.

    With a judge, the two measures of style together weigh as much against content as they cost:
    along a sweep of the weights, a unit of content buys about half a unit of each.
    """
    total = sum(measures[name] for name in _SCORED if name in measures)
    return float(total) if np.isfinite(total) else float("inf")
