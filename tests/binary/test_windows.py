"""bnnjax.binary.windows against TensorFlow's rule and against slices of NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnnjax.binary.windows import geometry, shifted, spread

# Every example is compiled: few of them, and none to make a failing one smaller.
PROPERTY = settings(
    deadline=None, max_examples=5, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


@st.composite
def geometries(draw):
    """A geometry, and the keywords that it was made of."""
    padding = draw(st.sampled_from(["SAME", "VALID"]))
    kernel_size = draw(st.tuples(*[st.integers(1, 5)] * 2))
    dilations = draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2)]))
    least = reach(kernel_size, dilations) if padding == "VALID" else (1, 1)
    size = [draw(st.integers(n, n + 8)) for n in least]
    strides = draw(st.tuples(*[st.integers(1, 6)] * 2))
    options = {"strides": strides, "padding": padding, "dilation": dilations}
    return geometry((2, *size, 3), kernel_size, **options), padding


def reach(kernel_size, dilations):
    """Cells from the first that a dilated kernel meets to the last."""
    return [(k - 1) * d + 1 for k, d in zip(kernel_size, dilations, strict=True)]


@given(choice=geometries())
@settings(deadline=None, max_examples=200)
def test_geometry_is_tensorflows(choice):
    """SAME has ⌈n / stride⌉ windows, and as many cells as these need, the odd one at the end."""
    found, padding = choice
    pads, sizes = [], []
    cells = reach(found.kernel_size, found.dilation)
    for n, k, s in zip(found.input_size, cells, found.strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0) if padding == "SAME" else 0
        pads.append((total // 2, total - total // 2))
        sizes.append(-(-n // s) if padding == "SAME" else (n - k) // s + 1)
    assert found.pads == tuple(pads)
    assert found.output_size == tuple(sizes)


@PROPERTY
@given(choice=geometries())
def test_spread_is_the_transpose_of_shifted(choice):
    """Σ ⟨shifted(x), y⟩ = ⟨x, spread(ys)⟩ of whole numbers, over all positions of the kernel."""
    where, _ = choice
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (2, *where.input_size, 3)).astype(np.float32)
    padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)))
    positions = [*np.ndindex(where.kernel_size)]
    shape = (len(positions), 2, *where.output_size, 3)
    parts = rng.integers(-9, 10, shape).astype(np.float32)
    laid = spread(where, [jnp.asarray(part) for part in parts])
    assert laid.shape == x.shape
    seen = [shifted(where, padded, i, j) for i, j in positions]
    assert sum(map(np.vdot, seen, parts)) == np.vdot(x, laid)


@PROPERTY
@given(choice=geometries())
def test_shifted_is_a_slice_with_steps(choice):
    where, _ = choice
    x = np.random.default_rng(0).normal(size=(2, *where.input_size, 3)).astype(np.float32)
    padded = np.pad(x, ((0, 0), *where.pads, (0, 0)))
    height, width = where.output_size
    for i, j in np.ndindex(where.kernel_size):
        top, left = i * where.dilation[0], j * where.dilation[1]
        expected = padded[:, top :: where.strides[0], left :: where.strides[1]]
        expected = expected[:, :height, :width]
        np.testing.assert_array_equal(shifted(where, jnp.asarray(padded), i, j), expected)


@pytest.mark.parametrize("padding", ["same", "FULL", ""])
def test_geometry_refuses_other_paddings(padding):
    with pytest.raises(ValueError, match=f"padding is '{padding}', needs 'SAME' or 'VALID'"):
        geometry((1, 4, 4, 3), (3, 3), padding=padding)


@pytest.mark.parametrize("pad_value", [2, -2, 0.5, float("nan")])
def test_geometry_refuses_pad_values_that_are_no_signs(pad_value):
    with pytest.raises(ValueError, match=rf"pad_value is {pad_value}; .* -1, 0 or 1"):
        geometry((1, 4, 4, 3), (3, 3), pad_value=pad_value)


def test_geometry_refuses_kernels_larger_than_the_input():
    with pytest.raises(ValueError, match=r"a 4×2 input is smaller than the kernel's span \(3, 3\)"):
        geometry((1, 4, 2, 3), (3, 3), padding="VALID")


def test_geometry_can_be_a_static_argument():
    found = geometry([1, 4, 4, 3], (3, 3), pad_value=1.0)
    assert hash(found) == hash(geometry((1, 4, 4, 3), (3, 3), pad_value=1))
