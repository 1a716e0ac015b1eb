"""Statistics of feature maps over their positions, with hand-written gradients.

Feature maps are float32 [h, w, C].
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from bnnjax.binary.backend import gradient_dtype

Kind = Literal["moments", "gram"]


class Statistics(NamedTuple):
    """Statistics of a feature map: ``mean`` [C] and ``second`` [C, C].

    For "moments", ``second`` is the covariance. For "gram", it is the Gram matrix, and ``mean`` is
    zero because the Gram matrix contains it.
    """

    mean: Array
    second: Array


def statistics(features: Array, kind: Kind, mask: Array | None = None) -> Statistics:
    """The statistics of a feature map [h, w, C].

    A ``mask`` [h, w] weights the positions (Gatys et al., CVPR 2017, section 4); only its ratios
    count, and a mask of zeros counts nothing.
    """
    if kind == "gram":
        none = jnp.zeros(features.shape[-1], jnp.float32)
        return Statistics(none, gram(features if mask is None else _weighted(features, mask)))
    return Statistics(*mean_covariance(features, mask))


def gram(features: Array) -> Array:
    """Gram matrix FᵀF / P, [C, C], of a map [h, w, C] with P positions (Gatys et al., CVPR 2016).

    Divisors vary in the literature; ours is the number of positions alone.

    Examples:
      >>> gram(jnp.array([[[1.0, 0.0], [1.0, 2.0]]]))  # two positions of two channels
      Array([[1., 1.],
             [1., 2.]], dtype=float32)
    """
    return _second_moment(features.reshape(-1, features.shape[-1]))


def mean_covariance(features: Array, mask: Array | None = None) -> tuple[Array, Array]:
    """Mean [C] and covariance [C, C] over positions (divisor P), weighted by a ``mask`` [h, w]."""
    if mask is None:
        return _moments(features.reshape(-1, features.shape[-1]))
    mean = jnp.mean(features * _normalized(mask)[..., None], axis=(0, 1))
    return mean, gram(_weighted(features - mean[None, None], mask))


class Sums(NamedTuple):
    """Sums over some positions, of which statistics are made; those of disjoint parts add up.

    Attributes:
      weight: of the positions, a scalar.
      first: of the features about a centre, [C].
      second: of their products, [C, C].
    """

    weight: Array
    first: Array
    second: Array


def weighted_sums(features: Array, weights: Array, centre: Array) -> Sums:
    """The sums of a feature map [h, w, C] whose positions have these weights [h, w].

    Sums of float32 lose no digits about a centre [C] that is near the mean.
    """
    about = features - centre[None, None]
    first = jnp.tensordot(weights, about, 2)
    second = weights.size * gram(about * jnp.sqrt(weights)[..., None])
    return Sums(jnp.sum(weights), first, second)


def of_sums(total: Sums, centre: Array, kind: Kind) -> Statistics:
    """The statistics of all positions, as `statistics` measures them; for "gram", about zero."""
    positions = jnp.where(total.weight > 0, total.weight, 1)
    first, second = total.first / positions, total.second / positions
    if kind == "gram":
        return Statistics(jnp.zeros_like(first), second)
    mean = jnp.where(total.weight > 0, centre + first, 0)
    return Statistics(mean, second - jnp.outer(first, first))


def blend(each: Sequence[Statistics], shares: Array) -> Statistics:
    """The average of several statistics with these ``shares`` [n], which need not sum to 1.

    Each is divided by its norm first, and the average is multiplied by the average norm: strong
    textures would drown fainter ones otherwise.
    """

    def average(*parts: Array) -> Array:
        norms = jnp.stack([jnp.sqrt(jnp.sum(part**2)) for part in parts])
        units = jnp.stack([p / jnp.where(n > 0, n, 1) for p, n in zip(parts, norms, strict=True)])
        portions = shares / jnp.sum(shares)
        return jnp.dot(portions, norms) * jnp.tensordot(portions, units, 1)

    return each[0] if len(each) == 1 else jax.tree.map(average, *each)


def _normalized(mask: Array) -> Array:
    """The mask with a mean of 1, or of 0 if it is all zeros."""
    mean = jnp.mean(mask)
    return mask / jnp.where(mean > 0, mean, 1)


def _weighted(features: Array, mask: Array) -> Array:
    """The features scaled so that their Gram matrix is weighted by the mask."""
    return features * jnp.sqrt(_normalized(mask))[..., None]


# The gradients are written by hand because JAX would compute two products, one per factor, and
# transpose both. With many channels, the product has the dtype of all backward products, with
# float32 sums.

_FEW = 8  # channels; with fewer, a matrix unit does not pay off
_COLUMNS = 64  # columns of a product that keep a matrix unit busy


@jax.custom_vjp
def _second_moment(flat: Array) -> Array:
    """FᵀF / P of [P, C]."""
    positions, channels = flat.shape
    if channels > _FEW:
        return _transposed_product(flat) / positions
    # Several positions side by side form one wide product; only its diagonal blocks are needed.
    beside = _COLUMNS // channels
    padded = jnp.pad(flat, ((0, -positions % beside), (0, 0)))
    total = _transposed_product(padded.reshape(-1, beside * channels))
    return jnp.einsum("rcrd->cd", total.reshape(beside, channels, beside, channels)) / positions


def _transposed_product(flat: Array) -> Array:
    # For flat.T @ flat, XLA would copy the transposed map.
    return lax.dot_general(flat, flat, (((0,), (0,)), ((), ())))


def _second_moment_gradient(flat: Array, g: Array) -> Array:
    both = (g + g.T) / flat.shape[0]
    if flat.shape[1] <= _FEW:
        rows = [flat[:, c, None] * both[c] for c in range(flat.shape[1])]
        return sum(rows, start=jnp.zeros((), jnp.float32))
    dtype = gradient_dtype()
    return jnp.dot(flat.astype(dtype), both.astype(dtype), preferred_element_type=jnp.float32)


_second_moment.defvjp(
    lambda flat: (_second_moment(flat), flat),
    lambda flat, g: (_second_moment_gradient(flat, g),),
)


@jax.custom_vjp
def _moments(flat: Array) -> tuple[Array, Array]:
    """Mean and covariance of [P, C]."""
    mean = jnp.mean(flat, axis=0)
    return mean, _second_moment(flat - mean[None])


def _moments_backward(residuals: tuple[Array, Array], g: tuple[Array, Array]) -> tuple[Array]:
    flat, mean = residuals
    of_mean, of_covariance = g
    # No gradient flows through the subtracted mean, because the centred map sums to zero.
    return (
        _second_moment_gradient(flat - mean[None], of_covariance) + of_mean[None] / flat.shape[0],
    )


def _moments_forward(flat: Array) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    mean, covariance = _moments(flat)
    return (mean, covariance), (flat, mean)


_moments.defvjp(_moments_forward, _moments_backward)
