"""How a picture is written as the numbers that an optimiser moves.

A parametrisation turns ``z`` (a list of arrays) into a picture float32 [H, W, 3] in [0, 1], and
back (`encode`). Gradients through binary networks are noisy; what is optimised decides how much
of the noise reaches the eye.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.binary.backend import materialize

PARAMETRIZATIONS = ("pyramid", "pixels")
_SMALLEST = 14  # px; a coarser level would hold little more than the mean colour


def encode(picture: Array, *, kind: str) -> list[Array]:
    """``z`` for a picture [H, W, 3] in [0, 1].

    - "pixels": the picture itself.
    - "pyramid": the Laplacian pyramid of the picture's logits, finest level first. A step of one
      size moves all octaves alike, so coarse errors vanish fast and high frequencies are not
      favoured. Values are clipped to [0.02, 0.98] before the logit, which is infinite at 0 and 1.

    Raises:
      ValueError: ``kind`` is not one of `PARAMETRIZATIONS`.
    """
    if kind == "pixels":
        return [picture]
    if kind == "pyramid":
        clipped = jnp.clip(picture, 0.02, 0.98)
        return _laplacian(jnp.log(clipped / (1 - clipped)))
    raise ValueError(f"parametrization {kind!r}; there are {PARAMETRIZATIONS}")


def decode(z: Sequence[Array], *, kind: str) -> Array:
    """The picture [H, W, 3] in [0, 1] that ``z`` stands for."""
    return z[0] if kind == "pixels" else jax.nn.sigmoid(_collapse(z))


def project(z: Sequence[Array], *, kind: str) -> list[Array]:
    """``z`` moved back into the gamut after a step; only pixels can leave it."""
    return [jnp.clip(z[0], 0, 1)] if kind == "pixels" else list(z)


def _laplacian(picture: Array) -> list[Array]:
    levels = []
    while min(picture.shape[:2]) >= 2 * _SMALLEST:
        height, width = picture.shape[:2]
        coarse = jax.image.resize(picture, (-(-height // 2), -(-width // 2), 3), "linear")
        levels.append(picture - _double(coarse)[:height, :width])
        picture = coarse
    return [*levels, picture]


def _collapse(levels: Sequence[Array]) -> Array:
    picture = levels[-1]
    for level in reversed(levels[:-1]):
        picture = materialize(level + _double(picture)[: level.shape[0], : level.shape[1]])
    return picture


def _double(x: Array) -> Array:
    """Bilinear ×2 with half-pixel centres and repeated edges, [h, w, C] → [2h, 2w, C]."""
    return _double_rows(_double_rows(x).swapaxes(0, 1)).swapaxes(0, 1)


def _double_rows(x: Array) -> Array:
    above = jnp.concatenate([x[:1], x[:-1]])
    below = jnp.concatenate([x[1:], x[-1:]])
    pairs = jnp.stack([0.75 * x + 0.25 * above, 0.75 * x + 0.25 * below], axis=1)
    return pairs.reshape(2 * x.shape[0], *x.shape[1:])
