"""A town in the evening sun: flat angular shapes in reds and ochres, dark outlines, dry paint.

Lines cut the picture into pieces repeatedly. Each piece takes the colour at its centre, and is
brushed in a direction of its own.
"""

from collections.abc import Iterator

import numpy as np

from artwork.brush import Canvas
from artwork.fields import colour

SUN = 0.98, 0.25, 0.13
HOUSES = (  # left, right, eaves and ridge (from the top), wall, roof; from far to near
    (0.28, 0.40, 0.28, 0.09, "d8743a", "5a1d33"),
    (0.12, 0.27, 0.40, 0.24, "e0a23f", "a32a26"),
    (0.58, 0.73, 0.40, 0.27, "b23a2c", "e2932f"),
    (0.90, 1.04, 0.47, 0.34, "d2612f", "4a1a33"),
    (1.20, 1.38, 0.48, 0.33, "a8332a", "dd8a2c"),
    (-0.06, 0.17, 0.54, 0.39, "b8472b", "6b1d22"),
    (0.37, 0.61, 0.55, 0.40, "efc573", "c2362b"),
    (0.70, 0.93, 0.61, 0.46, "e9a94a", "7d1f2b"),
    (1.01, 1.24, 0.62, 0.48, "f0d08a", "b5312b"),
    (0.19, 0.42, 0.68, 0.52, "cf5a30", "3a1a30"),
    (0.56, 0.74, 0.73, 0.60, "a32f2c", "e0a545"),
)
FOOT = 0.95  # of every house
STREET = ("8a2a24", "b9532c", "5a1d22", "cf8a3a", "702425")
WINDOWS = ("1f3a4a", "f7dc8c", "2b1a2a", "2f6b70", "f3b95a")
SKY = ("f3d9a0", "efb95e", "e88f3c", "d9622e", "c6452b", "f0cf86")
INK = "241016"

Shape = tuple[np.ndarray, np.ndarray | None]


def draw(width: int, height: int) -> np.ndarray:
    """The painting [height, width, 3]."""
    canvas, rng = Canvas(width, height, colour("5a2a22")), np.random.default_rng(5)
    for polygon, tint in shapes(np.random.default_rng(4)):  # the same at every size
        if tint is None:
            contour(canvas, polygon, rng)
        else:
            fill(canvas, polygon, tint, rng)
    return canvas.lit(strength=0.8)


def shapes(rng: np.random.Generator) -> Iterator[Shape]:
    """Convex polygons [n, 2] with their colour, or None for an outline, from back to front."""
    for polygon in facets(box(-0.01, -0.01, 1.35, 1.01), rng, 5):
        yield polygon, sky(polygon.mean(0), rng)
    x, y, radius = SUN
    for share, code in ((1.35, "f6d27a"), (1.0, "e23a22"), (0.62, "f0692c")):
        yield disc(x, y, radius * share), colour(code)
    yield disc(x, y, radius), None
    for house in HOUSES:
        yield from house_shapes(*house, rng)
    for polygon in facets(box(-0.02, 0.90, 1.36, 1.02), rng, 4):
        yield polygon, colour(str(rng.choice(STREET)))
        yield polygon, None


def sky(middle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colour of a piece of the sky: pale near the sun, red far away."""
    off = np.hypot(middle[0] - SUN[0], middle[1] - SUN[1])
    place = np.clip(off * 4.2 + rng.normal(0, 0.8), 0, len(SKY) - 1)
    return colour(SKY[int(place)])


def house_shapes(
    left: float,
    right: float,
    eaves: float,
    ridge: float,
    wall: str,
    roof: str,
    rng: np.random.Generator,
) -> Iterator[Shape]:
    """Walls made of facets, windows, and a roof with a bright and a dark half."""
    walls = box(left, eaves, right, FOOT)
    for polygon in facets(walls, rng, 2):
        yield polygon, colour(wall) * rng.uniform(0.80, 1.14)
    yield walls, None
    middle, over = (left + right) / 2 + 0.02 * rng.normal(), 0.015
    for share, edge in ((1.25, left - over), (0.8, right + over)):
        half = np.array([[middle, eaves], [middle, ridge], [edge, eaves]])
        yield half, colour(roof) * share
        yield half, None
    for x, y in windows(left, right, eaves):
        window = box(x, y, x + 0.2 * (right - left), y + 0.06)
        yield window, colour(str(rng.choice(WINDOWS)))
        yield window, None


def windows(left: float, right: float, eaves: float) -> Iterator[tuple[float, float]]:
    """The upper left corners of a house's windows."""
    for row in range(int((FOOT - eaves - 0.06) / 0.12)):
        for column in (0.18, 0.60):
            yield left + column * (right - left), eaves + 0.05 + 0.12 * row


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The corners of a rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """A circle as a polygon with 24 corners."""
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


def facets(polygon: np.ndarray, rng: np.random.Generator, depth: int) -> list[np.ndarray]:
    """The polygon cut by lines near its centre, recursively to this depth."""
    if not depth or (depth < 3 and rng.random() < 0.25):
        return [polygon]
    extent = np.ptp(polygon, axis=0)
    steep = np.pi / 2 if extent[0] > extent[1] else 0
    angle = steep + rng.normal(0, 0.45)
    normal = np.array([-np.sin(angle), np.cos(angle)])
    offset = normal @ polygon.mean(0) + 0.08 * extent.min() * rng.normal()
    halves = [clip(polygon, sign * normal, sign * offset) for sign in (1, -1)]
    return [part for half in halves if len(half) > 2 for part in facets(half, rng, depth - 1)]


def clip(polygon: np.ndarray, normal: np.ndarray, offset: float) -> np.ndarray:
    """The part of a convex polygon where normal · p ≤ offset (Sutherland and Hodgman 1974)."""
    heights, kept = polygon @ normal - offset, []
    for k in range(len(polygon)):
        a, b, ha, hb = polygon[k - 1], polygon[k], heights[k - 1], heights[k]
        if (ha <= 0) != (hb <= 0):
            kept.append(a + (b - a) * ha / (ha - hb))
        if hb <= 0:
            kept.append(b)
    return np.array(kept)


def fill(canvas: Canvas, polygon: np.ndarray, tint: np.ndarray, rng: np.random.Generator) -> None:
    """Fills a convex polygon with parallel strokes from edge to edge."""
    extent = np.ptp(polygon, axis=0)
    angle = rng.normal(0, 0.35) + (0 if extent[0] > extent[1] else np.pi / 2)
    along, across = (
        np.array([np.cos(angle), np.sin(angle)]),
        np.array([-np.sin(angle), np.cos(angle)]),
    )
    low, high = (polygon @ across).min(), (polygon @ across).max()
    width = np.clip((high - low) / 3, 0.008, 0.022)
    for level in np.arange(low + 0.35 * width, high, width * 0.62):
        ends = chord(polygon, across, level)
        if ends is None:
            continue
        start, end = (end @ along for end in ends)
        start, end = min(start, end), max(start, end)
        place = np.linspace(start - 0.002, end + 0.002, 4)[:, None]
        path = place * along + (level + rng.normal(0, 0.0012, (4, 1))) * across
        paint = np.clip(tint * rng.normal(1, 0.07) + rng.normal(0, 0.018, 3), 0, 1)
        canvas.stroke(
            path if rng.random() < 0.5 else path[::-1], np.float32(paint), rng, width=width
        )


def chord(polygon: np.ndarray, across: np.ndarray, level: float) -> list[np.ndarray] | None:
    """The two points where a line meets the outline of a convex polygon, or None."""
    heights, met = polygon @ across - level, []
    for k in range(len(polygon)):
        ha, hb = heights[k - 1], heights[k]
        if (ha <= 0) != (hb <= 0):
            met.append(polygon[k - 1] + (polygon[k] - polygon[k - 1]) * ha / (ha - hb))
    return met if len(met) == 2 else None


def contour(canvas: Canvas, polygon: np.ndarray, rng: np.random.Generator) -> None:
    """Draws a dark line of uneven width around a polygon."""
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        place = np.linspace(-0.01, 1.01, 4)[:, None]
        path = start + place * (end - start) + rng.normal(0, 0.0015, (4, 2))
        canvas.stroke(
            path, colour(INK) * rng.uniform(0.8, 1.3), rng, width=rng.uniform(0.007, 0.012)
        )
