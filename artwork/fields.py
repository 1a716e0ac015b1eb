"""What all pictures are made of: noise, ramps, mixed colours, antialiased shrinking.

Noise is a function of continuous coordinates, so a scene looks the same at every size.
"""

import functools

import numpy as np
from PIL import Image

TABLE = 256  # cells after which noise repeats


def noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Perlin's gradient noise (2002, "Improving Noise") on cells of side 1, about −0.7 to 0.7."""
    along_x, along_y = _directions(seed)
    x, y = np.float32(x), np.float32(y)
    column, row = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    x, y = x - column, y - row

    def corner(right: int, down: int) -> np.ndarray:
        place = (row + down) % TABLE, (column + right) % TABLE
        return along_x[place] * (x - right) + along_y[place] * (y - down)

    across, downwards = (t * t * t * (t * (t * 6 - 15) + 10) for t in (x, y))
    top = corner(0, 0) + across * (corner(1, 0) - corner(0, 0))
    bottom = corner(0, 1) + across * (corner(1, 1) - corner(0, 1))
    return top + downwards * (bottom - top)


@functools.cache
def _directions(seed: int) -> np.ndarray:
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, (TABLE, TABLE))
    return np.float32([np.cos(angles), np.sin(angles)])


def octaves(x: np.ndarray, y: np.ndarray, seed: int, *, count: int = 5) -> np.ndarray:
    """A sum of noise, each term with twice the frequency and half the amplitude of the last."""
    return sum(noise(x * 2**k, y * 2**k, seed + k) / 2**k for k in range(count))


def ramp(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 up to ``low``, 1 from ``high`` on, smooth in between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Colours [..., 3] from a (share 0) to b (share 1); ``share`` has no channel axis."""
    return a + (b - a) * np.asarray(share)[..., None]


def colour(code: str) -> np.ndarray:
    """A colour "rrggbb" as float32 [3] in [0, 1]."""
    return np.frombuffer(bytes.fromhex(code), np.uint8).astype(np.float32) / 255


def gradient(t: np.ndarray, stops: dict[float, str]) -> np.ndarray:
    """Colours [..., 3] interpolated at t between ``stops``, position → "rrggbb"."""
    colours = np.stack([colour(code) for code in stops.values()])
    return np.stack([np.interp(t, list(stops), channel) for channel in colours.T], axis=-1)


def plane(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of pixel centres: x to the right, y down, both in picture heights."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return (x + 0.5) / height, (y + 0.5) / height


def shrunk(picture: np.ndarray, factor: int = 2) -> Image.Image:
    """An 8-bit picture, ``factor`` times smaller, of [H, W, 3], which is clipped to [0, 1]."""
    eight = Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255 + 0.5))
    size = eight.width // factor, eight.height // factor
    return eight.resize(size, Image.Resampling.LANCZOS)
