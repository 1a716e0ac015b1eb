"""What style transfer minimises, for one picture; batches come from `jax.vmap`.

Feature maps are float32 [h, w, C], pictures float32 [H, W, 3] sRGB in [0, 1]. Every term is made
independent of a tap's amplitude, channel count and size by dividing through the target's own
square norm, so that one set of weights serves every network and every tap.
"""

from typing import NamedTuple

import jax
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
    return _second_moment(features.reshape(-1, features.shape[-1]))


def mean_covariance(features: Array) -> tuple[Array, Array]:
    """Mean [C] and covariance [C, C] over positions (divisor P)."""
    return _moments(features.reshape(-1, features.shape[-1]))


# Gradients by hand: by itself JAX makes two products, one of either factor, and transposes both. Of
# many channels it is a product of bfloat16, like all of the backward pass, with float32 sums.

_FEW = 8  # channels, for which a matrix unit is not worth its while
_COLUMNS = 64  # of a product that is


@jax.custom_vjp
def _second_moment(flat: Array) -> Array:
    """FᵀF / P of [P, C]."""
    positions, channels = flat.shape
    if channels > _FEW:
        return _transposed_product(flat) / positions
    # Some positions side by side make a wide product, whose blocks on the diagonal are wanted.
    beside = _COLUMNS // channels
    padded = jnp.pad(flat, ((0, -positions % beside), (0, 0)))
    total = _transposed_product(padded.reshape(-1, beside * channels))
    return jnp.einsum("rcrd->cd", total.reshape(beside, channels, beside, channels)) / positions


def _transposed_product(flat: Array) -> Array:
    # Not flat.T @ flat, for which XLA copies the map transposed.
    return lax.dot_general(flat, flat, (((0,), (0,)), ((), ())))


def _second_moment_gradient(flat: Array, g: Array) -> Array:
    both = (g + g.T) / flat.shape[0]
    if flat.shape[1] <= _FEW:
        rows = [flat[:, c, None] * both[c] for c in range(flat.shape[1])]
        return sum(rows, start=jnp.zeros(()))
    return jnp.dot(
        flat.astype(jnp.bfloat16), both.astype(jnp.bfloat16), preferred_element_type=jnp.float32
    )


_second_moment.defvjp(
    lambda flat: (_second_moment(flat), flat),
    lambda flat, g: (_second_moment_gradient(flat, g),),
)


@jax.custom_vjp
def _moments(flat: Array) -> tuple[Array, Array]:
    """Mean and covariance of [P, C]."""
    mean = jnp.mean(flat, axis=0)
    return mean, _second_moment(flat - mean)


def _moments_backward(residuals: tuple[Array, Array], g: tuple[Array, Array]) -> tuple[Array]:
    flat, mean = residuals
    of_mean, of_covariance = g
    # Through the mean that is subtracted nothing flows back: what is centred stays centred.
    return (_second_moment_gradient(flat - mean, of_covariance) + of_mean / flat.shape[0],)


def _moments_forward(flat: Array) -> tuple:
    mean, covariance = _moments(flat)
    return (mean, covariance), (flat, mean)


_moments.defvjp(_moments_forward, _moments_backward)


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
