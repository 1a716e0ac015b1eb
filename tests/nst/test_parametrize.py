"""Pictures to numbers and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnjax.nst import parametrize

_decode = jax.jit(parametrize.decode, static_argnames="kind")


@settings(max_examples=12, deadline=None)
@given(height=st.integers(1, 99), width=st.integers(1, 99), seed=st.integers(0, 9))
def test_a_pyramid_gives_its_picture_back(height, width, seed):
    """Whatever the sides, odd ones too; but for the values that a logit cannot take."""
    picture = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    z = parametrize.encode(jnp.asarray(picture), kind="pyramid")
    assert z[0].shape == picture.shape
    sides = [level.shape[:2] for level in z]
    assert sides == sorted(sides, reverse=True)
    assert all(np.isfinite(level).all() for level in z)
    found = parametrize.decode(z, kind="pyramid")
    np.testing.assert_allclose(found, np.clip(picture, 0.02, 0.98), atol=2e-6)


@settings(max_examples=20, deadline=None)
@given(height=st.integers(1, 99), width=st.integers(1, 99))
def test_pixels_give_their_picture_back(height, width):
    picture = np.random.default_rng(0).random((height, width, 3)).astype(np.float32)
    z = parametrize.encode(jnp.asarray(picture), kind="pixels")
    np.testing.assert_array_equal(parametrize.decode(z, kind="pixels"), picture)


def test_a_picture_of_one_colour_lies_in_the_coarsest_level_alone():
    picture = jnp.broadcast_to(jnp.array([0.1, 0.5, 0.9]), (70, 45, 3))
    *fine, coarsest = parametrize.encode(picture, kind="pyramid")
    assert fine
    for level in fine:
        np.testing.assert_allclose(level, 0, atol=1e-5)
    logits = np.log([0.1 / 0.9, 1, 9])
    np.testing.assert_allclose(coarsest, np.broadcast_to(logits, coarsest.shape), atol=1e-5)


def test_a_level_raised_everywhere_raises_every_logit_alike(make_picture):
    picture = make_picture(0, 71, 58)
    z = parametrize.encode(picture, kind="pyramid")
    before = np.asarray(parametrize.decode(z, kind="pyramid"))
    for place in range(len(z)):
        raised = [level + 0.25 * (place == i) for i, level in enumerate(z)]
        after = np.asarray(_decode(raised, kind="pyramid"))
        logits = np.log(after / (1 - after)) - np.log(before / (1 - before))
        np.testing.assert_allclose(logits, 0.25, atol=1e-4)


def test_one_number_of_a_coarser_level_moves_a_wider_spot(make_picture):
    z = parametrize.encode(make_picture(0, 96, 96), kind="pyramid")
    before = parametrize.decode(z, kind="pyramid")
    spots = []
    for place, level in enumerate(z):
        middle = tuple(side // 2 for side in level.shape[:2])
        raised = [*z[:place], level.at[middle].add(1.0), *z[place + 1 :]]
        spots.append(int((_decode(raised, kind="pyramid") != before).any(2).sum()))
    assert spots[0] == 1
    for fine, coarse in zip(spots, spots[1:], strict=False):
        assert 2 * fine < coarse


def test_a_pyramid_never_leaves_the_gamut():
    z = parametrize.encode(jnp.full((40, 40, 3), 0.5), kind="pyramid")
    for value in (-1e30, -50.0, 50.0, 1e30):
        picture = np.asarray(_decode([*z[:-1], z[-1] + value], kind="pyramid"))
        np.testing.assert_allclose(picture, float(value > 0), atol=1e-6)
        assert 0 <= picture.min() <= picture.max() <= 1


def test_projection_brings_pixels_back_into_the_gamut():
    z = [jnp.array([-0.5, 0.0, 0.3, 1.0, 1.5]).reshape(1, 5, 1)]
    (projected,) = parametrize.project(z, kind="pixels")
    np.testing.assert_array_equal(projected.ravel(), np.float32([0, 0, 0.3, 1, 1]))


def test_projection_leaves_a_pyramid_alone(make_picture):
    z = parametrize.encode(make_picture(0), kind="pyramid")
    for level, projected in zip(z, parametrize.project(z, kind="pyramid"), strict=True):
        np.testing.assert_array_equal(level, projected)


def test_gradients_of_a_pyramid_agree_with_differences(make_picture):
    with jax.enable_x64(True):
        z = parametrize.encode(jnp.asarray(make_picture(0, 57, 64), jnp.float64), kind="pyramid")
        weights = jnp.asarray(np.random.default_rng(0).normal(size=(57, 64, 3)))
        value = jax.jit(lambda z: jnp.vdot(parametrize.decode(z, kind="pyramid"), weights))
        rng = np.random.default_rng(1)
        direction = [jnp.asarray(rng.normal(size=level.shape)) for level in z]
        ahead, behind = (
            value([level + h * d for level, d in zip(z, direction, strict=True)])
            for h in (1e-5, -1e-5)
        )
        slope = sum(
            jnp.vdot(g, d) for g, d in zip(jax.grad(value)(z), direction, strict=True)
        )
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-7)


def test_an_unknown_parametrization_is_refused():
    with pytest.raises(ValueError, match="'fourier'; there are"):
        parametrize.encode(jnp.zeros((4, 4, 3)), kind="fourier")
