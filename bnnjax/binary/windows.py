"""Where the windows of a convolution or a pool lie: static facts, slices and their transposes."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax


class Geometry(NamedTuple):
    """Static facts of a 2-D convolution; ``pads`` is ((top, bottom), (left, right))."""

    kernel_size: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    pad_value: int  # +1, −1 or 0, the value of a pixel outside
    input_size: tuple[int, int]
    channels: int  # of the input

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        sizes = zip(self.input_size, self.kernel_size, self.strides, self.pads, strict=True)
        rows, columns = ((n + sum(pad) - k) // s + 1 for n, k, s, pad in sizes)
        return rows, columns


def geometry(
    input_shape: Sequence[int],
    kernel_size: tuple[int, int],
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    pad_value: int = 0,
) -> Geometry:
    """`Geometry` for an NHWC input; "SAME" splits as TensorFlow does (the extra cell at the end).

    Raises:
      ValueError: ``padding`` is neither SAME nor VALID, ``pad_value`` none of −1, 0, 1, or the
        kernel does not fit into the input.
    """
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding is {padding!r}, needs 'SAME' or 'VALID'")
    if pad_value not in (-1, 0, 1):
        raise ValueError(f"pad_value is {pad_value!r}; ±1 tensors can be padded with -1, 0 or 1")
    rows, columns = lax.padtype_to_pads(input_shape[1:3], kernel_size, strides, padding)
    pads = ((int(rows[0]), int(rows[1])), (int(columns[0]), int(columns[1])))
    _, height, width, channels = input_shape
    found = Geometry(kernel_size, strides, pads, int(pad_value), (height, width), channels)
    if min(found.output_size) < 1:
        raise ValueError(f"a {height}×{width} input is smaller than the kernel {kernel_size}")
    return found


def shifted(geometry: Geometry, x: Array, i: int, j: int) -> Array:
    """The pixels of padded ``x`` that kernel position (i, j) meets, [N, H', W', ...]."""
    (height, width), (sh, sw) = geometry.output_size, geometry.strides
    stops = (x.shape[0], i + (height - 1) * sh + 1, j + (width - 1) * sw + 1, x.shape[3])
    return lax.slice(x, (0, i, j, 0), stops, (1, sh, sw, 1))


def spread(geometry: Geometry, y: Array, i: int, j: int) -> Array:
    """The transpose of `shifted`, less the padding: ``y`` [N, H', W', C] laid on zeros [N, H, W, C]
    where kernel position (i, j) met it."""
    edges = [
        (offset - low, size - offset + low - (count - 1) * stride - 1, stride - 1)
        for offset, stride, count, (low, _), size in zip(
            (i, j), geometry.strides, y.shape[1:3], geometry.pads, geometry.input_size, strict=True
        )
    ]
    return lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
