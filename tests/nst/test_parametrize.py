"""Pictures to numbers and back."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.nst import parametrize

_encode = jax.jit(parametrize.encode, static_argnames="kind")
_decode = jax.jit(parametrize.decode, static_argnames="kind")


@functools.partial(jax.jit, static_argnames="kind")
def there_and_back(picture, *, kind):
    z = parametrize.encode(picture, kind=kind)
    return z, parametrize.decode(z, kind=kind)


@pytest.mark.parametrize("shape", [(1, 1), (1, 99), (27, 64), (57, 29), (63, 97), (64, 64)])
def test_a_pyramid_gives_its_picture_back(shape):
    """Whatever the sides, odd ones too; but for the values that a logit cannot take."""
    picture = np.random.default_rng(0).random((*shape, 3)).astype(np.float32)
    z, found = there_and_back(picture, kind="pyramid")
    assert z[0].shape == picture.shape
    sides = [level.shape[:2] for level in z]
    assert sides == sorted(sides, reverse=True)
    assert all(np.isfinite(level).all() for level in z)
    np.testing.assert_allclose(found, np.clip(picture, 0.02, 0.98), atol=2e-6)


@pytest.mark.parametrize("shape", [(1, 1), (57, 29), (64, 64)])
def test_pixels_give_their_picture_back(shape):
    picture = np.random.default_rng(0).random((*shape, 3)).astype(np.float32)
    _, found = there_and_back(picture, kind="pixels")
    np.testing.assert_array_equal(found, picture)


def test_a_picture_of_one_colour_lies_in_the_coarsest_level_alone():
    picture = jnp.broadcast_to(jnp.array([0.1, 0.5, 0.9]), (63, 97, 3))
    *fine, coarsest = _encode(picture, kind="pyramid")
    assert fine
    for level in fine:
        np.testing.assert_allclose(level, 0, atol=1e-5)
    logits = np.log([0.1 / 0.9, 1, 9])
    np.testing.assert_allclose(coarsest, np.broadcast_to(logits, coarsest.shape), atol=1e-5)


def test_a_level_raised_everywhere_raises_every_logit_alike(make_picture):
    picture = make_picture(0, 63, 97)
    z = _encode(picture, kind="pyramid")
    before = np.asarray(_decode(z, kind="pyramid"))
    for place in range(len(z)):
        raised = [level + 0.25 * (place == i) for i, level in enumerate(z)]
        after = np.asarray(_decode(raised, kind="pyramid"))
        logits = np.log(after / (1 - after)) - np.log(before / (1 - before))
        np.testing.assert_allclose(logits, 0.25, atol=1e-4)


def test_one_number_of_a_coarser_level_moves_a_wider_spot(make_picture):
    z = _encode(make_picture(0, 63, 97), kind="pyramid")
    before = _decode(z, kind="pyramid")
    spots = []
    for place, level in enumerate(z):
        middle = tuple(side // 2 for side in level.shape[:2])
        raised = [*z[:place], level.at[middle].add(1.0), *z[place + 1 :]]
        spots.append(int((_decode(raised, kind="pyramid") != before).any(2).sum()))
    assert spots[0] == 1
    for fine, coarse in itertools.pairwise(spots):
        assert 2 * fine < coarse


def test_a_pyramid_never_leaves_the_gamut():
    z = _encode(jnp.full((63, 97, 3), 0.5), kind="pyramid")
    for value in (-1e30, -50.0, 50.0, 1e30):
        picture = np.asarray(_decode([*z[:-1], z[-1] + value], kind="pyramid"))
        np.testing.assert_allclose(picture, float(value > 0), atol=1e-6)
        assert 0 <= picture.min() <= picture.max() <= 1


def test_projection_brings_pixels_back_into_the_gamut():
    z = [jnp.array([-0.5, 0.0, 0.3, 1.0, 1.5]).reshape(1, 5, 1)]
    (projected,) = parametrize.project(z, kind="pixels")
    np.testing.assert_array_equal(projected.ravel(), np.float32([0, 0, 0.3, 1, 1]))


def test_projection_leaves_a_pyramid_alone(make_picture):
    z = _encode(make_picture(0, 63, 97), kind="pyramid")
    for level, projected in zip(z, parametrize.project(z, kind="pyramid"), strict=True):
        np.testing.assert_array_equal(level, projected)


def test_gradients_of_a_pyramid_agree_with_differences(make_picture):
    with jax.enable_x64(True):
        z = _encode(jnp.asarray(make_picture(0, 57, 64), jnp.float64), kind="pyramid")
        weights = jnp.asarray(np.random.default_rng(0).normal(size=(57, 64, 3)))
        value = jax.jit(lambda z: jnp.vdot(parametrize.decode(z, kind="pyramid"), weights))
        rng = np.random.default_rng(1)
        direction = [jnp.asarray(rng.normal(size=level.shape)) for level in z]
        ahead, behind = (
            value([level + h * d for level, d in zip(z, direction, strict=True)])
            for h in (1e-5, -1e-5)
        )
        slope = sum(
            jnp.vdot(g, d) for g, d in zip(jax.jit(jax.grad(value))(z), direction, strict=True)
        )
        np.testing.assert_allclose(slope, (ahead - behind) / 2e-5, rtol=1e-7)


def test_an_unknown_parametrization_is_refused():
    with pytest.raises(ValueError, match="'fourier'; there are"):
        parametrize.encode(jnp.zeros((4, 4, 3)), kind="fourier")
