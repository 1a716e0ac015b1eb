"""A windy night over a bay: thick strokes that follow the swirling air, the hills, the water."""

import numpy as np

from artwork.brush import Canvas, follow
from artwork.fields import colour, gradient, mix, noise, ramp

SHORE = 0.74
# Lights in the sky: x, y, radius, and the sense in which the air turns around them.
LIGHTS = (
    (1.02, 0.20, 0.085, 1),
    (0.16, 0.14, 0.035, -1),
    (0.40, 0.10, 0.024, 1),
    (0.66, 0.07, 0.022, -1),
    (0.30, 0.33, 0.020, 1),
    (1.26, 0.40, 0.022, -1),
    (0.80, 0.40, 0.018, 1),
)
EDDIES = (
    (0.52, 0.29, 0.16, 1),
    (0.75, 0.22, 0.10, -1),
    (1.20, 0.06, 0.10, -1),
    (0.08, 0.36, 0.12, 1),
)
LAYERS = (  # width, length and number of strokes
    (0.070, 0.20, 500),
    (0.034, 0.15, 1700),
    (0.020, 0.095, 3400),
    (0.012, 0.060, 3400),
)


def draw(width: int, height: int) -> np.ndarray:
    """The painting [height, width, 3]."""
    canvas, rng = Canvas(width, height, colour("3a3a4a")), np.random.default_rng(12)
    for wide, length, count in LAYERS:
        spots = rng.uniform((-0.03, -0.03), (1.36, 1.03), (count, 2))
        for x, y in spots:
            if wide < 0.015 and rng.random() > detail(x, y):
                continue
            short = 1 - 0.55 * near_light(x, y)
            path = follow(flow, x, y, length=short * length * rng.uniform(0.6, 1.3))
            tint = paint(x, y, rng)
            canvas.stroke(path, tint, rng, width=wide * rng.uniform(0.75, 1.15))
    return canvas.lit()


def crest(x: np.ndarray) -> np.ndarray:
    """Height of the hills' outline at x, from the top."""
    return 0.60 - 0.075 * np.sin(2.6 * x + 0.5) - 0.03 * np.sin(7 * x + 1) + 0.02 * np.cos(13 * x)


def flow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Direction of the strokes, in radians."""
    if y > SHORE:
        return 0.10 * np.sin(9 * x + 14 * y)
    if y > crest(x):
        slope = (crest(x + 0.01) - crest(x - 0.01)) / 0.02
        return np.arctan(slope) + 0.5 * np.sin(17 * x) * ramp(y, 0.6, 0.7) + 0.25
    across, down = 1.0, 0.35 * np.sin(4.2 * x + 2.0 * y)
    for a, b, radius, turn in (*LIGHTS, *EDDIES):
        dx, dy = x - a, y - b
        far = np.hypot(dx, dy) + 1e-6
        pull = 6.0 * np.exp(-((far / (radius * 2.2)) ** 2))
        across -= turn * pull * dy / far
        down += turn * pull * dx / far
    return np.arctan2(down, across)


def near_light(x: float, y: float) -> float:
    """1 at the centre of a light, 0 far from all lights."""
    return float(max(np.exp(-((np.hypot(x - a, y - b) / (2.5 * r)) ** 2)) for a, b, r, _ in LIGHTS))


def detail(x: float, y: float) -> float:
    """The probability of small strokes."""
    return max(near_light(x, y), 0.9 * np.exp(-(((y - SHORE) / 0.09) ** 2)), 0.25)


def paint(x: float, y: float, rng: np.random.Generator) -> np.ndarray:
    """Colour of a stroke."""
    tint = scene(np.float32(x), np.float32(y)) * rng.normal(1, 0.10) + rng.normal(0, 0.028, 3)
    return np.clip(tint, 0, 1).astype(np.float32)


def scene(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colour of the scene at a point."""
    if y > SHORE:
        return bay(x, y)
    return hills(x, y) if y > crest(x) else air(x, y)


def air(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The sky: bands of blue that follow the air, pale near the lights."""
    streak = noise(x * 3.1 + 2.5 * np.sin(3 * y), y * 13 + 1.5 * np.sin(4.2 * x), 8)
    tint = gradient(
        0.45 + 0.9 * streak + 0.25 * (y - 0.3),
        {0: "101d4e", 0.3: "1f3f8f", 0.55: "3a6cb5", 0.8: "7fb0c9", 1: "cfe0cf"},
    )
    for a, b, radius, turn in EDDIES:
        off = np.hypot(x - a, y - b)
        turns = np.sin(2 * np.pi * off / (radius * 0.42) - turn * np.arctan2(y - b, x - a))
        tint = mix(
            tint, colour("d8e6dc" if turns > 0 else "1b3a86"), 0.75 * np.exp(-((off / radius) ** 2))
        )
    for a, b, radius, _ in LIGHTS:
        off = np.hypot(x - a, y - b) / radius
        rings = {
            0: "fff6cf",
            0.8: "ffe27a",
            1.2: "f4b73a",
            1.6: "f3d98a",
            2.1: "9fc2ad",
            2.6: "e3dc9c",
            3.2: "5f95b8",
        }
        tint = mix(tint, gradient(off, rings), ramp(off, 3.3, 2.2))
    return tint


def hills(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Dark hills with fields, and lamps along the shore."""
    deep = (y - crest(x)) / (SHORE - crest(x))
    tint = gradient(deep, {0: "6f93b0", 0.08: "23406e", 0.5: "1d3a4e", 0.8: "2c5347", 1: "16262e"})
    fields = ramp(noise(x * 5, y * 9, 15), 0.05, 0.25) * ramp(deep, 0.25, 0.5)
    tint = mix(tint, colour("7d8a45"), 0.7 * fields)
    lamp = (x * 17) % 1 < 0.38 and abs(y - SHORE + 0.022) < 0.012 and 0.15 < x < 1.1
    return colour("ffcf5a") if lamp else tint


def bay(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The water with the golden reflections of the lights."""
    deep = (y - SHORE) / (1 - SHORE)
    band = noise(x * 3, y * 26, 17)
    tint = gradient(
        0.5 + 0.8 * band - 0.25 * deep, {0: "0c1a44", 0.4: "1e4585", 0.7: "3f7fa8", 1: "8fc0b8"}
    )
    moon = np.exp(-(((x - 1.02) / (0.04 + 0.07 * deep)) ** 2)) * (
        0.55 + 0.45 * np.sin(70 * y + 9 * x)
    )
    tint = mix(tint, colour("ffe08a"), np.clip(1.2 * moon, 0, 1))
    lamps = (
        ((x * 17) % 1 < 0.38)
        * (0.15 < x < 1.1)
        * ramp(deep, 0.65, 0.0)
        * (0.5 + 0.5 * np.sin(90 * y))
    )
    return mix(tint, colour("f0a93c"), 0.85 * lamps)
