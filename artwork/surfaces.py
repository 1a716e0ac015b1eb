"""The sRGB colours of the still life's surfaces at points x, y, z, arrays [n]."""

import numpy as np

from artwork import solids
from artwork.fields import colour, mix, noise, octaves, ramp

GLOSS = {
    solids.TABLE: 0.25,
    solids.VASE: 1.0,
    solids.BOWL: 0.9,
    solids.ORANGE: 0.12,
    solids.LEMON: 0.15,
    solids.PEAR: 0.25,
    solids.GRAPE: 0.6,
}


def gloss(points: np.ndarray) -> np.ndarray:
    """How reflective the surfaces are, from 0 to 1."""
    kind = solids.kinds(points)
    return np.select([kind == number for number in GLOSS], list(GLOSS.values()), 0.0)


def albedo(points: np.ndarray) -> np.ndarray:
    """Colours [n, 3] of the surfaces at points [n, 3]."""
    x, y, z = points.T
    kind = solids.kinds(points)
    paints = (wood, plaster, glaze, blue_bowl, orange, lemon_peel, pear_skin, grape, bark)
    colours = np.zeros_like(points)
    for number, paint in enumerate(paints):
        chosen = kind == number
        colours[chosen] = paint(x[chosen], y[chosen], z[chosen])
    return colours


def wood(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    plank = np.floor(z * 0.9 + 0.2)
    grain = octaves(x * 0.9 + plank * 7.3, z * 16 + 0.3 * noise(x, z * 2, 63), 61, count=4)
    rings = np.sin(14 * (z + 0.3 * noise(x * 0.5 + plank * 3, z, 62)))
    tone = ramp(grain + 0.18 * rings + 0.12 * np.sin(plank * 2.1), -0.8, 0.8)
    seam = ramp(np.abs((z * 0.9 + 0.2) - np.round(z * 0.9 + 0.2)), 0.0, 0.018)
    return mix(colour("3d2416"), colour("7d5433"), tone) * (0.35 + 0.65 * seam)[:, None]


def plaster(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    spots = octaves(x * 0.6, y * 0.6, 71, count=6)
    return (
        mix(colour("45504b"), colour("6d7264"), ramp(spots, -0.7, 0.7))
        * (0.25 + 0.75 * ramp(x - 0.5 * y, 5.5, -4.5))[:, None]
    )


def glaze(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    around = np.arctan2(z + 0.35, x + 1.25)
    drip = y + 0.10 * noise(around * 3, 0 * y, 81) + 0.05 * noise(around * 9, y, 82)
    body = mix(colour("0e3f52"), colour("2a8a8c"), ramp(drip, 0.2, 1.9))
    body = mix(body, colour("c8b48a"), ramp(drip, 2.02, 2.14))
    band = ramp(np.abs(y - 1.18), 0.11, 0.09)
    wave = ramp(np.abs(y - 1.18 - 0.055 * np.sin(around * 14)), 0.032, 0.016)
    return mix(mix(body, colour("123244"), band), colour("e8d6a4"), wave)


def blue_bowl(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    around = np.arctan2(z + 0.1, x - 1.25)
    petals = ramp(np.sin(around * 12) * 0.12 + y, 0.50, 0.53)
    rim = ramp(y, 0.69, 0.70)
    return mix(
        mix(colour("e9e3d2"), colour("2b4b8f"), 0.9 * petals * (1 - rim)), colour("2b4b8f"), rim
    )


def orange(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return mix(
        colour("c8560c"), colour("f08a1d"), ramp(octaves(x * 2.5 + z, y * 2.5, 91), -0.5, 0.5)
    )


def lemon_peel(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return mix(colour("d9a915"), colour("f2d23c"), ramp(octaves(x * 3, y * 3 + z, 92), -0.5, 0.5))


def pear_skin(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    blush = ramp(octaves(x * 1.6 + z, y * 1.6, 93) + 0.6 * (x + 1.3), -0.2, 0.6)
    speck = ramp(noise(x * 34, (y + z) * 34, 94), 0.34, 0.46)
    return mix(mix(colour("8fa032"), colour("b4572e"), 0.75 * blush), colour("5d4a22"), 0.6 * speck)


def grape(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    bloom = ramp(octaves(x * 4 + z * 3, y * 4, 95), -0.4, 0.6)
    return mix(colour("3b1233"), colour("7a4470"), bloom)


def bark(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.broadcast_to(colour("4a3216"), (len(x), 3))
