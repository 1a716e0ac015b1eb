"""bnnjax.binary.conv against convolutions of whole numbers written with NumPy.

Cotangents are whole numbers of at most 8 bits wherever results are compared exactly: neither
bfloat16 nor a sum in float32 then rounds anything.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax.binary import conv
from bnnjax.binary.windows import geometry

# Every example is compiled: few of them, and none to make a failing one smaller.
PROPERTY = settings(
    deadline=None, max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


class Case(NamedTuple):
    batch: int
    size: tuple[int, int]
    channels: int
    features: int
    kernel_size: tuple[int, int]
    strides: tuple[int, int]
    padding: str
    pad_value: int
    seed: int = 0
    dilations: tuple[int, int] = (1, 1)

    def tensors(self):
        """Reals to binarize, a ±1 kernel, and a cotangent of whole numbers; by NumPy."""
        rng = np.random.default_rng(self.seed)
        x = rng.normal(size=(self.batch, *self.size, self.channels)).astype(np.float32)
        x[rng.random(x.shape) < 0.1] = rng.choice([0.0, -0.0])
        kernel = rng.choice([-1, 1], (*self.kernel_size, self.channels, self.features))
        shape = np_conv(sign(x), kernel, self).shape
        return x, kernel, rng.integers(-255, 256, shape)

    @property
    def geometry(self):
        return geometry(
            (self.batch, *self.size, self.channels),
            self.kernel_size,
            strides=self.strides,
            padding=self.padding,
            pad_value=self.pad_value,
            dilations=self.dilations,
        )

    @property
    def reach(self):
        """Cells from the first that the kernel meets to the last."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilations, strict=True))

    @property
    def pads(self):
        """TensorFlow's: as many cells as ⌈n / stride⌉ windows need, the odd one at the end."""
        pads = [(0, 0), (0, 0)]
        if self.padding == "SAME":
            sizes = zip(self.size, self.reach, self.strides, strict=True)
            for axis, (n, k, s) in enumerate(sizes):
                total = max((-(-n // s) - 1) * s + k - n, 0)
                pads[axis] = (total // 2, total - total // 2)
        return pads


@st.composite
def cases(draw):
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    kernel_size = draw(st.tuples(*[st.integers(1, 5)] * 2))
    dilations = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (2, 3)]))
    least = [(k - 1) * d + 1 for k, d in zip(kernel_size, dilations, strict=True)]
    least = least if padding == "VALID" else (1, 1)
    return Case(
        batch=draw(st.integers(1, 3)),
        size=tuple(draw(st.integers(n, max(n, 9))) for n in least),
        channels=draw(st.integers(1, 70)),
        features=draw(st.integers(1, 5)),
        kernel_size=kernel_size,
        strides=draw(st.tuples(*[st.integers(1, 3)] * 2)),
        padding=padding,
        pad_value=draw(st.sampled_from([-1, 0, 1])),
        seed=draw(st.integers(0, 999)),
        dilations=dilations,
    )


def sign(x):
    return np.where(x >= 0, 1, -1)


def windows_of(x, case):
    """[N, H', W', C, kh, kw]: what each kernel position meets."""
    padded = np.pad(x, ((0, 0), *case.pads, (0, 0)), constant_values=case.pad_value)
    windows = np.lib.stride_tricks.sliding_window_view(padded, case.reach, axis=(1, 2))
    windows = windows[:, :: case.strides[0], :: case.strides[1]]
    return windows[..., :: case.dilations[0], :: case.dilations[1]]


def np_conv(x, kernel, case):
    return np.einsum("nhwcij,ijco->nhwo", windows_of(x, case), kernel)


def np_input_gradient(g, kernel, case):
    (top, bottom), (left, right) = case.pads
    height, width = case.size
    (kh, kw), (sh, sw) = case.kernel_size, case.strides
    dh, dw = case.dilations
    total = np.zeros((case.batch, height + top + bottom, width + left + right, case.channels))
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (g.shape[1] - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (g.shape[2] - 1) * sw + 1, sw)
            total[:, rows, columns] += g @ kernel[i, j].T
    return total[:, top : top + height, left : left + width]


def frozen(kernel, dtype):
    words = conv.pack_kernel(kernel)
    return words, conv.gradient_kernel(words, kernel.shape[2], dtype=dtype)


@partial(jax.jit, static_argnums=(3, 4))
def packed_with_gradient(x, kernel, g, geometry, dtype="float32"):
    """The packed convolution and, for cotangent ``g``, its gradient computed in ``dtype``."""
    words, backward = frozen(kernel, jnp.dtype(dtype))
    y, pull_back = jax.vjp(lambda x: conv.packed_conv(x, words, backward, geometry), x)
    return y, pull_back(g.astype(jnp.float32))[0]


@partial(jax.jit, static_argnums=3)
def dense_with_gradients(x, kernel, g, geometry):
    x, kernel, g = (array.astype(jnp.float32) for array in (x, kernel, g))
    y, pull_back = jax.vjp(lambda x, kernel: conv.dense_conv(x, kernel, geometry), x, kernel)
    return y, *pull_back(g)


# --- packed ----------------------------------------------------------------------------------


@PROPERTY
@given(case=cases(), dtype=st.sampled_from(["float32", "bfloat16"]))
def test_packed_conv_and_its_gradient_are_exact(case, dtype):
    x, kernel, g = case.tensors()
    y, gradient = packed_with_gradient(x, kernel, g, case.geometry, dtype)
    assert y.dtype == gradient.dtype == jnp.float32
    np.testing.assert_array_equal(y, np_conv(sign(x), kernel, case))
    np.testing.assert_array_equal(gradient, np_input_gradient(g, kernel, case))


@pytest.mark.parametrize(("size", "pad_value"), [((1, 1), 1), ((2, 5), 0), ((6, 1), -1)])
def test_packed_conv_of_pictures_smaller_than_the_padding(size, pad_value):
    case = Case(1, size, 33, 3, (5, 4), (2, 1), "SAME", pad_value)
    x, kernel, g = case.tensors()
    y, gradient = packed_with_gradient(x, kernel, g, case.geometry)
    np.testing.assert_array_equal(y, np_conv(sign(x), kernel, case))
    np.testing.assert_array_equal(gradient, np_input_gradient(g, kernel, case))


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_bfloat16_gradient_errs_by_its_rounding_and_no_more(strides):
    case = Case(2, (8, 7), 40, 64, (3, 3), strides, "SAME", 1)
    x, kernel, g = case.tensors()
    g = np.random.default_rng(1).normal(size=g.shape).astype(np.float32)
    gradient = packed_with_gradient(x, kernel, g, case.geometry, "bfloat16")[1]
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float64)
    # Each product is a cotangent or its negative, so their sum of magnitudes bounds all errors:
    # 2⁻⁸ for 8 bits of a bfloat16, 2⁻²⁴ for each of the 64 · 9 additions in float32.
    magnitudes = np_input_gradient(abs(g).astype(np.float64), abs(kernel), case)
    off_rounded = abs(gradient - np_input_gradient(rounded, kernel, case))
    off_exact = abs(gradient - np_input_gradient(g.astype(np.float64), kernel, case))
    assert (off_rounded <= 64 * 9 * 2.0**-24 * magnitudes).all()
    assert (off_exact <= (2.0**-8 + 64 * 9 * 2.0**-24) * magnitudes).all()
    assert off_exact.max() > 2.0**-12 * magnitudes.max()  # the choice of dtype is obeyed


def test_float32_gradient_of_real_cotangents():
    case = Case(2, (8, 7), 40, 64, (3, 3), (2, 1), "SAME", 0)
    x, kernel, g = case.tensors()
    g = np.random.default_rng(1).normal(size=g.shape).astype(np.float32)
    gradient = packed_with_gradient(x, kernel, g, case.geometry)[1]
    g = g.astype(np.float64)
    magnitudes = np_input_gradient(abs(g), abs(kernel), case)
    off = abs(gradient - np_input_gradient(g, kernel, case))
    assert (off <= 64 * 9 * 2.0**-24 * magnitudes).all()


def test_only_the_sign_of_the_activations_counts():
    case = Case(1, (4, 4), 5, 2, (3, 3), (1, 1), "SAME", 1)
    x, kernel, g = case.tensors()
    signs = packed_with_gradient(sign(x).astype(np.float32), kernel, g, case.geometry)
    reals = packed_with_gradient(x, kernel, g, case.geometry)
    for array, expected in zip(reals, signs, strict=True):
        np.testing.assert_array_equal(array, expected)


MAPS = {
    "vmap": jax.vmap,
    "jit of vmap": lambda f: jax.jit(jax.vmap(f)),
    "lax.map": lambda f: lambda xs, gs: lax.map(lambda pair: f(*pair), (xs, gs)),
}


@pytest.mark.parametrize("name", MAPS)
def test_packed_conv_mapped_over_activations(name):
    case = Case(2, (5, 4), 35, 3, (3, 2), (1, 2), "SAME", 1)
    x, kernel, g = case.tensors()
    xs, gs = np.stack([x, -x, x[::-1]]), np.stack([g, 2 * g[::-1] % 200, -g])
    mapped = MAPS[name](lambda x, g: packed_with_gradient(x, kernel, g, case.geometry))
    ys, gradients = mapped(jnp.asarray(xs), jnp.asarray(gs))
    for k, (x, g) in enumerate(zip(xs, gs, strict=True)):
        np.testing.assert_array_equal(ys[k], np_conv(sign(x), kernel, case))
        np.testing.assert_array_equal(gradients[k], np_input_gradient(g, kernel, case))


def test_packed_conv_mapped_over_kernels():
    case = Case(1, (4, 3), 33, 2, (2, 2), (1, 1), "SAME", 0)
    x, kernel, g = case.tensors()
    kernels = np.stack([kernel, -kernel, kernel[::-1]])
    mapped = jax.vmap(lambda kernel: packed_with_gradient(x, kernel, g, case.geometry))
    ys, gradients = mapped(kernels)
    for k, kernel in enumerate(kernels):
        np.testing.assert_array_equal(ys[k], np_conv(sign(x), kernel, case))
        np.testing.assert_array_equal(gradients[k], np_input_gradient(g, kernel, case))


# --- dense -----------------------------------------------------------------------------------


@PROPERTY
@given(case=cases())
def test_dense_conv_and_its_gradients_are_exact(case):
    x, kernel, g = case.tensors()
    y, of_x, of_kernel = dense_with_gradients(sign(x), kernel, g, case.geometry)
    assert y.dtype == jnp.float32
    np.testing.assert_array_equal(y, np_conv(sign(x), kernel, case))
    np.testing.assert_array_equal(of_x, np_input_gradient(g, kernel, case))
    expected = np.einsum("nhwcij,nhwo->ijco", windows_of(sign(x), case), g)
    np.testing.assert_array_equal(of_kernel, expected)


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
@pytest.mark.parametrize("pad_value", [-1, 0, 1])
def test_bfloat16_sums_are_exact(pad_value, strides):
    """5 · 5 · 70 = 1750 lies between two bfloat16 numbers, as most sums at the border do."""
    case = Case(1, (7, 7), 70, 3, (5, 5), strides, "SAME", pad_value)
    ones = np.ones((1, 7, 7, 70), int)
    kernel = case.tensors()[1]
    kernel[..., 0], kernel[..., 1] = 1, -1
    expected = np_conv(ones, kernel, case)
    assert expected.max() == 1750
    y = conv.dense_conv(jnp.asarray(ones), jnp.asarray(kernel, jnp.bfloat16), case.geometry)
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
