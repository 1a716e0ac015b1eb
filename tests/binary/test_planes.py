"""bnnjax.binary.planes against convolutions of integers in NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnnjax import quant
from bnnjax.binary import conv, planes
from bnnjax.binary.windows import geometry

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def tensors(where, bitwidth, *, pictures=2, features=3, seed=0):
    """Levels, many of which are 0 or the largest; a ±1 kernel; a real cotangent."""
    rng = np.random.default_rng(seed)
    shape = (pictures, *where.input_size, where.channels)
    levels = np.clip(rng.integers(-3, 2**bitwidth + 3, shape), 0, 2**bitwidth - 1)
    kernel = rng.choice([-1, 1], (*where.kernel_size, where.channels, features))
    g = rng.normal(size=(pictures, *where.output_size, features)).astype(np.float32)
    return levels.astype(np.int32), kernel, g


@partial(jax.jit, static_argnums=(0, 1, 5))
def with_gradient(where, bitwidth, x, kernel, g, dtype="float32"):
    """The result and its gradient."""
    words = conv.pack_kernel(kernel)
    backward = conv.gradient_kernel(words, where.channels, dtype=jnp.dtype(dtype))
    convolve = partial(planes.planes_conv, geometry=where, bitwidth=bitwidth)
    y, pull_back = jax.vjp(lambda x: convolve(x, words, backward), x)
    return y, pull_back(g)[0]


@partial(jax.jit, static_argnums=(0, 1))
def with_sums(where, bitwidth, levels, x, kernel, g):
    """The same, with the sums of integer levels."""
    sums = planes.count(where, bitwidth, levels, conv.pack_kernel(kernel))
    return sums, *with_gradient(where, bitwidth, x, kernel, g)


@pytest.fixture(scope="session")
def check(numpy_conv):
    """A function that compares sums, result and gradient of one geometry with NumPy's."""

    def check(where, bitwidth, **options):
        levels, kernel, g = tensors(where, bitwidth, **options)
        n = 2**bitwidth - 1
        x = (levels / n).astype(np.float32)
        found = with_sums(where, bitwidth, levels, x, kernel, g)
        assert {array.dtype for array in found} == {jnp.dtype("float32")}
        sums, y, of_x = map(np.asarray, found)
        exact = numpy_conv.result(where, levels, kernel, outside=n * where.pad_value)
        np.testing.assert_array_equal(sums, exact)
        # Two roundings: of 1/n and of the product.
        np.testing.assert_allclose(y, exact / n, rtol=2.0**-23)
        # Relative to the magnitudes of the summands, which may cancel.
        g = g.astype(np.float64)
        magnitudes = numpy_conv.input_gradient(where, abs(g), abs(kernel))
        assert (abs(of_x - numpy_conv.input_gradient(where, g, kernel)) <= 1e-6 * magnitudes).all()

    return check


@pytest.mark.slow
@PROPERTY
@given(data=st.data(), bitwidth=st.integers(1, planes.MOST), seed=st.integers(0, 999))
def test_sums_are_exact_and_gradients_those_of_floats(geometries, check, data, bitwidth, seed):
    check(data.draw(geometries), bitwidth, seed=seed)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_without_implicit_promotion(check, pad_value):
    check(geometry((1, 4, 3, 33), (3, 2), strides=(2, 1), pad_value=pad_value), 2)


def test_an_empty_batch(check):
    check(geometry((0, 4, 3, 33), (3, 2)), 2, pictures=0)


@pytest.mark.parametrize("bitwidth", [1, 2, 3, 4])
def test_every_level_of_dorefa_is_recognized(bitwidth):
    """The levels are n times the activations only up to rounding."""
    n = 2**bitwidth - 1
    x = jax.jit(partial(quant.dorefa, k_bit=bitwidth))(jnp.arange(n + 1) / n)
    pixels = x.reshape(n + 1, 1, 1, 1)
    where = geometry(pixels.shape, (1, 1))
    kernel, g = jnp.ones((1, 1, 1, 1)), jnp.zeros((n + 1, 1, 1, 1))
    y, _ = with_gradient(where, bitwidth, pixels, kernel, g)
    np.testing.assert_array_equal(np.rint(n * y.reshape(-1)), np.arange(n + 1))
    np.testing.assert_allclose(y.reshape(-1), np.arange(n + 1) / n, rtol=2.0**-23)


@pytest.mark.slow
def test_gradient_dtype_is_that_of_the_backward_product():
    where = geometry((1, 5, 4, 3), (2, 1))
    levels, kernel, g = tensors(where, 2, features=8, pictures=1)
    x = levels.astype(np.float32) / 3
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float32)
    for dtype, blind in (("float32", False), ("bfloat16", True)):
        exact, of_rounded = (with_gradient(where, 2, x, kernel, c, dtype)[1] for c in (g, rounded))
        assert (exact == of_rounded).all() == blind


def test_mapped_over_activations(numpy_conv):
    where = geometry((1, 5, 4, 35), (3, 2), strides=(1, 2))
    levels, kernel, g = tensors(where, 2, pictures=3)
    x = levels[:, None].astype(np.float32) / 3
    y, of_x = jax.vmap(lambda x, g: with_gradient(where, 2, x, kernel, g))(x, g[:, None])
    np.testing.assert_array_equal(np.rint(3 * y[:, 0]), numpy_conv.result(where, levels, kernel))
    expected = numpy_conv.input_gradient(where, g, kernel)
    np.testing.assert_allclose(of_x[:, 0], expected, atol=1e-5)
