"""bnnjax.layers.pooling against Keras and XLA's own operations."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax.layers import Options, avg_pool, blur_pool, max_pool, pool

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(
    deadline=None, max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


def window_of(case):
    return {
        "size": case["size"],
        "stride": case["stride"],
        "padding": case.settings["padding"].upper(),
    }


def test_max_pool_agrees_with_keras_even_in_ties(max_pool_case, with_gradient):
    case = max_pool_case
    y, of_x = with_gradient(partial(max_pool, **window_of(case)), case.x, case.cotangent)
    np.testing.assert_array_equal(y, case.y)
    np.testing.assert_array_equal(of_x, case.of_x)


def test_avg_pool_agrees_with_keras(avg_pool_case, with_gradient):
    case = avg_pool_case
    y, of_x = with_gradient(partial(avg_pool, **window_of(case)), case.x, case.cotangent)
    case.assert_close(y, case.y)
    case.assert_close(of_x, case.of_x)


@st.composite
def windows(draw):
    """Keywords of a pool, and a picture that is not smaller than its window."""
    window = {
        "size": draw(st.integers(1, 5)),
        "stride": draw(st.integers(1, 4)),
        "padding": draw(st.sampled_from(["SAME", "VALID"])),
    }
    least = window["size"] if window["padding"] == "VALID" else 1
    return window, draw(st.tuples(*[st.integers(least, 9)] * 2))


def xla_pool(x, start, operation, *, size, stride, padding):
    return lax.reduce_window(
        x, start, operation, (1, size, size, 1), (1, stride, stride, 1), padding
    )


@pytest.mark.slow
@PROPERTY
@given(choice=windows(), levels=st.sampled_from([1, 2, 3, 1000]), seed=st.integers(0, 99))
def test_max_pool_agrees_with_reduce_window(choice, levels, seed, bytes_of, with_gradient):
    """Forward and backward, with windows of one, two, three, or only different values."""
    window, size = choice
    rng = np.random.default_rng(seed)
    x = rng.integers(0, levels, (2, *size, 3)).astype(np.float32) - levels  # all below zero

    def xlas(x):
        return xla_pool(x, -jnp.inf, lax.max, **window)

    g = bytes_of(xlas(x).shape, seed)
    pairs = zip(
        with_gradient(partial(max_pool, **window), x, g), with_gradient(xlas, x, g), strict=True
    )
    for array, expected in pairs:
        np.testing.assert_array_equal(array, expected)


@pytest.mark.slow
@PROPERTY
@given(choice=windows())
def test_avg_pool_is_the_mean_of_cells_inside_the_picture(choice, reals, with_gradient):
    window, size = choice
    x = reals((2, *size, 3))

    def xlas(x):
        total = xla_pool(x, 0.0, lax.add, **window)
        return total / xla_pool(jnp.ones_like(x), 0.0, lax.add, **window)

    g = reals(xlas(x).shape, seed=1)
    pairs = zip(
        with_gradient(partial(avg_pool, **window), x, g), with_gradient(xlas, x, g), strict=True
    )
    for array, expected in pairs:
        np.testing.assert_allclose(array, expected, rtol=1e-5, atol=1e-5)


def test_the_first_maximum_gets_the_gradient(with_gradient):
    x = jnp.asarray([[1, 1, 0, 3], [1, 1, 3, 3]], jnp.float32)[None, ..., None]
    gradient = with_gradient(max_pool, x, jnp.ones((1, 1, 2, 1)))[1]
    assert gradient[0, ..., 0].tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]


def test_pools_of_nan_are_nan():
    x = jnp.ones((1, 4, 4, 1)).at[0, 1, 2, 0].set(jnp.nan)
    for function in (max_pool, avg_pool):
        assert jnp.isnan(function(x))[0, ..., 0].tolist() == [[False, True], [False, False]]


@pytest.mark.slow
def test_the_options_choose_the_pool():
    x = jnp.asarray([[0.0, 1.0], [2.0, 5.0]])[None, ..., None]
    assert pool(x, Options()).item() == 5
    assert pool(x, Options(pooling="avg")).item() == 2
    same = {"stride": 1, "padding": "SAME"}
    assert pool(x, Options(), **same)[0, ..., 0].tolist() == [[5, 5], [5, 5]]
    assert pool(x, Options(pooling="avg"), **same)[0, ..., 0].tolist() == [[2, 3], [3.5, 5]]


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["VALID", "SAME"])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (2, 1), (3, 3)])
@pytest.mark.parametrize("side", [8, 9])
def test_blurred_pools_are_maxima_convolved_in_numpy(size, stride, padding, side):
    """All windows' maxima, convolved with [1 2 1] ⊗ [1 2 1] / 16, at the places of a max pool."""
    x = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    count = -(-side // stride) if padding == "SAME" else (side - size) // stride + 1
    needed = max((count - 1) * stride + size - side, 0) if padding == "SAME" else 0
    padded = np.pad(x, (needed // 2, needed - needed // 2), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    around = np.pad(windows.max((2, 3)), 1, mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(around, (3, 3))
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = np.sum(patches * kernel, (2, 3))[::stride, ::stride][:count, :count]
    options = Options(pooling="blur")
    found = pool(
        jnp.asarray(x)[None, ..., None], options, size=size, stride=stride, padding=padding
    )
    np.testing.assert_allclose(found[0, ..., 0], expected, rtol=1e-5, atol=1e-6)
    assert (
        found.shape
        == pool(
            jnp.asarray(x)[None, ..., None], Options(), size=size, stride=stride, padding=padding
        ).shape
    )


@pytest.mark.parametrize("function", [max_pool, avg_pool, blur_pool])
def test_a_picture_smaller_than_the_window_is_refused(function):
    with pytest.raises(ValueError, match="2×5 input is smaller than the kernel"):
        function(jnp.zeros((1, 2, 5, 1)), size=3)
    with pytest.raises(ValueError, match=r"padding is 'full', needs one of \('SAME', 'VALID'\)"):
        function(jnp.zeros((1, 4, 4, 1)), padding="full")
