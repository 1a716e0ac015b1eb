"""How much an attack changed a picture."""

from typing import NamedTuple

import numpy as np

from bnnjax.judge.measures import LUMA

_TAPS = 11
_DEVIATION = 1.5
_STABILIZERS = (0.01**2, 0.03**2)  # (k₁ L)², (k₂ L)² with L = 1


class Distances(NamedTuple):
    """The change's largest value and Euclidean norm, both in 1/255, and the structural similarity
    of the pictures' luminance, 1 for equal pictures."""

    linf: float
    l2: float
    ssim: float


def distances(before: np.ndarray, after: np.ndarray) -> Distances:
    """The distances between two pictures uint8 [H, W, 3]."""
    change = after.astype(np.float64) - before
    if not change.any():
        return Distances(0.0, 0.0, 1.0)
    similarity = ssim(*(picture.astype(np.float64) / 255 @ LUMA for picture in (before, after)))
    return Distances(float(np.abs(change).max()), float(np.linalg.norm(change)), similarity)


def ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Mean structural similarity of two grey pictures [H, W] in [0, 1].

    Wang et al., *Image Quality Assessment* (IEEE TIP 2004): Gaussian windows of 11 taps and
    deviation 1.5, wherever they fit into the picture.

    Raises:
      ValueError: a side is shorter than a window.
    """
    if min(first.shape) < _TAPS:
        raise ValueError(f"the picture is {first.shape}, needs sides of at least {_TAPS} px")
    mean1, mean2 = _blur(first), _blur(second)
    variance1 = _blur(first**2) - mean1**2
    variance2 = _blur(second**2) - mean2**2
    covariance = _blur(first * second) - mean1 * mean2
    c1, c2 = _STABILIZERS
    light = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
    structure = (2 * covariance + c2) / (variance1 + variance2 + c2)
    return float(np.mean(light * structure))


def _blur(picture: np.ndarray) -> np.ndarray:
    """Gaussian averages [H − 10, W − 10]."""
    offsets = np.arange(_TAPS) - _TAPS // 2
    window = np.exp(-(offsets**2) / (2 * _DEVIATION**2))
    window /= window.sum()
    for _ in range(2):  # along the rows, then along the columns
        length = len(picture) - _TAPS + 1
        picture = sum(w * picture[i : i + length] for i, w in enumerate(window)).T
    return picture
