"""The shapes of the still life, as distances from points to the nearest solid.

A unit of length is about a decimetre; y points up, and the table is y = 0.
"""

import numpy as np

TABLE, BACKDROP, VASE, BOWL, ORANGE, LEMON, PEAR, GRAPE, STALK = range(9)
WALL = -3.4  # z
FAR = 40.0
HIGHEST = 2.85  # only the wall is higher

VASE_HEIGHT = 2.72
OUTLINE_Y = (0.0, 0.10, 0.5, 1.0, 1.45, 1.8, 2.1, 2.35, 2.6, VASE_HEIGHT)
OUTLINE_R = (0.42, 0.48, 0.72, 0.86, 0.78, 0.52, 0.31, 0.27, 0.36, 0.46)

ORANGES = (  # centre and radius
    (1.32, 0.86, -0.52, 0.40),
    (0.86, 0.80, -0.02, 0.38),
    (1.60, 0.84, 0.12, 0.41),
    (1.18, 1.26, -0.10, 0.38),
    (2.62, 0.40, 0.85, 0.40),
)

GRID = [(j, i) for j in range(3) for i in range(4 - j)]  # rows of four, three and two grapes


def bunch() -> list[tuple[float, ...]]:
    """Centres and radii of the grapes: three rows on the table, some on top, one apart."""
    low = [(-0.62 + 0.30 * i + 0.15 * (j % 2), 0.17, 1.25 + 0.27 * j) for j, i in GRID]
    high = [(-0.45 + 0.31 * i, 0.40, 1.36 + 0.1 * (i % 2)) for i in range(3)]
    middles = [*low, *high, (-0.24, 0.60, 1.38), (0.62, 0.165, 1.62)]
    return [(*middle, 0.165 + 0.012 * (7 * k % 3)) for k, middle in enumerate(middles)]


GRAPES = bunch()


def kinds(points: np.ndarray) -> np.ndarray:
    """The number of the solid nearest to each point: [n, 3] → [n]."""
    return np.argmin(distances(points), axis=0)


def distance(points: np.ndarray) -> np.ndarray:
    """Distances [n] from points [n, 3] to the nearest solid."""
    return np.min(distances(points), axis=0)


def distances(points: np.ndarray) -> list[np.ndarray]:
    """Distances from points [n, 3] to every solid, in the order of their numbers."""
    x, y, z = points.T
    return [
        y,
        z - WALL,
        vase(x + 1.25, y, z + 0.35),
        bowl(x - 1.25, y, z + 0.1),
        balls(x, y, z, ORANGES),
        lemon(x + 2.35, y - 0.36, z - 0.95),
        pear(x + 1.35, y, z - 1.1),
        balls(x, y, z, GRAPES),
        stalk(x + 1.35, y, z - 1.1),
    ]


def balls(x: np.ndarray, y: np.ndarray, z: np.ndarray, places: tuple) -> np.ndarray:
    """Spheres, given by centres and radii."""
    nearest = np.full(x.shape, FAR, np.float32)
    for a, b, c, radius in places:
        nearest = np.minimum(nearest, np.sqrt((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) - radius)
    return nearest


def vase(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A turned vessel with a rounded lip, whose radius is a smooth function of the height."""
    heights = np.linspace(0, VASE_HEIGHT, 200)
    window = np.hanning(31)[1:-1]
    radii = np.pad(np.interp(heights, OUTLINE_Y, OUTLINE_R), len(window) // 2, mode="edge")
    radii = np.convolve(radii, window / window.sum(), "valid")
    around = np.hypot(x, z)
    side = (
        around - np.interp(y, heights, radii)
    ) * 0.72  # so that no step overshoots where the side slopes
    lip = np.hypot(around - radii[-1] + 0.03, y - VASE_HEIGHT) - 0.05
    return np.minimum(np.maximum(side, y - VASE_HEIGHT), lip)


def bowl(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """A flattened hollow hemisphere on a foot."""
    r = np.sqrt(x**2 + (1.25 * (y - 1.08)) ** 2 + z**2)
    shell = np.abs(r - 1.12) - 0.045
    shell = np.maximum(shell / 1.25, y - 0.74)
    foot = np.maximum(np.abs(np.hypot(x, z) - 0.46) - 0.05, np.abs(y - 0.09) - 0.10)
    return np.minimum(shell, foot)


def lemon(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """An ellipsoid with a tip at each end, lying at an angle."""
    along, across = 0.83 * x + 0.55 * z, -0.55 * x + 0.83 * z
    body = 0.36 * (np.sqrt((along / 0.50) ** 2 + (across**2 + y**2) / 0.36**2) - 1)
    tip = np.sqrt((np.abs(along) - 0.50) ** 2 + across**2 + y**2) - 0.05
    return 0.85 * joined(body, tip, 0.22)


def joined(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """The union of two solids with a smooth crease (Quilez' polynomial minimum)."""
    share = np.clip(0.5 + (b - a) / (2 * width), 0, 1)
    return b + (a - b) * share - width * share * (1 - share)


def pear(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Two spheres that blend into each other."""
    low = np.sqrt(x**2 + (y - 0.48) ** 2 + z**2) - 0.47
    high = np.sqrt((x - 0.05) ** 2 + (y - 1.08) ** 2 + z**2) - 0.20
    return 0.85 * joined(low, high, 0.45)


def stalk(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The stalk of the pear, slightly bent."""
    lean = 0.06 + 0.25 * np.clip(y - 1.25, 0, 1) ** 1.5
    return np.maximum(np.hypot(x - lean, z) - 0.022, np.abs(y - 1.42) - 0.2)
