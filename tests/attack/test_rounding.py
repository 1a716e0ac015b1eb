"""8-bit pictures stay within their balls."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnjax.attack.rounding import to_bytes

SHAPE = (6, 5, 3)


def case(seed, norm, epsilon):
    """A picture and a random one in its ball."""
    rng = np.random.default_rng(seed)
    center = rng.integers(0, 256, SHAPE, dtype=np.uint8)
    change = rng.uniform(-1, 1, SHAPE)
    if norm == "l2":
        change /= np.linalg.norm(change) / rng.uniform(0.5, 1)
    picture = np.clip(center / 255 + change * epsilon / 255, 0, 1)
    return center, picture.astype(np.float32)


@given(st.integers(0, 10**6), st.sampled_from(["linf", "l2"]), st.floats(0.2, 40))
def test_the_rounded_picture_is_in_the_ball(seed, norm, epsilon):
    center, picture = case(seed, norm, epsilon)
    change = to_bytes(picture, center, norm=norm, epsilon=epsilon).astype(float) - center
    size = np.abs(change).max() if norm == "linf" else np.linalg.norm(change)
    assert size <= epsilon + 1e-6


@given(st.integers(0, 10**6), st.integers(1, 20))
def test_linf_rounds_to_the_nearest_for_whole_radii(seed, epsilon):
    center, picture = case(seed, "linf", epsilon)
    rounded = to_bytes(picture, center, norm="linf", epsilon=epsilon)
    np.testing.assert_array_equal(rounded, np.rint(picture.astype(np.float64) * 255))


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_pictures_of_bytes_are_unchanged(norm):
    rng = np.random.default_rng(0)
    center = rng.integers(20, 200, SHAPE, dtype=np.uint8)
    after = (center + rng.integers(0, 4, SHAPE)).astype(np.uint8)
    picture = after.astype(np.float32) / 255
    np.testing.assert_array_equal(to_bytes(picture, center, norm=norm, epsilon=100), after)


def test_a_change_below_one_half_everywhere_is_not_lost():
    """In the norm l2: the largest values become 1, as many as the norm allows."""
    center = np.full(SHAPE, 100, np.uint8)
    change = np.linspace(0.1, 0.4, center.size).reshape(SHAPE)
    epsilon = float(np.linalg.norm(change))
    picture = ((center + change) / 255).astype(np.float32)
    found = to_bytes(picture, center, norm="l2", epsilon=epsilon).astype(int) - center
    count = int(epsilon**2)
    np.testing.assert_array_equal(found.ravel(), [0] * (center.size - count) + [1] * count)
