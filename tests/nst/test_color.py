"""The transfer of colours from a painting to a photograph."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnjax.nst import color


def moments(picture):
    flat = np.asarray(picture, np.float64).reshape(-1, 3)
    return flat.mean(0), np.cov(flat, rowvar=False, bias=True)


def muted(seed, height=40, width=50):
    """Colours around grey, correlated between channels, too far from 0 and 1 to be clipped."""
    rng = np.random.default_rng(seed)
    mix = rng.uniform(-0.015, 0.015, (3, 3)) + 0.1 * np.eye(3)
    center = rng.uniform(0.45, 0.55, 3)
    return (center + rng.uniform(-1, 1, (height, width, 3)) @ mix).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_result_has_the_paintings_mean_and_covariance(seed):
    photograph, painting = muted(seed), muted(seed + 1, 30, 20)
    matched = np.asarray(color.match(jnp.asarray(photograph), jnp.asarray(painting)))
    assert matched.min() > 0
    assert matched.max() < 1  # nothing was clipped
    for found, expected in zip(moments(matched), moments(painting), strict=True):
        np.testing.assert_allclose(found, expected, atol=5e-5)


def test_the_map_is_affine_symmetric_and_positive():
    """This distinguishes optimal transport from all other maps between two Gaussians."""
    photograph, painting = muted(0), muted(1)
    matched = np.asarray(color.match(jnp.asarray(photograph), jnp.asarray(painting)))
    rows = np.c_[photograph.reshape(-1, 3), np.ones(40 * 50)].astype(np.float64)
    affine, *_ = np.linalg.lstsq(rows, matched.reshape(-1, 3).astype(np.float64), rcond=None)
    np.testing.assert_allclose(rows @ affine, matched.reshape(-1, 3), atol=1e-5)
    np.testing.assert_allclose(affine[:3], affine[:3].T, atol=1e-3)
    assert np.linalg.eigvalsh(affine[:3]).min() > 0


def test_a_picture_matched_to_itself_stays_as_it_is(make_picture):
    picture = make_picture(0)
    np.testing.assert_allclose(color.match(picture, picture), picture, atol=1e-4)


@pytest.mark.parametrize("grey", [0.0, 0.4, 1.0])
def test_a_picture_of_one_colour_gets_the_paintings_mean(grey):
    painting = muted(1)
    matched = color.match(jnp.full((8, 9, 3), grey), jnp.asarray(painting))
    np.testing.assert_allclose(
        matched, np.broadcast_to(painting.mean((0, 1)), (8, 9, 3)), atol=1e-5
    )


def test_a_painting_of_one_colour_leaves_little_contrast():
    photograph = muted(0)
    matched = np.asarray(color.match(jnp.asarray(photograph), jnp.full((8, 9, 3), 0.7)))
    np.testing.assert_allclose(matched.mean((0, 1)), 0.7, atol=1e-5)
    assert matched.std() < 0.01


def test_strong_colours_are_clipped_at_the_gamut(make_picture):
    contrast = np.random.default_rng(0).integers(0, 2, (16, 16, 3)).astype(np.float32)
    matched = np.asarray(color.match(make_picture(0), jnp.asarray(contrast)))
    assert matched.min() == 0
    assert matched.max() == 1
