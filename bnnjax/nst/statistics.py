"""Statistics of feature maps over their positions, with hand-written gradients.

Feature maps are float32 [h, w, C].
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

Kind = Literal["moments", "gram"]


class Statistics(NamedTuple):
    """Statistics of a feature map: ``mean`` [C] and ``second`` [C, C].

    For "moments", ``second`` is the covariance. For "gram", it is the Gram matrix, and ``mean`` is
    zero because the Gram matrix contains it.
    """

    mean: Array
    second: Array


def statistics(features: Array, kind: Kind) -> Statistics:
    """The statistics of a feature map [h, w, C]."""
    if kind == "gram":
        return Statistics(jnp.zeros(features.shape[-1], jnp.float32), gram(features))
    return Statistics(*mean_covariance(features))


def gram(features: Array) -> Array:
    """Gram matrix FᵀF / P, [C, C], of a map [h, w, C] with P positions (Gatys et al., CVPR 2016).

    Divisors vary in the literature; ours is the number of positions alone.
    """
    return _second_moment(features.reshape(-1, features.shape[-1]))


def mean_covariance(features: Array) -> tuple[Array, Array]:
    """Mean [C] and covariance [C, C] over positions (divisor P)."""
    return _moments(features.reshape(-1, features.shape[-1]))


# The gradients are written by hand because JAX would compute two products, one per factor, and
# transpose both. With many channels, the product is in bfloat16 with float32 sums, like the rest of
# the backward pass.

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
