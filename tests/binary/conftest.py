"""Fixtures for the tests of binary arithmetic: random geometries, and convolutions in NumPy."""

import numpy as np
import pytest
from hypothesis import strategies as st

from bnnjax.binary.windows import geometry


@st.composite
def _geometries(draw):
    kernel_size = draw(st.tuples(*[st.integers(1, 3)] * 2))
    dilation = draw(st.sampled_from([(1, 1), (1, 1), (2, 1), (1, 3), (2, 2)]))
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    least = _span(kernel_size, dilation) if padding == "VALID" else (1, 1)
    return geometry(
        (1, *(draw(st.integers(n, max(n, 9))) for n in least), draw(st.integers(1, 70))),
        kernel_size,
        strides=draw(st.tuples(*[st.integers(1, 4)] * 2)),
        padding=padding,
        pad_value=draw(st.sampled_from([-1, 0, 1])),
        dilation=dilation,
    )


@pytest.fixture(scope="session")
def geometries():
    """A strategy for geometries of every kind."""
    return _geometries()


def _span(kernel_size, dilation):
    return tuple((k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True))


class NumpyConv:
    """A convolution of x [N, H, W, C] with a kernel [kh, kw, C, O], exact for integers."""

    @staticmethod
    def windows(where, x, *, outside=None):
        """[N, H', W', C, kh, kw]: the input of each kernel position."""
        outside = where.pad_value if outside is None else outside
        padded = np.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=outside)
        span = _span(where.kernel_size, where.dilation)
        windows = np.lib.stride_tricks.sliding_window_view(padded, span, axis=(1, 2))
        (sh, sw), (dh, dw) = where.strides, where.dilation
        return windows[:, ::sh, ::sw, :, ::dh, ::dw]

    @staticmethod
    def result(where, x, kernel, **options):
        return np.einsum("nhwcij,ijco->nhwo", NumpyConv.windows(where, x, **options), kernel)

    @staticmethod
    def kernel_gradient(where, x, g):
        return np.einsum("nhwcij,nhwo->ijco", NumpyConv.windows(where, x), g)

    @staticmethod
    def input_gradient(where, g, kernel):
        (top, bottom), (left, right) = where.pads
        height, width = where.input_size
        padded = (len(g), height + top + bottom, width + left + right, kernel.shape[2])
        total = np.zeros(padded, np.result_type(g, kernel))
        for i, j in np.ndindex(where.kernel_size):
            steps = zip((i, j), where.dilation, where.output_size, where.strides, strict=True)
            rows, columns = (slice(k * d, k * d + (n - 1) * s + 1, s) for k, d, n, s in steps)
            total[:, rows, columns] += g @ kernel[i, j].T
        return total[:, top : top + height, left : left + width]


@pytest.fixture(scope="session")
def numpy_conv():
    return NumpyConv
