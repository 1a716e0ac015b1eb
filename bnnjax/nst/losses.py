"""What style transfer minimises, for one picture; batches come from `jax.vmap`.

Feature maps are float32 [h, w, C], pictures float32 [H, W, 3] sRGB in [0, 1]. Every term is made
independent of a tap's amplitude, channel count and size by dividing through the target's own
square norm, so that one set of weights serves every network and every tap.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

STATISTICS = ("moments", "gram")
VARIATIONS = ("squared", "absolute")


class Statistics(NamedTuple):
    """Statistics of a feature map over its positions: ``mean`` [C] and ``second`` [C, C].

    For "moments" ``second`` is the covariance; for "gram" it is the Gram matrix and the mean,
    which a Gram matrix contains, is left out of the loss as zeros.
    """

    mean: Array
    second: Array


def gram(features: Array) -> Array:
    """Gram matrix FᵀF / P, [C, C], of a map with P positions (Gatys et al. 2016).

    Note: the divisor differs in the field; ours is the number of positions alone.
    """
    flat = features.reshape(-1, features.shape[-1])
    # Not flat.T @ flat, for which XLA copies the map transposed.
    return lax.dot_general(flat, flat, (((0,), (0,)), ((), ()))) / flat.shape[0]


def mean_covariance(features: Array) -> tuple[Array, Array]:
    """Mean [C] and covariance [C, C] over positions (divisor P)."""
    flat = features.reshape(-1, features.shape[-1])
    mean = jnp.mean(flat, axis=0)
    return mean, gram(flat - mean)


def statistics(features: Array, *, kind: str = "moments") -> Statistics:
    """The statistics of a feature map that `style_loss` compares.

    Raises:
      ValueError: ``kind`` is not one of `STATISTICS`.
    """
    if kind == "moments":
        return Statistics(*mean_covariance(features))
    if kind == "gram":
        return Statistics(jnp.zeros(features.shape[-1]), gram(features))
    raise ValueError(f"statistics of kind {kind!r}; there are {STATISTICS}")


def style_loss(found: Statistics, target: Statistics) -> Array:
    """‖S − Ŝ‖² / ‖Ŝ‖² + ‖μ − μ̂‖² / ‖μ̂‖², a scalar; 0 for the painting itself."""
    return _relative(found.second, target.second) + _relative(found.mean, target.mean)


def content_loss(features: Array, target: Array) -> Array:
    """‖F − F̂‖² / ‖F̂‖², a scalar; 0 for the photograph itself."""
    return _relative(features, target)


def _relative(found: Array, target: Array) -> Array:
    norm = jnp.sum(target**2)
    # A target of zeros (a mean left out, a black painting) constrains nothing and divides nothing.
    return jnp.where(norm > 0, jnp.sum((found - target) ** 2) / jnp.where(norm > 0, norm, 1), 0.0)


def total_variation(picture: Array, *, kind: str = "squared") -> Array:
    """Mean square ("squared") or mean absolute ("absolute") difference of neighbours, a scalar.

    Both directions are averaged apart and added. "absolute" is `tf.image.total_variation`, which
    the article uses, divided by the number of differences a direction.

    Raises:
      ValueError: ``kind`` is not one of `VARIATIONS`.
    """
    if kind not in VARIATIONS:
        raise ValueError(f"total variation of kind {kind!r}; there are {VARIATIONS}")
    size = jnp.square if kind == "squared" else jnp.abs
    down, right = picture[1:] - picture[:-1], picture[:, 1:] - picture[:, :-1]
    return jnp.mean(size(down)) + jnp.mean(size(right))


def color_loss(picture: Array, target: Statistics) -> Array:
    """‖μ − μ̂‖² + 10 ‖Σ − Σ̂‖² of the RGB pixels' mean and covariance against the painting's.

    Absolute: colours share one scale. Covariances are about a tenth of the means' size.
    """
    mean, covariance = mean_covariance(picture)
    return jnp.sum((mean - target.mean) ** 2) + 10 * jnp.sum((covariance - target.second) ** 2)
