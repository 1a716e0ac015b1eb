"""A mountain lake in the evening: a height field seen from the shore.

Each column of pixels looks along a line over the land. A pixel shows the first point on this line
that rises above its line of sight.
"""

import numpy as np
from PIL import Image, ImageDraw

from artwork.fields import colour, gradient, mix, noise, octaves, plane, ramp

EXTENT = 16.0  # side of the land, a square in front of the eye
CELLS = 1280
EYE = 0.16  # above the water
HORIZON = 0.60  # from the top, in picture heights
SUN = np.array([0.86, 0.33, -0.38]) / np.linalg.norm([0.86, 0.33, -0.38])
FIRS = (  # x, foot and top, in picture heights
    (0.30, 0.93, 0.55),
    (0.02, 0.95, 0.33),
    (0.20, 0.95, 0.40),
    (0.105, 0.98, 0.16),
    (1.30, 1.05, 0.62),
)
GLOW = 1.12, 0.47  # the brightest point of the sky, in picture heights


def draw(width: int, height: int) -> np.ndarray:
    """The scene [height, width, 3]."""
    x, y = plane(width, height)
    land = terrain()
    picture = sky(x, y)
    seen, distance, place = look(land, width, height)
    picture[seen] = ground(land, *place[:, seen], distance[seen])
    picture = np.where((seen | (y < HORIZON))[..., None], picture, water(picture, x, y))
    return with_shore(picture)


def terrain() -> np.ndarray:
    """Heights [z, x] of the land; what is below 0 is under water."""
    z, x = np.mgrid[:CELLS, :CELLS].astype(np.float32) * EXTENT / CELLS
    x -= EXTENT / 2
    x, z = x + 0.5 * noise(x * 0.5, z * 0.5, 41), z + 0.5 * noise(x * 0.5, z * 0.5, 42)
    mountains = ridges(x * 0.33, z * 0.33, 7)
    valley = 0.30 + 0.70 * ramp(np.abs(x - 0.9), 0.2, 3.4)
    rise = ramp(z, 4.0, 9.0)
    bank = 0.10 * (z - 4.4 + 0.35 * (np.abs(x) - 1.5) + 1.2 * octaves(x * 0.6, z * 0.6, 3))
    bank = np.clip(bank, -0.3, 0.22)
    return bank + 3.1 * rise * valley * mountains + 0.05 * octaves(x * 2, z * 2, 5) * (bank > 0)


def ridges(x: np.ndarray, z: np.ndarray, seed: int) -> np.ndarray:
    """Crests from 0 to about 1, rougher where they are higher (Musgrave's ridged multifractal)."""
    total, weight, height = 0.0, 1.0, 0.55
    for k in range(8):
        folded = np.sqrt(noise(x * 2**k, z * 2**k, seed + k) ** 2 + 0.0006)
        crest = np.clip(1 - 1.7 * folded, 0, 1) ** 2
        total = total + height * weight * crest
        weight, height = np.clip(crest * 1.6, 0.08, 1) * weight**0.5, height * 0.46
    return total


def at(field: np.ndarray, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The field's values at (x, z), interpolated bilinearly."""
    column = np.clip((x + EXTENT / 2) * CELLS / EXTENT, 0, CELLS - 1.001)
    row = np.clip(z * CELLS / EXTENT, 0, CELLS - 1.001)
    j, i = column.astype(int), row.astype(int)
    s, t = column - j, row - i
    near = field[i, j] * (1 - s) + field[i, j + 1] * s
    return near * (1 - t) + (field[i + 1, j] * (1 - s) + field[i + 1, j + 1] * s) * t


def look(land: np.ndarray, width: int, height: int, steps: int = 1400) -> tuple:
    """Which pixels show land [H, W], at what distance [H, W], and at which (x, z) [2, H, W]."""
    z = np.geomspace(1.2, EXTENT - 0.1, steps)
    slope = (np.arange(width) + 0.5 - width / 2) / height
    lines = HORIZON - (at(land, slope[None] * z[:, None], z[:, None]) - EYE) / z[:, None]
    lowest = HORIZON + EYE / z[:, None]  # the water's surface hides what is below it
    lines = np.minimum.accumulate(np.minimum(lines, lowest), axis=0)
    rows = (np.arange(height) + 0.5) / height
    first = np.stack([np.searchsorted(-lines[:, j], -rows) for j in range(width)], axis=1)
    before, after = np.clip(first - 1, 0, steps - 1), np.clip(first, 0, steps - 1)
    columns = np.arange(width)[None]
    top, bottom = lines[after, columns], lines[before, columns]
    part = np.clip((bottom - rows[:, None]) / np.maximum(bottom - top, 1e-9), 0, 1)
    distance = z[before] + part * (z[after] - z[before])
    place = np.stack([slope[None] * distance, distance])
    seen = (first < steps) & (at(land, *place) > 0.0)
    return seen, distance, place


def ground(land: np.ndarray, x: np.ndarray, z: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """Colours [n, 3] of points of the land, with sunlight, sky light and haze."""
    h, step = at(land, x, z), EXTENT / CELLS
    slopes = [(at(land, x + dx, z + dz) - h) / step for dx, dz in ((step, 0), (0, step))]
    normal = np.stack([-slopes[0], np.ones_like(h), -slopes[1]])
    normal /= np.linalg.norm(normal, axis=0)
    steep = 1 - normal[1]
    rough = octaves(x * 9, z * 9, 11)
    rock = mix(colour("4a4750"), colour("8b7d78"), ramp(rough, -0.4, 0.5))
    trees = mix(colour("12201c"), colour("3d4a2a"), ramp(octaves(x * 30, z * 12, 13), -0.5, 0.6))
    forest = ramp(0.95 + 0.35 * rough - h, -0.12, 0.12) * ramp(0.62 - steep, 0, 0.2)
    snow = ramp(h + 0.6 * rough - 1.12, -0.12, 0.3) * ramp(0.66 - steep, -0.04, 0.12)
    surface = mix(mix(rock, trees, forest), colour("f2f1f6"), snow)
    light = np.clip(np.tensordot(SUN, normal, 1), 0, 1) * shadow(land, x, z, h)
    lit = surface * (
        light[:, None] * colour("ffb774") * 1.75
        + (0.42 + 0.3 * normal[1:].T[:, :1]) * colour("7f93c4") * 0.85
    )
    air = 1 - np.exp(-((distance / 14.0) ** 1.5) * np.exp(-0.42 * h) * 1.5)
    sideways = ramp(x / distance + 0.667, 0.1, GLOW[0])
    return mix(lit, mix(colour("8d97bd"), colour("f3b88c"), sideways), air)


def shadow(land: np.ndarray, x: np.ndarray, z: np.ndarray, h: np.ndarray) -> np.ndarray:
    """1 where the sun reaches points of the land, 0 where something is in its way."""
    free = np.ones_like(h)
    for t in np.geomspace(0.04, 3.5, 28):
        above = h + t * SUN[1] - at(land, x + t * SUN[0], z + t * SUN[2])
        free = np.minimum(free, ramp(above / t, -0.05, 0.05))
    return free


def sky(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Colours of the sky with its clouds."""
    up = np.clip((HORIZON - y) / HORIZON, 0, 1)
    stops = {0: "ffd39a", 0.18: "f6b592", 0.42: "b99ab0", 0.7: "6f7fae", 1: "3a527f"}
    picture = gradient(up, stops)
    off = np.hypot((x - GLOW[0]) * 0.8, y - GLOW[1])
    picture = mix(picture, colour("ffe9b8"), 0.85 * np.exp(-((off / 0.26) ** 1.4)))
    far = 1 / (up + 0.16)
    u, v = (x - 0.667) * far * 1.2 + 3, far * 2.4
    u = u + 0.5 * noise(u, v, 21)
    density = octaves(u, v, 22, count=7)
    sunward = octaves(u + 0.18, v + 0.12, 22, count=7)
    cover = ramp(density, -0.08, 0.5) * ramp(up, 0.06, 0.3) * 0.9
    bright = ramp(density - sunward, -0.22, 0.3) * (0.55 + 0.45 * np.exp(-off))
    return mix(picture, mix(colour("6d6285"), colour("ffc9a3"), bright), cover)


def water(picture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The lake: a reflection of what is above it, rippled, and darker towards the viewer."""
    height, width = y.shape
    below = np.clip(y - HORIZON, 1e-3, None)
    across, far = (x - 0.667) / below, 1 / below
    wave = octaves(across * 1.1, far * 2.4, 31, count=4) * ramp(below, 0.0, 0.08)
    wave += 0.5 * octaves(across * 0.25, far * 0.5, 35, count=2)
    shift = wave * (0.008 + 0.10 * below)
    row = np.clip((2 * HORIZON - y - shift) * height, 0, height - 1).astype(int)
    column = np.clip((x + 0.15 * shift) * height, 0, width - 1).astype(int)
    depth = ramp(below, 0.0, 0.40)
    dark = mix(colour("2c4257"), colour("0f1f2e"), depth)
    breeze = ramp(octaves(across * 0.12, far * 0.75, 38, count=3), 0.15, 0.5) * ramp(far, 3, 8)
    mirrored = mix(picture[row, column], colour("d9b9a8"), 0.45 * breeze)
    return mix(mirrored, dark, 0.10 + 0.50 * depth * np.clip(0.8 + 0.9 * wave, 0, 2))


def with_shore(picture: np.ndarray) -> np.ndarray:
    """The picture with dark conifers and grass of the near shore in front."""
    height, width = picture.shape[:2]
    canvas = Image.fromarray(np.uint8(np.clip(picture, 0, 1) * 255 + 0.5))
    pen, rng = ImageDraw.Draw(canvas), np.random.default_rng(5)
    for x, foot, top in FIRS:
        fir(pen, rng, x * height, foot * height, (foot - top) * height)
    for bank in np.linspace(0, 1, 420):  # from back to front
        grass(pen, rng, bank, width, height)
    return np.asarray(canvas, np.float32) / 255


def fir(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, foot: float, tall: float
) -> None:
    """A conifer with drooping branches, lit from the right."""
    pen.line([(x, foot), (x, foot - tall)], fill=ink("0d1013"), width=max(1, round(tall / 60)))
    for level in np.sort(rng.uniform(0.015, 0.94, 260)):
        side = rng.choice((-1, 1))
        y, reach = foot - tall * (1 - level), tall * (0.010 + 0.19 * level**0.85)
        length = reach * rng.uniform(0.35, 1.15)
        end = x + side * length, y + length * rng.uniform(0.15, 0.55)
        fat = tall * 0.006 + length * 0.07
        under = x + side * length * rng.uniform(0.4, 0.7), y + length * 0.3 + fat
        lit = rng.random() < (0.35 if side > 0 else 0.08)
        pen.polygon(
            [(x, y - fat), end, under, (x, y + fat)], fill=ink("343626" if lit else "0e1518")
        )


def grass(
    pen: ImageDraw.ImageDraw, rng: np.random.Generator, bank: float, width: int, height: int
) -> None:
    """Blades of grass along a line of the bank, which descends to the right."""
    for _ in range(14):
        x = rng.uniform(-0.05, 1.4)
        ground = 0.90 + 0.07 * ramp(x, 0.25, 0.8) + 0.02 * np.sin(5 * x) + 0.14 * bank
        tall = rng.uniform(0.02, 0.07) * (0.7 + 0.6 * bank)
        lean = rng.normal(0.01, 0.02)
        tip = (x + lean) * height, (ground - tall) * height
        middle = (x + lean * 0.3) * height, (ground - tall * 0.55) * height
        half = 0.0016 * height * rng.uniform(0.7, 1.5)
        base = x * height, (ground + 0.06) * height
        shade = rng.choice(
            ["0f1412", "18201a", "262a1c", "4a4226", "7a6035"], p=[0.3, 0.3, 0.22, 0.13, 0.05]
        )
        pen.polygon(
            [
                (base[0] - half, base[1]),
                (middle[0] - half, middle[1]),
                tip,
                (middle[0] + half, middle[1]),
                (base[0] + half, base[1]),
            ],
            fill=ink(shade),
        )


def ink(code: str) -> tuple[int, ...]:
    """A colour "rrggbb" as Pillow expects it."""
    return tuple(bytes.fromhex(code))
