"""What networks trained on ImageNet share: their classes, and how pictures are normalised."""

import jax.numpy as jnp
from jax import Array

CLASSES = 1000
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def normalize(images: Array) -> Array:
    """sRGB in [0, 1] → zero mean, unit deviation over ImageNet (``larq_zoo/training/data.py``)."""
    return (images - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)


def bgr(images: Array, *, mean: tuple[float, float, float]) -> Array:
    """sRGB in [0, 1], [..., 3] → 0..255 in the order BGR, ``mean`` subtracted, as networks that
    came from Caffe expect.

    Raises:
      ValueError: the last axis does not hold three channels.
    """
    if images.ndim == 0 or images.shape[-1] != 3:
        raise ValueError(f"got images of shape {images.shape}; need three channels last (RGB)")
    return 255.0 * images[..., ::-1] - jnp.asarray(mean, images.dtype)
