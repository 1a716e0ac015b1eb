"""Statistics of feature maps against NumPy, and their hand-written gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.nst.statistics import gram, mean_covariance, statistics


def features(seed, height=5, width=6, channels=4):
    """A feature map [h, w, C] whose mean is not zero."""
    rng = np.random.default_rng(seed)
    return rng.normal(0.5, 1, (height, width, channels)).astype(np.float32)


def numpy_moments(x):
    flat = x.reshape(-1, x.shape[2]).astype(np.float64)
    return flat.mean(0), np.cov(flat, rowvar=False, bias=True)


def numpy_gram(x):
    flat = x.reshape(-1, x.shape[2]).astype(np.float64)
    return np.einsum("pi,pj->ij", flat, flat) / len(flat)


# With few channels, several positions are multiplied at a time, which do not divide 35.
CHANNELS = (3, 8, 20)


@pytest.mark.parametrize("channels", CHANNELS)
def test_gram_agrees_with_numpy(channels):
    x = features(0, 5, 7, channels)
    np.testing.assert_allclose(gram(x), numpy_gram(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("channels", CHANNELS)
def test_mean_and_covariance_agree_with_numpy(channels):
    x = features(0, 5, 7, channels)
    for found, expected in zip(mean_covariance(x), numpy_moments(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_kind_chooses_the_statistics():
    x = features(0)
    moments = statistics(x, "moments")
    np.testing.assert_array_equal(moments.mean, mean_covariance(x)[0])
    np.testing.assert_array_equal(moments.second, mean_covariance(x)[1])
    grams = statistics(x, "gram")
    np.testing.assert_array_equal(grams.second, gram(x))
    assert not grams.mean.any()  # the Gram matrix contains it


def test_covariance_keeps_its_precision_far_from_zero():
    x = 1000 + features(0)
    _, covariance = mean_covariance(x)
    np.testing.assert_allclose(covariance, numpy_moments(x)[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", ["moments", "gram"])
def test_positions_do_not_matter(kind):
    x = features(1)
    shuffled = np.random.default_rng(2).permutation(x.reshape(-1, 4)).reshape(x.shape)
    expected = statistics(x, kind)
    for same in (shuffled, np.concatenate([x, x], axis=1)):
        found = statistics(same, kind)
        np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-5)
        np.testing.assert_allclose(found.second, expected.second, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "tolerance"), [(3, 1e-5), (8, 1e-5), (20, 2**-7)])
def test_gradients_are_those_of_the_formulae(channels, tolerance):
    """For many channels, they agree up to the 8 bits of bfloat16 factors."""
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
        mean, covariance = mean_covariance(x)
        return mean @ a + jnp.sum(covariance * b) + jnp.sum(gram(x) * b)

    formulae, ours = jax.jit(formulae), jax.jit(ours)
    np.testing.assert_allclose(ours(x), formulae(x), rtol=1e-4)
    wanted = jax.grad(formulae)(x)
    np.testing.assert_allclose(
        jax.grad(ours)(x), wanted, rtol=tolerance, atol=tolerance * float(abs(wanted).max())
    )
