"""Augmentation: crops of pictures with a formula, and the jitter of colours."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnjax.train import augmentation
from bnnjax.train.augmentation import resize

pytestmark = pytest.mark.slow

SIDE = 24
augment = jax.jit(augmentation.augment, static_argnames=("side", "smallest_crop"))


def pictures(seed, count=3, side=SIDE):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_a_picture_resized_to_its_own_size_is_unchanged():
    given = pictures(0)
    np.testing.assert_allclose(resize(given, side=SIDE), given / 255, atol=1e-6)


def test_a_slope_resized_to_half_its_size_is_averaged():
    y, x = np.mgrid[:SIDE, :SIDE]
    slope = np.uint8(40 + 4 * x + 3 * y)
    given = np.stack([slope, slope[::-1], slope.T], axis=-1)[None]
    halved = resize(given, side=SIDE // 2)
    blocks = (given / 255).reshape(1, 12, 2, 12, 2, 3).mean((2, 4))
    np.testing.assert_allclose(halved[:, 1:-1, 1:-1], blocks[:, 1:-1, 1:-1], atol=1e-5)


crop = jax.jit(augmentation._crop, static_argnums=3)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(0, 1)] * 2),
    st.tuples(*[st.floats(0.3, 1)] * 2),
    st.sampled_from([8, 24, 40]),
)
def test_a_crop_of_a_slope_is_the_slope(place, extent, side):
    """Linear resizing keeps linear functions, away from the picture's borders. Shrinking by a
    factor that is not an integer samples the kernel unevenly: an error of at most 0.086 pixels."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) + 0.5
    image = jnp.stack([0.1 + 0.03 * x, 0.1 + 0.03 * y, 0.8 - 0.02 * x], axis=-1)
    extent = np.array(extent)
    corner = np.array(place) * (1 - extent)
    found = crop(image, jnp.asarray(corner), jnp.asarray(extent), side)

    rows, columns = (
        SIDE * (corner[axis] + extent[axis] * (np.arange(side) + 0.5) / side) for axis in (0, 1)
    )
    reach = np.maximum(SIDE * extent / side, 1)  # of the kernel
    inner = [
        (reach[axis] < at) & (at < SIDE - reach[axis]) for axis, at in enumerate((rows, columns))
    ]
    inside = inner[0][:, None] & inner[1]
    rows, columns = (
        np.broadcast_to(rows[:, None], (side, side)),
        np.broadcast_to(columns, (side, side)),
    )
    expected = np.stack([0.1 + 0.03 * columns, 0.1 + 0.03 * rows, 0.8 - 0.02 * columns], axis=-1)
    shrinks = (SIDE * extent > side).any()
    np.testing.assert_allclose(
        found[inside], expected[inside], atol=0.03 * 0.086 if shrinks else 2e-5
    )


def test_augmented_gray_pictures_differ_in_brightness_alone():
    """Whatever the crop, contrast and saturation, gray stays gray and uniform."""
    gray = np.full((64, SIDE, SIDE, 3), 102, np.uint8)
    seen = np.asarray(augment(jax.random.key(0), gray, side=16))
    assert np.ptp(seen, axis=(1, 2, 3)).max() < 1e-6
    levels = seen[:, 0, 0, 0] / 0.4
    assert 0.6 <= levels.min() < 0.7
    assert 1.3 < levels.max() <= 1.4


def test_augmented_pictures_have_the_right_range_and_size():
    seen = np.asarray(augment(jax.random.key(1), pictures(1, 20), side=16))
    assert seen.shape == (20, 16, 16, 3)
    assert seen.dtype == np.float32
    assert 0 <= seen.min() < seen.max() <= 1


def test_the_key_determines_the_crops_and_each_picture_gets_its_own():
    same = np.repeat(pictures(2, 1), 6, axis=0)
    first, again, other = (augment(jax.random.key(k), same, side=16) for k in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != other).any(axis=(1, 2, 3)).all()
    for one in range(6):
        for two in range(one):
            assert (first[one] != first[two]).any()


def test_half_of_the_crops_are_flipped_and_none_is_upside_down():
    x = np.linspace(50, 200, SIDE)
    sideways = np.uint8(np.broadcast_to(x[:, None], (400, SIDE, SIDE, 3)))
    slope = np.asarray(augment(jax.random.key(5), sideways, side=8)).mean((1, 3))
    flipped = (slope[:, -1] < slope[:, 0]).mean()
    assert abs(flipped - 0.5) < 0.1  # four standard deviations
    upright = sideways.swapaxes(1, 2)
    slope = np.asarray(augment(jax.random.key(5), upright, side=8)).mean((2, 3))
    assert (slope[:, -1] > slope[:, 0]).all()


@pytest.mark.parametrize("smallest_crop", [0.1, 0.5])
def test_crops_have_the_areas_and_aspects_asked_for(smallest_crop, monkeypatch):
    y, x = np.mgrid[:64, :64]
    image = np.stack([64 + 2 * x, 64 + 2 * y, np.full_like(x, 128)], axis=-1).astype(np.uint8)
    keys = jax.random.split(jax.random.key(6), 300)
    found = []

    def spy(image, corner, extent, side):
        found.append((corner, extent))
        return jnp.zeros((side, side, 3))

    def crop_of(key):
        augmentation._augment(key, image, side=8, smallest_crop=smallest_crop)
        return found[-1]

    monkeypatch.setattr(augmentation, "_crop", spy)
    corner, extent = (np.asarray(part) for part in jax.vmap(crop_of)(keys))
    areas = extent.prod(1)
    # Crops that would stick out are narrowed, by at most √(4/3) along one side.
    assert smallest_crop * 0.866 < areas.min() < smallest_crop + 0.1
    assert 0.85 < areas.max() <= 1
    ratios = extent[:, 0] / extent[:, 1]
    assert 0.749 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.334
    assert (corner >= 0).all()
    assert (corner + extent <= 1 + 1e-6).all()
