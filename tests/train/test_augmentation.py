"""Views of photographs: crops against what they are on pictures with a formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bnnjax.train.views import random_views, whole_views
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnjax.train import views

SIDE = 24


def pictures(seed, count=3, side=SIDE):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def test_the_whole_at_its_own_size_is_the_picture():
    given = pictures(0)
    np.testing.assert_allclose(whole_views(given, side=SIDE), given / 255, atol=1e-6)


def test_the_whole_of_half_the_size_keeps_the_mean_of_what_is_smooth():
    y, x = np.mgrid[:SIDE, :SIDE]
    slope = np.uint8(40 + 4 * x + 3 * y)
    given = np.stack([slope, slope[::-1], slope.T], axis=-1)[None]
    halved = whole_views(given, side=SIDE // 2)
    blocks = (given / 255).reshape(1, 12, 2, 12, 2, 3).mean((2, 4))
    np.testing.assert_allclose(halved[:, 1:-1, 1:-1], blocks[:, 1:-1, 1:-1], atol=1e-5)


cut = jax.jit(views._cut, static_argnums=3)


@settings(max_examples=25, deadline=None)
@given(
    st.tuples(*[st.floats(0, 1)] * 2),
    st.tuples(*[st.floats(0.3, 1)] * 2),
    st.sampled_from([8, 24, 40]),
)
def test_a_crop_of_a_slope_is_the_slope(place, extent, side):
    """Linear resizing keeps linear functions, away from the picture's borders; where it shrinks by
    no whole number, its kernel's samples are off balance, by 0.086 of a pixel at most."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) + 0.5
    image = jnp.stack([0.1 + 0.03 * x, 0.1 + 0.03 * y, 0.8 - 0.02 * x], axis=-1)
    extent = np.array(extent)
    corner = np.array(place) * (1 - extent)
    view = cut(image, jnp.asarray(corner), jnp.asarray(extent), side)

    rows, columns = (
        SIDE * (corner[axis] + extent[axis] * (np.arange(side) + 0.5) / side) for axis in (0, 1)
    )
    reach = np.maximum(SIDE * extent / side, 1)  # of the resizing's kernel
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
        view[inside], expected[inside], atol=0.03 * 0.086 if shrinks else 2e-5
    )


def test_random_views_of_a_grey_picture_differ_in_brightness_alone():
    """Whatever the crop, contrast and saturation, grey stays grey and even."""
    grey = np.full((64, SIDE, SIDE, 3), 102, np.uint8)
    seen = np.asarray(random_views(jax.random.key(0), grey, side=16))
    assert np.ptp(seen, axis=(1, 2, 3)).max() < 1e-6
    levels = seen[:, 0, 0, 0] / 0.4
    assert 0.6 <= levels.min() < 0.7
    assert 1.3 < levels.max() <= 1.4


def test_random_views_are_in_range_and_of_the_size_asked_for():
    seen = np.asarray(random_views(jax.random.key(1), pictures(1, 20), side=16))
    assert seen.shape == (20, 16, 16, 3)
    assert seen.dtype == np.float32
    assert 0 <= seen.min() < seen.max() <= 1


def test_the_same_key_gives_the_same_views_and_each_picture_its_own():
    same = np.repeat(pictures(2, 1), 6, axis=0)
    first, again, other = (random_views(jax.random.key(k), same, side=16) for k in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (np.asarray(first) != other).any(axis=(1, 2, 3)).all()
    for one in range(6):
        for two in range(one):
            assert (first[one] != first[two]).any()


def test_half_of_the_views_are_mirrored_and_none_upside_down():
    x = np.linspace(50, 200, SIDE)
    sideways = np.uint8(np.broadcast_to(x[:, None], (400, SIDE, SIDE, 3)))
    slope = np.asarray(random_views(jax.random.key(5), sideways, side=8)).mean((1, 3))
    mirrored = (slope[:, -1] < slope[:, 0]).mean()
    assert abs(mirrored - 0.5) < 0.1  # four standard deviations
    upright = sideways.swapaxes(1, 2)
    slope = np.asarray(random_views(jax.random.key(5), upright, side=8)).mean((2, 3))
    assert (slope[:, -1] > slope[:, 0]).all()


@pytest.mark.parametrize("smallest", [0.1, 0.5])
def test_crops_are_as_large_as_asked_for(smallest):
    """Brightness, contrast and saturation undone: colour differences along x and y tell extents."""
    y, x = np.mgrid[:64, :64]
    image = np.stack([64 + 2 * x, 64 + 2 * y, np.full_like(x, 128)], axis=-1).astype(np.uint8)
    keys = jax.random.split(jax.random.key(6), 300)
    cut = []

    def spy(image, corner, extent, side):
        cut.append((corner, extent))
        return jnp.zeros((side, side, 3))

    original, views._cut = views._cut, spy
    try:
        extents = jax.vmap(
            lambda key: (views._random_view(key, image, side=8, smallest=smallest), cut[-1])[1]
        )(keys)
    finally:
        views._cut = original
    corner, extent = (np.asarray(part) for part in extents)
    areas = extent.prod(1)
    # Crops that would stick out are narrowed: at most by √(4/3) along one side.
    assert smallest * 0.866 < areas.min() < smallest + 0.1
    assert 0.85 < areas.max() <= 1
    ratios = extent[:, 0] / extent[:, 1]
    assert 0.749 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.334
    assert (corner >= 0).all()
    assert (corner + extent <= 1 + 1e-6).all()
