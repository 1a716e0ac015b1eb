"""What networks trained on ImageNet share: the classes, and the normalization of pictures."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array

from bnnjax.layers.kernel import per_channel

CLASSES = 1000
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def normalize(images: Array) -> Array:
    """sRGB [..., 3] in [0, 1] → zero mean and unit deviation over ImageNet
    (``larq_zoo/training/data.py``)."""
    return (images - _color(images, MEAN)) / _color(images, DEVIATION)


def rgb(images: Array, *, mean: tuple[float, float, float]) -> Array:
    """sRGB [..., 3] in [0, 1] → RGB in 0 to 255 minus ``mean``, as networks of MXNet expect."""
    return 255.0 * images - _color(images, mean)


def bgr(images: Array, *, mean: tuple[float, float, float]) -> Array:
    """sRGB [..., 3] in [0, 1] → BGR in 0 to 255 minus ``mean``, as networks from Caffe expect.

    Raises:
      ValueError: the last axis does not hold three channels.
    """
    if images.ndim == 0 or images.shape[-1] != 3:
        raise ValueError(f"images have shape {images.shape}, need three channels last (RGB)")
    return 255.0 * images[..., ::-1] - _color(images, mean)


def _color(images: Array, color: Sequence[float]) -> Array:
    return per_channel(jnp.asarray(color, images.dtype), images.ndim)
