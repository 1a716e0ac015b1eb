"""bnnjax.binary.latent against convolutions of integers in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnnjax.binary import backend, latent
from bnnjax.binary.windows import geometry

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def tensors(where, *, pictures=2, features=4, seed=0):
    """±1 pictures and kernel, and a cotangent of integers that bfloat16 represents exactly."""
    rng = np.random.default_rng(seed)
    x = rng.choice([-1, 1], (pictures, *where.input_size, where.channels))
    kernel = rng.choice([-1, 1], (*where.kernel_size, where.channels, features))
    return x, kernel, rng.integers(-255, 256, (pictures, *where.output_size, features))


@partial(jax.jit, static_argnums=(0, 4))
def with_gradients(where, x, kernel, g, dtype):
    x, kernel, g = (array.astype(jnp.float32) for array in (x, kernel, g))
    convolve = partial(latent.sign_conv, geometry=where, dtype=jnp.dtype(dtype))
    y, pull_back = jax.vjp(convolve, x, kernel)
    return y, *pull_back(g)


@pytest.fixture(scope="session")
def check(numpy_conv):
    """A function that compares values and both gradients of one geometry with NumPy's."""

    def check(where, dtype="float32", **options):
        x, kernel, g = tensors(where, **options)
        found = with_gradients(where, x, kernel, g, dtype)
        assert {array.dtype for array in found} == {jnp.dtype("float32")}
        y, of_x, of_kernel = found
        np.testing.assert_array_equal(y, numpy_conv.result(where, x, kernel))
        np.testing.assert_array_equal(of_x, numpy_conv.input_gradient(where, g, kernel))
        np.testing.assert_array_equal(of_kernel, numpy_conv.kernel_gradient(where, x, g))

    return check


@pytest.mark.slow
@PROPERTY
@given(data=st.data(), dtype=st.sampled_from(["float32", "bfloat16"]), seed=st.integers(0, 99))
def test_result_and_both_gradients_are_exact(geometries, check, data, dtype, seed):
    pictures, features = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    where = data.draw(geometries)
    check(where, dtype, pictures=pictures, features=features, seed=seed)


@pytest.fixture
def cache_for(monkeypatch):
    """A function that sets how many pictures of 5×4×33 have products that fit into the cache."""

    def set_cache(pictures):
        monkeypatch.setattr(backend, "CACHE", pictures * 4 * 4 * 33 * 5 * 4)
        with_gradients.clear_cache()

    yield set_cache
    with_gradients.clear_cache()


@pytest.mark.parametrize(("pictures", "fit", "group"), [(6, 2, 2), (5, 2, 1), (4, 4, 4)])
def test_pictures_in_groups_agree_with_the_whole_batch(check, cache_for, pictures, fit, group):
    where = geometry((pictures, 5, 4, 33), (2, 2), pad_value=1)
    cache_for(fit)
    arguments = tensors(where, pictures=pictures)
    jaxpr = str(jax.make_jaxpr(partial(with_gradients, where, dtype="bfloat16"))(*arguments))
    assert ("scan" in jaxpr) == (group < pictures)
    assert (f"f32[{group},5,4,132]" in jaxpr) or group == pictures  # the products of a group
    check(where, "bfloat16", pictures=pictures)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(
    ("pad_value", "dtype", "fit"), [(0, "float32", 1), (1, "bfloat16", 2), (-1, "float32", 2)]
)
def test_without_implicit_promotion(check, cache_for, pad_value, dtype, fit):
    cache_for(fit)
    check(geometry((2, 5, 4, 33), (2, 2), pad_value=pad_value), dtype)


def test_an_empty_batch(check):
    check(geometry((0, 5, 4, 33), (2, 2)), pictures=0)


@pytest.mark.slow
def test_bfloat16_rounds_the_cotangent_and_nothing_else(numpy_conv):
    where = geometry((2, 6, 5, 40), (3, 3), pad_value=1)
    x, kernel, _ = tensors(where, features=8)
    g = np.random.default_rng(1).normal(size=(2, 6, 5, 8)).astype(np.float32)
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float64)
    _, of_x, of_kernel = with_gradients(where, x, kernel, g, "bfloat16")
    for found, expected in (
        (of_x, numpy_conv.input_gradient(where, rounded, kernel)),
        (of_kernel, numpy_conv.kernel_gradient(where, x, rounded)),
    ):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())
    exact = numpy_conv.kernel_gradient(where, x, g.astype(np.float64))
    assert np.abs(of_kernel - exact).max() > 1e-4 * np.abs(exact).max()
