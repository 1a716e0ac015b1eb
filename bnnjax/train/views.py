"""What a network sees of a photograph: random views to train with, the whole to be judged by."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

LONGEST = 4 / 3  # sides of a random crop, one to the other


def random_views(key: Array, images: Array, *, side: int, smallest: float = 0.25) -> Array:
    """Random crops, resized, half of them mirrored, in changed light.

    Args:
      key: from `jax.random.key`.
      images: uint8 [N, S, S, 3].
      side: of the result.
      smallest: area of a crop at least, of the picture's.

    Returns:
      float32 [N, side, side, 3] in [0, 1].
    """
    keys = jax.random.split(key, images.shape[0])
    return jax.vmap(partial(_random_view, side=side, smallest=smallest))(keys, images)


def whole_views(images: Array, *, side: int) -> Array:
    """The whole pictures, resized: uint8 [N, S, S, 3] → float32 [N, side, side, 3] in [0, 1]."""
    corner, extent = jnp.zeros(2), jnp.ones(2)
    return jax.vmap(lambda image: _cut(_floats(image), corner, extent, side))(images)


def _random_view(key: Array, image: Array, *, side: int, smallest: float) -> Array:
    keys = jax.random.split(key, 5)
    area = jax.random.uniform(keys[0], (), minval=smallest)
    ratio = jnp.exp(jax.random.uniform(keys[1], (), minval=-1.0) * jnp.log(LONGEST) / 2)
    extent = jnp.minimum(jnp.sqrt(area) * jnp.stack([ratio, 1 / ratio]), 1.0)
    corner = jax.random.uniform(keys[2], (2,)) * (1 - extent)
    view = _cut(_floats(image), corner, extent, side)
    view = jnp.where(jax.random.bernoulli(keys[3]), view[:, ::-1], view)
    return _relit(keys[4], view)


def _cut(image: Array, corner: Array, extent: Array, side: int) -> Array:
    """The part of [S, S, 3] with this corner and extent (rows, columns; in pictures), resized."""
    scale = side / (image.shape[0] * extent)
    shift = -corner * image.shape[0] * scale
    shape = (side, side, 3)
    view = jax.image.scale_and_translate(image, shape, (0, 1), scale, shift, "linear")
    return jnp.clip(view, 0.0, 1.0)


def _relit(key: Array, view: Array) -> Array:
    """Brightness, contrast and saturation changed by up to 0.4 each, as far as [0, 1] allows."""
    brightness, contrast, saturation = jax.random.uniform(key, (3,), minval=0.6, maxval=1.4)
    view = view * brightness
    mean = view.mean()
    view = mean + contrast * (view - mean)
    gray = (view @ jnp.array([0.299, 0.587, 0.114]))[..., None]
    return jnp.clip(gray + saturation * (view - gray), 0.0, 1.0)


def _floats(image: Array) -> Array:
    return image.astype(jnp.float32) / 255
