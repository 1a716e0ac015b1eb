"""A still life by a window, ray-marched through the distance functions of its solids.

Ray marching follows Hart 1996 ("Sphere Tracing"), soft shadows and occlusion Evans 2006 ("Fast
Approximations for Global Illumination"). `solids` has the shapes, `surfaces` the colours.
"""

import numpy as np

from artwork import solids
from artwork.fields import colour, noise, plane, ramp
from artwork.solids import distance
from artwork.surfaces import albedo, gloss

EYE, TARGET, ZOOM = np.array([0.25, 2.35, 7.6]), np.array([0.12, 1.12, 0.0]), 1.50
LAMP = np.array([-5.2, 6.2, 4.2])  # the centre of the window
ROUGH = {solids.ORANGE: 0.10, solids.LEMON: 0.09, solids.VASE: 0.02}


def draw(width: int, height: int) -> np.ndarray:
    """The scene [height, width, 3]."""
    rays = directions(width, height).reshape(-1, 3)
    points = march(np.broadcast_to(np.float32(EYE), rays.shape), rays)
    picture = shade(points, rays)
    shiny = gloss(points) > 0
    picture[shiny] += reflections(points[shiny], rays[shiny])
    return developed(picture).reshape(height, width, 3)


def reflections(points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Light that glossy points reflect to the eye (Schlick 1994)."""
    normal = normals(points)
    cosine = dot(rays, normal)
    mirrored = rays - 2 * cosine[:, None] * normal
    share = gloss(points) * (0.05 + 0.95 * (1 - np.abs(cosine)) ** 5)
    seen = march(points + 0.02 * normal, mirrored, steps=40)
    return share[:, None] * np.clip(shade(seen, mirrored), 0, 1)


def directions(width: int, height: int) -> np.ndarray:
    """Unit vectors [H, W, 3] from the eye through the pixels."""
    x, y = plane(width, height)
    forward = unit(TARGET - EYE)
    right = unit(np.cross(forward, (0, 1, 0)))
    up = np.cross(right, forward)
    aside, above = x - width / height / 2, 0.5 - y
    rays = aside[..., None] * right + above[..., None] * up + ZOOM * forward
    return np.float32(unit(rays))


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Dot products of vectors along the last axis."""
    return np.einsum("...i,...i", a, b)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors along the last axis, scaled to length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def march(origin: np.ndarray, rays: np.ndarray, steps: int = 90) -> np.ndarray:
    """Where rays [n, 3] meet the scene."""
    travelled = np.zeros(len(rays), np.float32)
    going = np.arange(len(rays))
    for _ in range(steps):
        gap = distance(origin[going] + travelled[going, None] * rays[going])
        travelled[going] += 0.9 * gap
        going = going[(gap > 0.0008 * (1 + travelled[going])) & (travelled[going] < solids.FAR)]
        if not len(going):
            break
    return origin + np.minimum(travelled, solids.FAR)[:, None] * rays


def normals(points: np.ndarray) -> np.ndarray:
    """Unit normals of the surfaces; peel and glaze are slightly uneven."""
    step = 0.002
    corners = np.float32([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    total = sum(corner * distance(points + step * corner)[:, None] for corner in corners)
    return unit(unit(total) + roughness(points))


def roughness(points: np.ndarray) -> np.ndarray:
    """What uneven peel and glaze add to the normals, [n, 3]."""
    kind = solids.kinds(points)
    rough = np.select([kind == number for number in ROUGH], list(ROUGH.values()), 0.0)
    x, y, z = (points * 17).T
    bumps = noise(x + z, y, 51), noise(x, y + z, 52), noise(z + y, x, 53)
    return rough[:, None] * np.stack(bumps, axis=-1)


def shade(points: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Light [n, 3] that the points send back along the rays."""
    normal, to_lamp = normals(points), unit(LAMP - points)
    lamp = lamplight(points, normal, to_lamp)
    open_ = occlusion(points, normal)
    room = (0.55 + 0.45 * normal[:, 1]) * open_
    table = np.clip(0.5 - 0.5 * normal[:, 1], 0, 1) * open_ * ramp(points[:, 1], 1.6, 0.0)
    sources = ((lamp, "fff0d4", 1.15), (room, "6f86a8", 0.5), (table, "b0703c", 0.35))
    light = sum(share[:, None] * colour(code) * strength for share, code, strength in sources)
    spark = np.clip(dot(normal, unit(to_lamp - rays)), 0, 1) ** 90 * gloss(points) * lamp
    return albedo(points) * light + spark[:, None] * colour("fff6e6") * 1.3


def lamplight(points: np.ndarray, normal: np.ndarray, to_lamp: np.ndarray) -> np.ndarray:
    """Light from the window; grapes let some of it through."""
    facing = np.clip(dot(normal, to_lamp), 0, 1)
    facing = np.where(solids.kinds(points) == solids.GRAPE, 0.25 + 0.75 * facing, facing)
    away = np.linalg.norm(LAMP - points, axis=-1)
    return facing * shadow(points + 0.01 * normal, to_lamp) * (9.0 / away) ** 2


def shadow(points: np.ndarray, to_lamp: np.ndarray) -> np.ndarray:
    """The share of the window that a point sees; a solid that the ray barely misses darkens too."""
    free, t = np.ones(len(points), np.float32), np.full(len(points), 0.03, np.float32)
    going = np.arange(len(points))
    for _ in range(34):
        on_the_way = points[going] + t[going, None] * to_lamp[going]
        gap = distance(on_the_way)
        free[going] = np.minimum(free[going], 0.5 + 5.5 * gap / t[going])
        t[going] += np.clip(gap, 0.02, 0.35)
        going = going[(free[going] > 0) & (on_the_way[:, 1] < solids.HIGHEST)]
    return ramp(free, 0.0, 1.0)


def occlusion(points: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The share of ambient light that nearby solids let through."""
    hidden = 0.0
    for k, reach in enumerate((0.04, 0.12, 0.26, 0.5)):
        hidden = hidden + (reach - distance(points + reach * normal)) / reach * 0.75**k
    return np.clip(1 - 0.38 * hidden, 0.08, 1)


def developed(light: np.ndarray) -> np.ndarray:
    """Scene light to sRGB by a film-like curve (Narkowicz 2015's fit of ACES)."""
    light = light**1.6 * 1.25  # the colours above are sRGB; this makes them roughly linear
    curve = light * (2.51 * light + 0.03) / (light * (2.43 * light + 0.59) + 0.14)
    return np.clip(curve, 0, 1) ** (1 / 1.9)
