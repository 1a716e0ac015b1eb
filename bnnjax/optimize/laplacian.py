"""Laplacian pyramids (Burt & Adelson 1983) with bilinear upsampling."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.binary.backend import materialize

_SMALLEST = 14  # px; a coarser level would contain little more than the mean colour


def split(picture: Array, *, around: bool = False) -> list[Array]:
    """The levels of a picture [H, W, C], finest first; `merge` is the inverse. With ``around``,
    opposite edges are neighbours."""
    levels = []
    while min(picture.shape[:2]) >= 2 * _SMALLEST:
        height, width, channels = picture.shape
        coarse_shape = (-(-height // 2), -(-width // 2), channels)
        coarse = jax.image.resize(picture, coarse_shape, "linear")
        levels.append(picture - _double(coarse, around)[:height, :width])
        picture = coarse
    return [*levels, picture]


def merge(levels: Sequence[Array], *, around: bool = False) -> Array:
    """The picture [H, W, C] with these levels, finest first."""
    picture = levels[-1]
    for level in reversed(levels[:-1]):
        picture = materialize(level + _double(picture, around)[: level.shape[0], : level.shape[1]])
    return picture


def _double(x: Array, around: bool) -> Array:
    """Bilinear ×2 with half-pixel centres, [h, w, C] → [2h, 2w, C]. Edges are repeated, or continue
    on the opposite side."""
    return _double_rows(_double_rows(x, around).swapaxes(0, 1), around).swapaxes(0, 1)


def _double_rows(x: Array, around: bool) -> Array:
    first, last = (x[-1:], x[:1]) if around else (x[:1], x[-1:])
    above = jnp.concatenate([first, x[:-1]])
    below = jnp.concatenate([x[1:], last])
    pairs = jnp.stack([0.75 * x + 0.25 * above, 0.75 * x + 0.25 * below], axis=1)
    return pairs.reshape(2 * x.shape[0], *x.shape[1:])
