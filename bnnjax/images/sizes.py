"""Crops and resizes of pictures: for art, and for classifying as Larq Zoo does."""

import operator
from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike
from PIL import Image


def resize(image: ArrayLike, *, height: SupportsIndex, width: SupportsIndex) -> np.ndarray:
    """Resizes [H, W, 3] in [0, 1] to [height, width, 3] by antialiased Lanczos, clipped to [0, 1].

    Raises:
      ValueError: ``image`` is not a float [H, W, 3] array or a side is not a positive integer.
    """
    resized = _pillow_resize(_checked(image), height, width, Image.Resampling.LANCZOS)
    return np.clip(resized, 0, 1)


def fit(image: ArrayLike, *, size: SupportsIndex) -> np.ndarray:
    """Resizes [H, W, 3], up or down, to a shorter side of ``size``; the longer side is rounded.

    Raises:
      ValueError: as `resize` does.

    Examples:
      >>> bnnjax.images.fit(np.zeros((300, 400, 3), np.float32), size=96).shape
      (96, 128, 3)
    """
    image = _checked(image)
    height, width = _fitted(image.shape[:2], size)
    return resize(image, height=height, width=width)


def fit_channel(channel: np.ndarray, *, size: SupportsIndex) -> np.ndarray:
    """`fit` of one channel, float32 [H, W] in [0, 1]."""
    height, width = _fitted(channel.shape, size)
    return resize_channel(channel, height=height, width=width)


def resize_channel(channel: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """`resize` of one channel, float32 [H, W] in [0, 1]."""
    resized = Image.fromarray(channel).resize((width, height), Image.Resampling.LANCZOS)
    return np.clip(np.asarray(resized), 0, 1)


def _fitted(shape: Sequence[int], size: SupportsIndex) -> tuple[int, int]:
    size, shorter = positive("size", size), min(shape)
    height, width = ((2 * side * size + shorter) // (2 * shorter) for side in shape)
    return height, width


def center_crop(image: ArrayLike, *, size: SupportsIndex) -> np.ndarray:
    """Copies the central square [size, size, 3]; odd margins are larger at the bottom and right.

    Raises:
      ValueError: ``image`` is not a float [H, W, 3] array or not 1 ≤ size ≤ min(H, W).
    """
    image, size = _checked(image), positive("size", size)
    return _square(image, size, [(side - size) // 2 for side in image.shape[:2]])


def zoo_crop_resize(image: ArrayLike, *, size: SupportsIndex = 224) -> np.ndarray:
    """Larq Zoo's crop and resize for evaluation, [H, W, 3] → float32 [size, size, 3].

    The central square of side ⌊size / (size + 32) · min(H, W)⌋ (7/8 at 224) is resized by TF1's
    ``resize_bicubic``: no antialiasing, no half-pixel centres. Values may be of any range and may
    overshoot it. Source: larq_zoo/training/data.py ``_center_crop``, zoo 2.4.

    Raises:
      ValueError: ``image`` is not a float [H, W, 3] array or is too small for such a crop.
    """
    image, size = _checked(image), positive("size", size)
    side = _zoo_side(image, size)
    # Unlike `center_crop`, the zoo makes odd margins larger at the top and left.
    crop = _square(image, side, [(length - side + 1) // 2 for length in image.shape[:2]])
    return _tf_bicubic(_tf_bicubic(crop, size, axis=0), size, axis=1)


def pillow_crop_resize(image: ArrayLike, *, size: SupportsIndex = 224) -> np.ndarray:
    """Resizes a square of the zoo's side by Pillow's antialiased bicubic (a = −0.5, pixel centres).

    [H, W, 3] → float32 [size, size, 3], not clipped. The crop is `center_crop`'s and at most a
    pixel off the zoo's.

    Raises:
      ValueError: as `zoo_crop_resize` does.
    """
    image, size = _checked(image), positive("size", size)
    square = center_crop(image, size=_zoo_side(image, size))
    return _pillow_resize(square, size, size, Image.Resampling.BICUBIC)


def square(image: ArrayLike, *, size: SupportsIndex = 224) -> np.ndarray:
    """A picture as classifiers see it, [H, W, 3] → float32 [size, size, 3], clipped to [0, 1].

    A square of that size is taken as it is; others go through `pillow_crop_resize`.

    Raises:
      ValueError: as `zoo_crop_resize` does.
    """
    image, size = _checked(image), positive("size", size)
    if image.shape[:2] != (size, size):
        image = pillow_crop_resize(image, size=size)
    return np.clip(image, 0, 1)


def positive(name: str, value: SupportsIndex) -> int:
    """Returns an integer of Python, NumPy or JAX as an int.

    Raises:
      ValueError: ``value``, which the caller knows as ``name``, is not an integer or is below 1.
    """
    try:
        integer = operator.index(value)
    except TypeError:
        integer = 0
    if integer < 1:
        raise ValueError(f"{name} is {value}, needs an integer of at least 1")
    return integer


def _checked(image: ArrayLike) -> np.ndarray:
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"image: a non-empty [H, W, 3] is needed, got {list(array.shape)}")
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise ValueError(f"image: float values are needed (see load), got {array.dtype}")
    return array.astype(np.float32, copy=False)


def _pillow_resize(
    image: np.ndarray, height: SupportsIndex, width: SupportsIndex, kernel: Image.Resampling
) -> np.ndarray:
    size = positive("width", width), positive("height", height)
    # Pillow resizes floats only one channel at a time; RGB would be rounded to 8 bits.
    channels = (Image.fromarray(np.ascontiguousarray(c)) for c in np.moveaxis(image, -1, 0))
    return np.stack([np.asarray(c.resize(size, kernel)) for c in channels], axis=-1)


def _square(image: np.ndarray, size: int, corner: Sequence[int]) -> np.ndarray:
    if not 1 <= size <= min(image.shape[:2]):
        raise ValueError(f"image: no crop of side {size} in {image.shape[0]}×{image.shape[1]}")
    top, left = corner
    return image[top : top + size, left : left + size].copy()


def _zoo_side(image: np.ndarray, size: int) -> int:
    # In float32 and truncated, as the zoo computes it.
    return int(np.float32(size / (size + 32)) * np.float32(min(image.shape[:2])))


def _tf_bicubic(image: np.ndarray, size: int, *, axis: int) -> np.ndarray:
    """One axis of TensorFlow's ResizeBicubic(align_corners=False, half_pixel_centers=False).

    All in float32 and in TensorFlow's order, so that even the rounding agrees.
    """
    length = image.shape[axis]
    position = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
    whole = np.floor(position)
    fraction = np.rint((position - whole) * 1024) / 1024  # TensorFlow tabulates 1024 steps.
    terms = []
    for step in range(-1, 3):  # Beyond the border, the outermost pixel repeats.
        pixel = np.clip(whole.astype(int) + step, 0, length - 1)
        weight = _cubic(np.abs(fraction.astype(np.float64) - step)).astype(np.float32)
        terms.append(np.take(image, pixel, axis) * weight.reshape([-1] + [1] * (2 - axis)))
    return np.sum(terms, axis=0)


def _cubic(x: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Cubic convolution for 0 ≤ x ≤ 2 (Keys 1981, who prefers a = −0.5; TF1 uses −0.75)."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, far)
