"""bnnjax.binary.conv against convolutions of integers in NumPy.

Wherever results are compared exactly, cotangents are integers of at most 8 bits: then neither
bfloat16 nor a sum in float32 rounds anything.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax.binary import conv
from bnnjax.binary.windows import geometry

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])


def tensors(where, *, pictures=2, features=3, seed=0):
    """Real inputs to binarize, a ±1 kernel, and a cotangent of integers."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(pictures, *where.input_size, where.channels)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = rng.choice([0.0, -0.0])
    kernel = rng.choice([-1, 1], (*where.kernel_size, where.channels, features))
    return x, kernel, rng.integers(-255, 256, (pictures, *where.output_size, features))


def sign(x):
    return np.where(x >= 0, 1, -1)


@partial(jax.jit, static_argnums=(3, 4))
def packed_with_gradient(x, kernel, g, where, dtype="float32"):
    """The packed convolution, and its gradient for the cotangent ``g`` computed in ``dtype``."""
    words = conv.pack_kernel(kernel)
    backward = conv.gradient_kernel(words, kernel.shape[2], dtype=jnp.dtype(dtype))
    y, pull_back = jax.vjp(lambda x: conv.packed_conv(x, words, backward, where), x)
    return y, pull_back(g.astype(jnp.float32))[0]


@partial(jax.jit, static_argnums=3)
def dense_with_gradients(x, kernel, g, where):
    x, kernel, g = (array.astype(jnp.float32) for array in (x, kernel, g))
    y, pull_back = jax.vjp(lambda x, kernel: conv.dense_conv(x, kernel, where), x, kernel)
    return y, *pull_back(g)


@pytest.fixture(scope="session")
def check_packed(numpy_conv):
    """A function that compares values and gradients of one geometry with NumPy's."""

    def check(where, dtype="float32", **options):
        x, kernel, g = tensors(where, **options)
        y, gradient = packed_with_gradient(x, kernel, g, where, dtype)
        assert y.dtype == gradient.dtype == jnp.float32
        np.testing.assert_array_equal(y, numpy_conv.result(where, sign(x), kernel))
        np.testing.assert_array_equal(gradient, numpy_conv.input_gradient(where, g, kernel))

    return check


@pytest.fixture(scope="session")
def check_dense(numpy_conv):
    """The same for the dense convolution."""

    def check(where, **options):
        x, kernel, g = tensors(where, **options)
        found = dense_with_gradients(sign(x), kernel, g, where)
        assert {array.dtype for array in found} == {jnp.dtype("float32")}
        y, of_x, of_kernel = found
        np.testing.assert_array_equal(y, numpy_conv.result(where, sign(x), kernel))
        np.testing.assert_array_equal(of_x, numpy_conv.input_gradient(where, g, kernel))
        np.testing.assert_array_equal(of_kernel, numpy_conv.kernel_gradient(where, sign(x), g))

    return check


# --- packed ----------------------------------------------------------------------------------


@pytest.mark.slow
@PROPERTY
@given(data=st.data(), dtype=st.sampled_from(["float32", "bfloat16"]), seed=st.integers(0, 999))
def test_packed_conv_and_its_gradient_are_exact(geometries, check_packed, data, dtype, seed):
    check_packed(data.draw(geometries), dtype, features=data.draw(st.integers(1, 5)), seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "pad_value"), [((1, 1), 1), ((2, 5), 0), ((6, 1), -1)])
def test_packed_conv_of_pictures_smaller_than_the_padding(check_packed, size, pad_value):
    check_packed(geometry((1, *size, 33), (5, 4), strides=(2, 1), pad_value=pad_value), pictures=1)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(("pad_value", "dtype"), [(-1, "float32"), (0, "bfloat16"), (1, "float32")])
def test_packed_conv_without_implicit_promotion(check_packed, pad_value, dtype):
    check_packed(geometry((1, 4, 3, 33), (3, 2), strides=(2, 1), pad_value=pad_value), dtype)


def test_packed_conv_of_an_empty_batch(check_packed):
    check_packed(geometry((0, 4, 3, 33), (3, 2)), pictures=0)


@pytest.mark.slow
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_bfloat16_gradient_errs_by_its_rounding_and_no_more(numpy_conv, strides):
    where = geometry((2, 8, 7, 40), (3, 3), strides=strides, pad_value=1)
    x, kernel, g = tensors(where, features=64)
    g = np.random.default_rng(1).normal(size=g.shape).astype(np.float32)
    gradient = packed_with_gradient(x, kernel, g, where, "bfloat16")[1]
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float64)
    # Each product is a cotangent or its negative, so the sum of their magnitudes bounds all errors:
    # 2⁻⁸ for 8 bits of a bfloat16, 2⁻²⁴ for each of the 64 · 9 additions in float32.
    magnitudes = numpy_conv.input_gradient(where, abs(g).astype(np.float64), abs(kernel))
    off_rounded = abs(gradient - numpy_conv.input_gradient(where, rounded, kernel))
    off_exact = abs(gradient - numpy_conv.input_gradient(where, g.astype(np.float64), kernel))
    assert (off_rounded <= 64 * 9 * 2.0**-24 * magnitudes).all()
    assert (off_exact <= (2.0**-8 + 64 * 9 * 2.0**-24) * magnitudes).all()
    assert off_exact.max() > 2.0**-12 * magnitudes.max()  # The choice of dtype has an effect.


def test_float32_gradient_of_real_cotangents(numpy_conv):
    where = geometry((2, 8, 7, 40), (3, 3), strides=(2, 1))
    x, kernel, g = tensors(where, features=64)
    g = np.random.default_rng(1).normal(size=g.shape).astype(np.float32)
    gradient = packed_with_gradient(x, kernel, g, where)[1]
    g = g.astype(np.float64)
    magnitudes = numpy_conv.input_gradient(where, abs(g), abs(kernel))
    off = abs(gradient - numpy_conv.input_gradient(where, g, kernel))
    assert (off <= 64 * 9 * 2.0**-24 * magnitudes).all()


def test_only_the_sign_of_the_activations_counts():
    where = geometry((1, 4, 4, 5), (3, 3), pad_value=1)
    x, kernel, g = tensors(where)
    signs = packed_with_gradient(sign(x).astype(np.float32), kernel, g, where)
    reals = packed_with_gradient(x, kernel, g, where)
    for array, expected in zip(reals, signs, strict=True):
        np.testing.assert_array_equal(array, expected)


MAPS = {
    "vmap": jax.vmap,
    "jit of vmap": lambda f: jax.jit(jax.vmap(f)),
    "lax.map": lambda f: lambda xs, gs: lax.map(lambda pair: f(*pair), (xs, gs)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MAPS)
def test_packed_conv_mapped_over_activations(numpy_conv, name):
    where = geometry((2, 5, 4, 35), (3, 2), strides=(1, 2), pad_value=1)
    x, kernel, g = tensors(where)
    xs, gs = np.stack([x, -x, x[::-1]]), np.stack([g, 2 * g[::-1] % 200, -g])
    mapped = MAPS[name](lambda x, g: packed_with_gradient(x, kernel, g, where))
    ys, gradients = mapped(jnp.asarray(xs), jnp.asarray(gs))
    for k, (x, g) in enumerate(zip(xs, gs, strict=True)):
        np.testing.assert_array_equal(ys[k], numpy_conv.result(where, sign(x), kernel))
        np.testing.assert_array_equal(gradients[k], numpy_conv.input_gradient(where, g, kernel))


@pytest.mark.slow
def test_packed_conv_mapped_over_kernels(numpy_conv):
    where = geometry((1, 4, 3, 33), (2, 2))
    x, kernel, g = tensors(where, features=2)
    kernels = np.stack([kernel, -kernel, kernel[::-1]])
    mapped = jax.vmap(lambda kernel: packed_with_gradient(x, kernel, g, where))
    ys, gradients = mapped(kernels)
    for k, kernel in enumerate(kernels):
        np.testing.assert_array_equal(ys[k], numpy_conv.result(where, sign(x), kernel))
        np.testing.assert_array_equal(gradients[k], numpy_conv.input_gradient(where, g, kernel))


# --- dense -----------------------------------------------------------------------------------


@pytest.mark.slow
@PROPERTY
@given(data=st.data(), seed=st.integers(0, 999))
def test_dense_conv_and_its_gradients_are_exact(geometries, check_dense, data, seed):
    check_dense(data.draw(geometries), features=data.draw(st.integers(1, 5)), seed=seed)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("channels", [3, 40])  # few enough for `narrow.conv`, and too many for it
def test_dense_conv_without_implicit_promotion(check_dense, channels):
    check_dense(geometry((1, 4, 3, channels), (3, 3), strides=(2, 1), pad_value=1))


@pytest.mark.parametrize("channels", [3, 40])
def test_dense_conv_of_an_empty_batch(check_dense, channels):
    check_dense(geometry((0, 4, 3, channels), (3, 3)), pictures=0)


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_bfloat16_sums_are_exact(numpy_conv, pad_value, strides):
    """5 · 5 · 70 = 1750 lies between two bfloat16 numbers, like most sums at the border."""
    where = geometry((1, 7, 7, 70), (5, 5), strides=strides, pad_value=pad_value)
    ones = np.ones((1, 7, 7, 70), int)
    kernel = tensors(where)[1]
    kernel[..., 0], kernel[..., 1] = 1, -1
    expected = numpy_conv.result(where, ones, kernel)
    assert expected.max() == 1750
    y = conv.dense_conv(jnp.asarray(ones), jnp.asarray(kernel, jnp.bfloat16), where)
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, expected)


# --- layouts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 32, 45])
def test_kernel_layouts(channels):
    kernel = np.random.default_rng(0).normal(size=(3, 2, channels, 4)).astype(np.float32)
    words = jax.jit(conv.pack_kernel)(kernel)
    laid_out = jax.jit(conv.gradient_kernel, static_argnums=1)(words, channels)
    assert words.shape == (3, 2, -(-channels // 32), 4)
    assert words.dtype == jnp.uint32
    assert laid_out.dtype == jnp.bfloat16
    unpacked = jax.jit(conv.unpack_kernel, static_argnums=1)(words, channels)
    np.testing.assert_array_equal(unpacked, sign(kernel))
    expected = sign(kernel).transpose(3, 0, 1, 2).reshape(4, -1)
    np.testing.assert_array_equal(np.asarray(laid_out, np.float32), expected)
