"""Adversarial pictures as 8-bit pictures that are still within the ball."""

import numpy as np

from bnnjax.attack.config import Norm


def to_bytes(picture: np.ndarray, center: np.ndarray, *, norm: Norm, epsilon: float) -> np.ndarray:
    """An 8-bit picture near this one and within the ball, uint8 [H, W, 3].

    Args:
      picture: float32 [H, W, 3] in [0, 1], within the ball.
      center: the picture that the ball is around, uint8 [H, W, 3].
      norm: of the ball.
      epsilon: the radius, in 1/255.
    """
    change = picture.astype(np.float64) * 255 - center
    rounded = _of_length(change, epsilon) if norm == "l2" else _within(change, epsilon)
    return (center + rounded).clip(0, 255).astype(np.uint8)


def _within(change: np.ndarray, epsilon: float) -> np.ndarray:
    most = np.floor(epsilon + 1e-6)
    return np.rint(change).clip(-most, most)


def _of_length(change: np.ndarray, epsilon: float) -> np.ndarray:
    """Integers near the change whose norm is at most its own, and at most ``epsilon``.

    Rounding each value to the nearest may leave the ball, or lose a change that is below one half
    everywhere. All are rounded towards zero instead, and then away from it as long as the norm
    allows, those with the largest remainder first.
    """
    size = np.abs(change).ravel()
    floor = np.floor(size)
    order = np.argsort(floor - size, kind="stable")
    grown = np.cumsum((2 * floor + 1)[order]) + np.sum(floor**2)
    floor[order[grown <= min(epsilon**2, np.sum(size**2))]] += 1
    return np.sign(change) * floor.reshape(change.shape)
