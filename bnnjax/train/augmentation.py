"""Random crops with colour jitter for training, and whole pictures for validation."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

MAX_ASPECT = 4 / 3  # of a random crop
JITTER = 0.4  # of brightness, contrast and saturation
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def augment(key: Array, images: Array, *, side: int, smallest_crop: float = 0.25) -> Array:
    """Random crops, resized, flipped horizontally half of the time, with colour jitter.

    Args:
      key: from `jax.random.key`.
      images: uint8 [N, S, S, 3].
      side: side of the result, in pixels.
      smallest_crop: smallest area of a crop, as a fraction of the picture.

    Returns:
      float32 [N, side, side, 3] in [0, 1].
    """
    keys = jax.random.split(key, images.shape[0])
    return jax.vmap(partial(_augment, side=side, smallest_crop=smallest_crop))(keys, images)


def resize(images: Array, *, side: int) -> Array:
    """Whole pictures, resized: uint8 [N, S, S, 3] → float32 [N, side, side, 3] in [0, 1]."""
    corner, extent = jnp.zeros(2), jnp.ones(2)
    return jax.vmap(lambda image: _crop(_to_float(image), corner, extent, side))(images)


def _augment(key: Array, image: Array, *, side: int, smallest_crop: float) -> Array:
    keys = jax.random.split(key, 5)
    area = jax.random.uniform(keys[0], (), minval=smallest_crop)
    ratio = jnp.exp(jax.random.uniform(keys[1], (), minval=-1.0) * jnp.log(MAX_ASPECT) / 2)
    extent = jnp.minimum(jnp.sqrt(area) * jnp.stack([ratio, 1 / ratio]), 1.0)
    corner = jax.random.uniform(keys[2], (2,)) * (1 - extent)
    crop = _crop(_to_float(image), corner, extent, side)
    crop = jnp.where(jax.random.bernoulli(keys[3]), crop[:, ::-1], crop)
    return _jitter(keys[4], crop)


def _crop(image: Array, corner: Array, extent: Array, side: int) -> Array:
    """A crop of [S, S, 3], resized to [side, side, 3].

    ``corner`` and ``extent`` are (rows, columns) as fractions of the picture's side.
    """
    scale = side / (image.shape[0] * extent)
    shift = -corner * image.shape[0] * scale
    shape = (side, side, 3)
    crop = jax.image.scale_and_translate(image, shape, (0, 1), scale, shift, "linear")
    return jnp.clip(crop, 0.0, 1.0)


def _jitter(key: Array, image: Array) -> Array:
    """Scales brightness, contrast and saturation by random factors, then clips to [0, 1]."""
    low, high = 1 - JITTER, 1 + JITTER
    brightness, contrast, saturation = jax.random.uniform(key, (3,), minval=low, maxval=high)
    image = image * brightness
    mean = image.mean()
    image = mean + contrast * (image - mean)
    gray = (image @ jnp.array(LUMA))[..., None]
    return jnp.clip(gray + saturation * (image - gray), 0.0, 1.0)


def _to_float(image: Array) -> Array:
    return image.astype(jnp.float32) / 255
