"""bnnjax.binary.windows against TensorFlow's rule and NumPy's slices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bnnjax.binary.windows import geometry, shifted, spread

# Every example is compiled, so there are few of them, and failing ones are not shrunk.
PROPERTY = settings(max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate])
PAIRS = st.tuples(*[st.integers(1, 6)] * 2)


@given(spare=PAIRS, kernel_size=PAIRS, strides=PAIRS, dilation=PAIRS)
@settings(max_examples=200)
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_geometry_is_tensorflows(padding, spare, kernel_size, strides, dilation):
    """SAME has ⌈n / stride⌉ windows and as many cells as they need; an odd one is at the end."""
    span = [(k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True)]
    size = spare if padding == "SAME" else [n + m - 1 for n, m in zip(span, spare, strict=True)]
    options = {"strides": strides, "padding": padding, "dilation": dilation}
    found = geometry((2, *size, 3), kernel_size, **options)
    pads, sizes = [], []
    for n, k, s in zip(size, span, strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0) if padding == "SAME" else 0
        pads.append((total // 2, total - total // 2))
        sizes.append(-(-n // s) if padding == "SAME" else (n - k) // s + 1)
    assert found.pads == tuple(pads)
    assert found.output_size == tuple(sizes)


@partial(jax.jit, static_argnums=0)
def all_shifted(where, x):
    """Every window's pixels of the padded picture, in the order of kernel positions."""
    padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)))
    return [shifted(where, padded, i, j) for i, j in np.ndindex(where.kernel_size)]


@pytest.mark.slow
@PROPERTY
@given(data=st.data())
def test_shifted_is_a_slice_with_steps_and_spread_its_transpose(geometries, data):
    """Σ ⟨shifted(x), y⟩ = ⟨x, spread(ys)⟩ for integers, over all kernel positions."""
    where = data.draw(geometries)
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 10, (2, *where.input_size, 3)).astype(np.float32)
    padded = np.pad(x, ((0, 0), *where.pads, (0, 0)))
    height, width = where.output_size
    seen = all_shifted(where, x)
    for (i, j), found in zip(np.ndindex(where.kernel_size), seen, strict=True):
        top, left = i * where.dilation[0], j * where.dilation[1]
        steps = padded[:, top :: where.strides[0], left :: where.strides[1]]
        np.testing.assert_array_equal(found, steps[:, :height, :width])
    parts = rng.integers(-9, 10, (len(seen), *seen[0].shape)).astype(np.float32)
    laid = jax.jit(partial(spread, where))(list(parts))
    assert laid.shape == x.shape
    assert sum(map(np.vdot, seen, parts)) == np.vdot(x, laid)


@pytest.mark.parametrize("padding", ["same", "FULL", ""])
def test_geometry_refuses_other_paddings(padding):
    with pytest.raises(ValueError, match=f"padding is '{padding}', needs 'SAME' or 'VALID'"):
        geometry((1, 4, 4, 3), (3, 3), padding=padding)


@pytest.mark.parametrize("pad_value", [2, -2, 0.5, float("nan")])
def test_geometry_refuses_pad_values_other_than_signs_and_0(pad_value):
    with pytest.raises(ValueError, match=rf"pad_value is {pad_value}, needs -1, 0 or 1"):
        geometry((1, 4, 4, 3), (3, 3), pad_value=pad_value)


def test_geometry_refuses_kernels_larger_than_the_input():
    with pytest.raises(ValueError, match=r"a 4×2 input is smaller than the kernel's span \(3, 3\)"):
        geometry((1, 4, 2, 3), (3, 3), padding="VALID")


def test_geometry_can_be_a_static_argument():
    found = geometry([1, 4, 4, 3], (3, 3), pad_value=1.0)
    assert hash(found) == hash(geometry((1, 4, 4, 3), (3, 3), pad_value=1))
