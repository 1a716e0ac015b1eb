"""bnnjax.images.sizes against closed forms and stored results of TensorFlow."""

import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnjax import images

REFERENCE = np.load(Path(__file__).parents[1] / "reference" / "zoo_resize.npz")
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def resampling(length, size, kernel, support):
    """[size, length]: a kernel at pixel centres, widened to antialias, normalised."""
    scale = length / size
    centre = (np.arange(size)[:, None] + 0.5) * scale
    x = (np.arange(length) + 0.5 - centre) / max(scale, 1)
    weight = np.where(np.abs(x) < support, kernel(x), 0)
    return weight / weight.sum(1, keepdims=True)


def lanczos(x):
    return np.sinc(x) * np.sinc(x / 3)


def keys(x):
    x = np.abs(x)
    return np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2)


def separable(image, height, width, kernel, support):
    rows = resampling(image.shape[0], height, kernel, support)
    columns = resampling(image.shape[1], width, kernel, support)
    return np.einsum("yh,hwc,xw->yxc", rows, image, columns)


@pytest.mark.parametrize(("height", "width"), [(9, 5), (40, 61), (23, 31), (23, 5), (1, 1)])
def test_resize_is_antialiased_lanczos(height, width, assert_picture):
    image = np.random.default_rng(2).uniform(size=(23, 31, 3)).astype(np.float32)
    expected = np.clip(separable(image, height, width, lanczos, 3), 0, 1)
    assert_picture(images.resize(image, height=height, width=width), expected, 2e-6)


@settings(max_examples=60)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_fit_gives_the_shorter_side_and_keeps_the_ratio(height, width, size):
    fitted = images.fit(np.full((height, width, 3), 0.25, np.float32), size=size)
    long_side = size * max(height, width) / min(height, width)
    sides = fitted.shape[:2]
    assert min(sides) == size
    assert abs(max(sides) - long_side) <= 0.5
    assert (height <= width) == (sides[0] <= sides[1]) or sides[0] == sides[1]
    np.testing.assert_allclose(fitted, 0.25, atol=1e-6)


def test_fit_to_its_own_size_changes_nothing():
    image = images.load(PIXELS)
    assert (images.fit(image, size=5) == image).all()


@pytest.mark.parametrize(("size", "top", "left"), [(5, 0, 1), (4, 0, 1), (3, 1, 2), (1, 2, 3)])
def test_center_crop(size, top, left):
    image = images.load(PIXELS)
    cropped = images.center_crop(image, size=size)
    assert (cropped == image[top : top + size, left : left + size]).all()
    cropped[:] = 0
    assert (image == images.load(PIXELS)).all()


@pytest.mark.parametrize("of", [int, np.int8, np.uint64, np.array, jnp.asarray])
def test_sizes_are_integers_of_any_kind(of):
    image = images.load(np.tile(PIXELS, (40, 40, 1)))
    assert images.fit(image, size=of(100)).shape == (100, 140, 3)
    assert images.center_crop(image, size=of(100)).shape == (100, 100, 3)
    assert images.resize(image, height=of(2), width=of(3)).shape == (2, 3, 3)
    assert images.zoo_crop_resize(image, size=of(9)).shape == (9, 9, 3)
    assert images.pillow_crop_resize(image, size=of(9)).shape == (9, 9, 3)


@pytest.mark.parametrize(
    ("of", "dtype"),
    [(np.asarray, "float64")]
    + [(of, dtype) for of in (np.asarray, jnp.asarray) for dtype in ("float16", "bfloat16")],
)
def test_pictures_are_floats_of_any_width(of, dtype):
    image = of(np.full((8, 9, 3), 0.75), jnp.dtype(dtype))
    for resized in (images.fit(image, size=4), images.zoo_crop_resize(image, size=32)):
        assert resized.dtype == np.float32
        np.testing.assert_allclose(resized, 0.75, atol=1e-6)


@pytest.mark.parametrize("size", [0, -32, 2.5, np.float32(3), np.array([3, 4]), None, "3"])
@pytest.mark.parametrize(
    "function",
    [images.fit, images.center_crop, images.zoo_crop_resize, images.pillow_crop_resize],
)
def test_sizes_that_are_not_positive_integers_are_refused(function, size, one_line_error):
    image = images.load(PIXELS)
    one_line_error(lambda: function(image, size=size), f"size is {size}, needs an integer")
    one_line_error(lambda: images.resize(image, height=size, width=3), f"height is {size}, needs")
    one_line_error(lambda: images.resize(image, height=3, width=size), f"width is {size}, needs")


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda image: images.center_crop(image, size=6), "no crop of side 6 in 5×7"),
        (lambda image: images.zoo_crop_resize(image[:1]), "no crop of side 0 in 1×7"),
        (lambda image: images.pillow_crop_resize(image[:1]), "needs an integer of at least 1"),
        (lambda image: images.fit(PIXELS, size=3), "uint8"),
        (lambda image: images.fit(image[..., :2], size=3), "[5, 7, 2]"),
        (lambda image: images.fit(image[None], size=3), "[1, 5, 7, 3]"),
        (lambda image: images.fit(image[:0], size=3), "[0, 7, 3]"),
        (lambda image: images.zoo_crop_resize(image[..., 0]), "[5, 7]"),
    ],
)
def test_unsuitable_arrays_are_refused(call, part, one_line_error):
    one_line_error(lambda: call(images.load(PIXELS)), part)


# --- the zoo's preprocessing ----------------------------------------------------------------------


@pytest.mark.parametrize("case", range(len(REFERENCE["cases"])))
def test_zoo_crop_resize_equals_tensorflow(case):
    height, width, size, stride = (int(n) for n in REFERENCE["cases"][case])
    drawn = np.random.default_rng(case).uniform(0, 255, (height, width, 3)).astype(np.float32)
    image = images.zoo_crop_resize(drawn, size=size)
    assert image.shape == (size, size, 3)
    assert image.dtype == np.float32
    expected = REFERENCE[f"output_{case}"]
    np.testing.assert_allclose(image[::stride, ::stride], expected, rtol=0, atol=1e-5)


@settings(max_examples=40)
@given(st.integers(2, 300), st.integers(2, 300))
def test_zoo_crop_is_seven_eighths_with_odd_margins_at_the_top_and_left(height, width):
    """At 224 px. The first pixel of the result is a pixel of the crop and shows its position."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    image = np.stack([rows, columns, 0 * rows], axis=-1)
    side = 7 * min(height, width) // 8
    corner = [math.ceil((height - side) / 2), math.ceil((width - side) / 2)]
    resized = images.zoo_crop_resize(image)
    np.testing.assert_allclose(resized[0, 0, :2], corner, atol=1e-4)
    if side == 224:
        assert (resized == image[corner[0] :, corner[1] :][:224, :224]).all()


def test_zoo_resize_between_pixels():
    """At twice the size, every other pixel lies halfway, where the weights are −3, 19, 19, −3."""
    image = np.random.default_rng(3).uniform(size=(32, 32, 3)).astype(np.float32)
    resized = images.zoo_crop_resize(image, size=32)
    crop = image[8:24, 8:24].astype(np.float64)
    np.testing.assert_array_equal(resized[::2, ::2], crop)
    padded = np.pad(crop, ((0, 0), (1, 2), (0, 0)), mode="edge")
    halves = sum(w * padded[:, k : k + 16] for k, w in enumerate((-3, 19, 19, -3))) / 32
    np.testing.assert_allclose(resized[::2, 1::2], halves, atol=1e-6)


def test_pillow_crop_resize():
    image = np.random.default_rng(4).uniform(size=(70, 50, 3)).astype(np.float32)
    crop = image[22:47, 12:37]  # 32 / 64 of 50
    expected = separable(crop, 32, 32, keys, 2)
    resized = images.pillow_crop_resize(image, size=32)
    np.testing.assert_allclose(resized, expected, atol=2e-6)
    assert resized.min() < 0 or resized.max() > 1


def test_a_square_of_the_size_is_taken_as_it_is_and_others_are_cropped_and_resized():
    small = np.random.default_rng(0).uniform(size=(16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(images.square(small, size=16), small)
    large = np.random.default_rng(0).uniform(size=(40, 32, 3)).astype(np.float32)
    expected = np.clip(images.pillow_crop_resize(large, size=16), 0, 1)
    np.testing.assert_array_equal(images.square(large, size=16), expected)
