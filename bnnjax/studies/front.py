"""Which settings are best when there are several measures."""

import numpy as np
from numpy.typing import ArrayLike

_SCORED = {"style": 1.0, "strokes": 1.0, "content": 1 / 3}


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
    """style + strokes + content / 3, as far as there are such; lower is better, NaN becomes inf.

    Style and content cannot both be had, so their exchange is a matter of taste. Were content to
    count in full, the untouched photograph would beat much of what is painted from it; at a third
    it ranks behind every setting of docs/studies/sweep.md.
    """
    total = sum(factor * measures.get(name, 0.0) for name, factor in _SCORED.items())
    return float(total) if np.isfinite(total) else float("inf")
