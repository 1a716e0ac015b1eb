"""Paint on a canvas: brush strokes that leave colour and relief, lit from the side."""

import itertools
from collections.abc import Callable

import numpy as np

from artwork.fields import noise, plane

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of x and y, in picture heights


class Canvas:
    """Colours [H, W, 3], and the thickness of the paint [H, W] in picture heights."""

    def __init__(self, width: int, height: int, ground: np.ndarray) -> None:
        self.colours = np.full((height, width, 3), ground, np.float32)
        self.relief = np.zeros((height, width), np.float32)

    def stroke(
        self, path: np.ndarray, paint: np.ndarray, rng: np.random.Generator, *, width: float
    ) -> None:
        """Drags a brush along a path [n, 2] of points (x, y); lengths are in picture heights."""
        height = self.relief.shape[0]
        margin = width * 0.6 + 1 / height
        low = np.floor((path.min(0) - margin) * height).astype(int).clip(0)
        high = np.ceil((path.max(0) + margin) * height).astype(int)
        part = slice(low[1], high[1]), slice(low[0], high[0])
        rows, columns = self.relief[part].shape
        if not rows or not columns:
            return
        x, y = plane(columns, rows)
        x, y = (x * rows + low[0]) / height, (y * rows + low[1]) / height
        along, across = brush_coordinates(x, y, path)
        cover, relief = bristles(along, across / (width / 2), width, rng, 1 / height)
        paint = paint * (1 + 0.16 * (relief - 0.5))[..., None]
        self.colours[part] += cover[..., None] * (paint - self.colours[part])
        thickness = 0.4 * self.relief[part] + width * 0.10 * relief
        self.relief[part] += cover * (thickness - self.relief[part])

    def lit(self, *, strength: float = 1.0) -> np.ndarray:
        """The canvas [H, W, 3], lit from the upper left."""
        down, right = np.gradient(self.relief * self.relief.shape[0])
        slope = np.clip(-(0.7 * right + 0.7 * down) * strength, -1, 1)
        shine = np.clip(slope - 0.25, 0, 1) ** 1.5
        return np.clip(self.colours * (1 + 0.55 * slope[..., None]) + 0.22 * shine[..., None], 0, 1)


def brush_coordinates(
    x: np.ndarray, y: np.ndarray, path: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far points lie along a path, beyond its ends too, and how far to the right of it."""
    best = np.full(x.shape, np.inf, np.float32)
    along, across = np.zeros_like(best), np.zeros_like(best)
    before, last = 0.0, len(path) - 2
    for k, (start, end) in enumerate(itertools.pairwise(path)):
        length = float(np.hypot(*(end - start))) + 1e-9
        ux, uy = (end - start) / length
        forth = (x - start[0]) * ux + (y - start[1]) * uy
        aside = (y - start[1]) * ux - (x - start[0]) * uy
        held = np.clip(forth, 0, length)
        gap = np.hypot(forth - held, aside)
        nearer = gap < best
        best = np.where(nearer, gap, best)
        free = forth if k in (0, last) else held
        along = np.where(nearer, before + free, along)
        across = np.where(nearer, aside, across)
        before += length
    return along / before, across


def bristles(
    along: np.ndarray, across: np.ndarray, width: float, rng: np.random.Generator, pixel: float
) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and thickness of the paint, from 0 to 1.

    ``along`` is from 0 to 1 on the stroke, ``across`` from −1 to 1.
    """
    seed = int(rng.integers(1 << 16))
    hairs = noise(across * 5.5 + seed * 0.37, along * 1.5 + seed * 0.11, 3)
    hairs += 0.6 * noise(across * 12.0 + seed * 0.53, along * 3.0, 4)
    ends = 0.06 * noise(across * 6.0 + seed, across * 0 + 0.5, 5)
    soft = max(2.2 * pixel / width, 0.10)
    sides = np.clip((1 - np.abs(across) + 0.12 * hairs) / soft, 0, 1)
    tips = np.clip((along + ends + 0.02) / 0.05, 0, 1) * np.clip((1.02 - along + ends) / 0.05, 0, 1)
    dry = np.clip(1.25 - 0.9 * np.clip(along - 0.55, 0, 1) + 0.9 * hairs, 0, 1)
    rim = np.exp(-(((np.abs(across) - 0.8) / 0.18) ** 2))
    relief = np.clip(0.45 + 0.55 * hairs + 0.30 * rim - 0.15 * along, 0, 1)
    return sides * tips * (0.25 + 0.75 * dry), relief


def follow(flow: Field, x: float, y: float, *, length: float, steps: int = 9) -> np.ndarray:
    """A path [steps + 1, 2] that follows a field of angles (radians) and is centred on (x, y)."""
    halves = []
    for sign in (-1, 1):
        here, places = np.array([x, y]), []
        for _ in range(steps // 2):
            angle = float(flow(*here))
            here = here + sign * length / steps * np.array([np.cos(angle), np.sin(angle)])
            places.append(here)
        halves.append(places)
    return np.array([*halves[0][::-1], [x, y], *halves[1]])
