"""Losses against NumPy, their gradients against differences, and their invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnjax.nst import losses


def features(seed, height=5, width=6, channels=4):
    """A feature map [h, w, C] whose mean is not zero."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (height, width, channels)).astype(np.float32)


def relative(found, target):
    return ((found - target) ** 2).sum() / (target**2).sum()


def numpy_moments(x):
    flat = x.reshape(-1, x.shape[2]).astype(np.float64)
    return flat.mean(0), np.cov(flat, rowvar=False, bias=True)


def numpy_gram(x):
    flat = x.reshape(-1, x.shape[2]).astype(np.float64)
    return np.einsum("pi,pj->ij", flat, flat) / len(flat)


def as_statistics(mean, covariance):
    return losses.Statistics(jnp.asarray(mean), jnp.asarray(covariance))


# --- values --------------------------------------------------------------------------------


def test_gram_agrees_with_numpy():
    x = features(0)
    np.testing.assert_allclose(losses.gram(x), numpy_gram(x), rtol=1e-5)


def test_mean_and_covariance_agree_with_numpy():
    x = features(0)
    for found, expected in zip(losses.mean_covariance(x), numpy_moments(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_covariance_keeps_its_precision_far_from_zero():
    x = 1000 + features(0)
    _, covariance = losses.mean_covariance(x)
    np.testing.assert_allclose(covariance, numpy_moments(x)[1], rtol=1e-3, atol=1e-3)


def test_style_by_moments_agrees_with_numpy():
    x, y = features(0), features(1, 7, 3)
    (mean, covariance), (target_mean, target_covariance) = numpy_moments(x), numpy_moments(y)
    expected = relative(covariance, target_covariance) + relative(mean, target_mean)
    found = losses.style_loss(losses.statistics(x), losses.statistics(y))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_style_by_gram_agrees_with_numpy():
    x, y = features(0), features(1, 7, 3)
    kind = {"kind": "gram"}
    found = losses.style_loss(losses.statistics(x, **kind), losses.statistics(y, **kind))
    np.testing.assert_allclose(found, relative(numpy_gram(x), numpy_gram(y)), rtol=1e-4)


def test_content_agrees_with_numpy():
    x, y = features(0), features(1)
    np.testing.assert_allclose(losses.content_loss(x, y), relative(x, y), rtol=1e-5)


@pytest.mark.parametrize(("kind", "size"), [("squared", np.square), ("absolute", np.abs)])
def test_total_variation_agrees_with_numpy(kind, size):
    x = features(0, 7, 4, 3)
    expected = size(np.diff(x, axis=0)).mean() + size(np.diff(x, axis=1)).mean()
    np.testing.assert_allclose(losses.total_variation(x, kind=kind), expected, rtol=1e-5)


def test_total_variation_of_a_ramp_is_its_slope():
    ramp = np.broadcast_to(0.1 * np.arange(8)[:, None, None], (8, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(losses.total_variation(ramp, kind="absolute"), 0.1, rtol=1e-5)
    np.testing.assert_allclose(losses.total_variation(ramp, kind="squared"), 0.01, rtol=1e-5)


def test_color_agrees_with_numpy():
    x, y = features(0, channels=3), features(1, 7, 3, channels=3)
    (mean, covariance), (target_mean, target_covariance) = numpy_moments(x), numpy_moments(y)
    means = ((mean - target_mean) ** 2).sum()
    covariances = ((covariance - target_covariance) ** 2).sum()
    found = losses.color_loss(x, as_statistics(target_mean, target_covariance))
    np.testing.assert_allclose(found, means + 10 * covariances, rtol=1e-4)


def test_the_target_itself_costs_nothing():
    x = features(0, channels=3)
    for kind in losses.STATISTICS:
        target = losses.statistics(x, kind=kind)
        assert losses.style_loss(losses.statistics(x, kind=kind), target) == 0
    assert losses.content_loss(x, x) == 0
    assert losses.color_loss(x, losses.Statistics(*losses.mean_covariance(x))) == 0
    flat = np.full((4, 5, 3), 0.3, np.float32)
    for kind in losses.VARIATIONS:
        assert losses.total_variation(flat, kind=kind) == 0


# --- invariances ---------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), exponent=st.integers(-8, 8))
def test_amplitude_does_not_count(seed, exponent):
    """Taps and targets scaled alike leave the losses as they are, to the bit for powers of 2."""
    x, y, c = features(seed), features(seed + 100), np.float32(2.0**exponent)
    for kind in losses.STATISTICS:

        def style(a, b, kind=kind):
            return losses.style_loss(
                losses.statistics(a, kind=kind), losses.statistics(b, kind=kind)
            )

        np.testing.assert_array_equal(style(c * x, c * y), style(x, y))
    np.testing.assert_array_equal(losses.content_loss(c * x, c * y), losses.content_loss(x, y))


def test_where_things_are_does_not_count_for_style():
    x, y = features(0), features(1)
    shuffled = np.random.default_rng(2).permutation(x.reshape(-1, 4)).reshape(x.shape)
    repeated = np.concatenate([x, x], axis=1)
    for kind in losses.STATISTICS:
        target = losses.statistics(y, kind=kind)
        expected = losses.style_loss(losses.statistics(x, kind=kind), target)
        for same in (shuffled, repeated):
            found = losses.style_loss(losses.statistics(same, kind=kind), target)
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_target_of_zeros_asks_for_nothing_and_breaks_nothing():
    x, zeros = features(0, channels=3), np.zeros((5, 6, 3), np.float32)

    def style(x):
        return losses.style_loss(losses.statistics(x), losses.statistics(zeros))

    for loss in (style, lambda x: losses.content_loss(x, zeros)):
        value, gradient = jax.value_and_grad(loss)(jnp.asarray(x))
        assert value == 0
        np.testing.assert_array_equal(gradient, np.zeros_like(x))


def test_unknown_kinds_are_refused():
    x = features(0)
    with pytest.raises(ValueError, match="'means'; there are"):
        losses.statistics(x, kind="means")
    with pytest.raises(ValueError, match="'cubed'; there are"):
        losses.total_variation(x, kind="cubed")


# --- gradients -----------------------------------------------------------------------------


TARGET = features(1, channels=3)
LOSSES = {
    "style by moments": lambda x: losses.style_loss(
        losses.statistics(x), losses.statistics(TARGET)
    ),
    "style by gram": lambda x: losses.style_loss(
        losses.statistics(x, kind="gram"), losses.statistics(TARGET, kind="gram")
    ),
    "content": lambda x: losses.content_loss(x, TARGET),
    "squared variation": lambda x: losses.total_variation(x, kind="squared"),
    "absolute variation": lambda x: losses.total_variation(x, kind="absolute"),
    "color": lambda x: losses.color_loss(x, losses.Statistics(*losses.mean_covariance(TARGET))),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_differences(name):
    with jax.enable_x64(True):
        loss = jax.jit(LOSSES[name])
        x = jnp.asarray(features(0, channels=3), jnp.float64)
        gradient = jax.grad(loss)(x)
        assert float(jnp.linalg.norm(gradient)) > 1e-3
        for seed in range(3):
            direction = jnp.asarray(features(seed + 2, channels=3), jnp.float64)
            h = 1e-5
            slope = (loss(x + h * direction) - loss(x - h * direction)) / (2 * h)
            np.testing.assert_allclose(jnp.vdot(gradient, direction), slope, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("channels", "tolerance"), [(3, 1e-5), (8, 1e-5), (20, 2**-7)])
def test_gradients_of_moments_are_those_of_their_formulae(channels, tolerance):
    """Of many channels to the 8 bits of bfloat16 factors."""
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(1, 1, (5, 7, channels)), jnp.float32)
    a, b = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in (channels, (channels,) * 2))

    def formulae(x):
        flat = x.reshape(-1, channels)
        mean = flat.mean(0)
        centred = flat - mean
        covariance = centred.T @ centred / len(flat)
        return mean @ a + jnp.sum(covariance * b) + jnp.sum(flat.T @ flat / len(flat) * b)

    def ours(x):
        mean, covariance = losses.mean_covariance(x)
        return mean @ a + jnp.sum(covariance * b) + jnp.sum(losses.gram(x) * b)

    np.testing.assert_allclose(ours(x), formulae(x), rtol=1e-4)
    wanted = jax.grad(formulae)(x)
    np.testing.assert_allclose(
        jax.grad(ours)(x), wanted, rtol=tolerance, atol=tolerance * float(abs(wanted).max())
    )
