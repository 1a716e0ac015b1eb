"""bnnjax.binary.planes against convolutions of whole numbers written with NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax import quant
from bnnjax.binary import conv, planes
from bnnjax.binary.windows import geometry

# Every example is compiled: few of them, and none to make a failing one smaller.
PROPERTY = settings(
    deadline=None, max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


@st.composite
def geometries(draw):
    kernel_size, dilation = (draw(st.tuples(*[st.integers(1, n)] * 2)) for n in (4, 3))
    window = [(k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    least = window if padding == "VALID" else (1, 1)
    height, width = (draw(st.integers(n, max(n, 8))) for n in least)
    return geometry(
        (1, height, width, draw(st.integers(1, 70))),
        kernel_size,
        strides=draw(st.tuples(*[st.integers(1, 3)] * 2)),
        padding=padding,
        pad_value=draw(st.sampled_from([0, 0, -1, 1])),
        dilation=dilation,
    )


def draw(where, bitwidth, features=3, pictures=2, seed=0):
    """Levels with many zeros, and as many of the largest; a ±1 kernel; a real cotangent."""
    rng = np.random.default_rng(seed)
    shape = (pictures, *where.input_size, where.channels)
    levels = np.clip(rng.integers(-3, 2**bitwidth + 3, shape), 0, 2**bitwidth - 1)
    kernel = rng.choice([-1, 1], (*where.kernel_size, where.channels, features))
    g = rng.normal(size=(pictures, *where.output_size, features)).astype(np.float32)
    return levels.astype(np.int32), kernel, g


def np_conv(where, levels, kernel, outside):
    """Whole numbers: a window at a time, as the definition has it."""
    padded = np.pad(levels, ((0, 0), *where.pads, (0, 0)), constant_values=outside)
    (sh, sw), (dh, dw), (height, width) = where.strides, where.dilation, where.window
    y = np.empty((len(levels), *where.output_size, kernel.shape[3]), int)
    for i, j in np.ndindex(where.output_size):
        window = padded[:, i * sh : i * sh + height : dh, j * sw : j * sw + width : dw]
        y[:, i, j] = np.tensordot(window, kernel, 3)
    return y


@partial(jax.jit, static_argnums=(0, 1, 5))
def ours(where, bitwidth, x, kernel, g, dtype="float32"):
    """Result and gradient."""
    words = conv.pack_kernel(kernel)
    backward = conv.gradient_kernel(words, where.channels, dtype=jnp.dtype(dtype))
    convolve = partial(planes.planes_conv, geometry=where, bitwidth=bitwidth)
    y, pull_back = jax.vjp(lambda x: convolve(x, words, backward), x)
    return y, pull_back(g)[0]


@partial(jax.jit, static_argnums=0)
def gradient_by_xla(where, x, kernel, g):
    def convolve(x):
        return lax.conv_general_dilated(
            jnp.pad(x, ((0, 0), *where.pads, (0, 0))),
            kernel.astype(jnp.float32),
            where.strides,
            "VALID",
            rhs_dilation=where.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )

    return jax.vjp(convolve, x)[1](g)[0]


@PROPERTY
@given(where=geometries(), bitwidth=st.integers(1, planes.MOST), seed=st.integers(0, 999))
def test_sums_are_whole_numbers_to_the_last_one(where, bitwidth, seed):
    levels, kernel, _ = draw(where, bitwidth, seed=seed)
    n = 2**bitwidth - 1
    y = planes.count(where, bitwidth, jnp.asarray(levels), conv.pack_kernel(kernel))
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, np_conv(where, levels, kernel, n * where.pad_value))


@PROPERTY
@given(where=geometries(), bitwidth=st.integers(1, planes.MOST), seed=st.integers(0, 999))
def test_result_and_gradient_are_those_of_a_convolution_of_floats(where, bitwidth, seed):
    levels, kernel, g = draw(where, bitwidth, seed=seed)
    n = 2**bitwidth - 1
    x = levels.astype(np.float32) / np.float32(n)
    y, of_x = ours(where, bitwidth, x, kernel, g)
    assert y.dtype == of_x.dtype == jnp.float32
    whole = np_conv(where, levels, kernel, n * where.pad_value)
    np.testing.assert_allclose(y, whole / n, rtol=2.0**-23)  # two roundings: of 1/n, of a product
    expected = gradient_by_xla(where, x, kernel, g)
    # Relative to the magnitudes that are added, as they may cancel.
    magnitudes = gradient_by_xla(where, x, abs(kernel), abs(g))
    assert (abs(of_x - expected) <= 1e-6 * magnitudes).all()


@pytest.mark.parametrize("bitwidth", [1, 2, 3, 4])
def test_every_level_that_dorefa_gives_is_taken_for_what_it_is(bitwidth):
    """Levels are n times the activations only to a rounding."""
    n = 2**bitwidth - 1
    x = jax.jit(partial(quant.dorefa, k_bit=bitwidth))(jnp.arange(n + 1) / n)
    pixels = x.reshape(n + 1, 1, 1, 1)
    where = geometry(pixels.shape, (1, 1))
    y, _ = ours(where, bitwidth, pixels, jnp.ones((1, 1, 1, 1)), jnp.zeros((n + 1, 1, 1, 1)))
    np.testing.assert_array_equal(np.rint(n * y.reshape(-1)), np.arange(n + 1))
    np.testing.assert_allclose(y.reshape(-1), np.arange(n + 1) / n, rtol=2.0**-23)


def test_gradient_dtype_is_that_of_the_backward_product():
    where = geometry((1, 5, 4, 3), (2, 1))
    levels, kernel, g = draw(where, 2, features=8, pictures=1)
    x = levels.astype(np.float32) / 3
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float32)
    for dtype, blind in (("float32", False), ("bfloat16", True)):
        exact, of_rounded = (ours(where, 2, x, kernel, c, dtype)[1] for c in (g, rounded))
        assert (exact == of_rounded).all() == blind


def test_mapped_over_activations():
    where = geometry((1, 5, 4, 35), (3, 2), strides=(1, 2))
    levels, kernel, g = draw(where, 2, pictures=3)
    x = levels[:, None].astype(np.float32) / 3
    y, of_x = jax.vmap(lambda x, g: ours(where, 2, x, kernel, g))(x, g[:, None])
    np.testing.assert_array_equal(np.rint(3 * y[:, 0]), np_conv(where, levels, kernel, 0))
    expected = gradient_by_xla(where, x[:, 0], kernel, g)
    np.testing.assert_allclose(of_x[:, 0], expected, atol=1e-5)
