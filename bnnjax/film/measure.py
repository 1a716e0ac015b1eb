"""How much a painted film flickers."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from bnnjax.film.flow import Motion, warped


def flicker(frames: Iterable[np.ndarray], painted: Iterable[np.ndarray]) -> list[float]:
    """How much each frame but the first differs from its predecessor, beyond what moves.

    It is the mean absolute difference between a painted frame and the painted one before, warped by
    the flow of the original film, where that flow can be trusted (the warping error of Lai et al.,
    *Learning Blind Video Temporal Consistency*, ECCV 2018, without the square).

    Args:
      frames: the frames of the original film, float32 [H, W, 3] in [0, 1].
      painted: the painted frames, likewise.
    """
    pairs = zip(pairwise(frames), pairwise(painted), strict=True)
    return [_change(Motion.between(*originals), *paintings) for originals, paintings in pairs]


def _change(motion: Motion, before: np.ndarray, picture: np.ndarray) -> float:
    apart = np.abs(picture - warped(before, motion.backward)).mean(-1)
    return float(np.sum(motion.trusted * apart) / max(np.sum(motion.trusted), 1))
