"""Colours: gives one picture the colours of another."""

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.nst.statistics import mean_covariance

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luma(picture: Array) -> Array:
    """The luma [H, W] of a picture [H, W, 3]."""
    return picture @ jnp.asarray(LUMA, jnp.float32)


@jax.jit
def with_chroma(picture: Array, photograph: Array) -> Array:
    """``picture`` [H, W, 3] with its own luma and the chroma of ``photograph``, clipped to [0, 1].

    This is luminance transfer in Y'IQ (Gatys et al. 2016, *Preserving Color*, arXiv 1606.05897).
    """
    return jnp.clip(photograph + (luma(picture) - luma(photograph))[..., None], 0, 1)


@jax.jit
def match(picture: Array, painting: Array) -> Array:
    """``picture`` [H, W, 3] with the mean and covariance of ``painting``'s RGB, clipped to [0, 1].

    The linear map A = Σ^-½ (Σ^½ Σ̂ Σ^½)^½ Σ^-½ is the optimal transport between the two Gaussians,
    the one that moves colours least (Gatys et al. 2016, *Preserving Color*, arXiv 1606.05897, with
    the roles of photograph and painting reversed).
    """
    mean, covariance = mean_covariance(picture)
    target_mean, target_covariance = mean_covariance(painting)
    # The covariance of a picture with a single colour is zero and could not be inverted.
    floor = 1e-5 * jnp.eye(3, dtype=jnp.float32)
    root = _square_root(covariance + floor)
    inverse = jnp.linalg.inv(root)
    transport = inverse @ _square_root(root @ (target_covariance + floor) @ root) @ inverse
    return jnp.clip((picture - mean[None, None]) @ transport + target_mean[None, None], 0, 1)


def _square_root(matrix: Array) -> Array:
    values, vectors = jnp.linalg.eigh(matrix)
    return (vectors * jnp.sqrt(jnp.maximum(values, 0))[None]) @ vectors.T
