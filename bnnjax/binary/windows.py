"""Where the windows of a convolution or a pooling layer lie: static facts, slices, transposes."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax


class Geometry(NamedTuple):
    """Static facts of a 2-D convolution; ``pads`` is ((top, bottom), (left, right))."""

    kernel_size: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    pad_value: int  # +1, −1 or 0, the value of pixels outside
    input_size: tuple[int, int]
    channels: int  # of the input
    dilation: tuple[int, int] = (1, 1)  # distance between a kernel's cells in the picture

    @property
    def window(self) -> tuple[int, int]:
        """The rows and columns that the kernel spans."""
        return _window(self.kernel_size, self.dilation)

    @property
    def output_size(self) -> tuple[int, int]:
        """The rows and columns of the result."""
        sizes = zip(self.input_size, self.window, self.strides, self.pads, strict=True)
        rows, columns = ((n + sum(pad) - k) // s + 1 for n, k, s, pad in sizes)
        return rows, columns


def geometry(
    input_shape: Sequence[int],
    kernel_size: tuple[int, int],
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    pad_value: int = 0,
    dilation: tuple[int, int] = (1, 1),
) -> Geometry:
    """Returns the `Geometry` for an NHWC input; "SAME" pads as TensorFlow does, more at the end.

    Raises:
      ValueError: ``padding`` is neither SAME nor VALID, ``pad_value`` is not −1, 0 or 1, or the
        kernel does not fit into the input.
    """
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding is {padding!r}, needs 'SAME' or 'VALID'")
    if pad_value not in (-1, 0, 1):
        raise ValueError(f"pad_value is {pad_value!r}, needs -1, 0 or 1")
    window = _window(kernel_size, dilation)
    rows, columns = lax.padtype_to_pads(input_shape[1:3], window, strides, padding)
    pads = ((int(rows[0]), int(rows[1])), (int(columns[0]), int(columns[1])))
    _, height, width, channels = input_shape
    size = (height, width)
    found = Geometry(kernel_size, strides, pads, int(pad_value), size, channels, dilation)
    if min(found.output_size) < 1:
        raise ValueError(f"the input is {height}×{width}, smaller than the kernel's span {window}")
    return found


def _window(kernel_size: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int]:
    rows, columns = ((k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True))
    return rows, columns


def shifted(geometry: Geometry, x: Array, i: int, j: int) -> Array:
    """Returns the pixels of padded ``x`` that kernel position (i, j) meets: [N, H', W', C]."""
    (height, width), (sh, sw) = geometry.output_size, geometry.strides
    i, j = i * geometry.dilation[0], j * geometry.dilation[1]
    stops = (x.shape[0], i + (height - 1) * sh + 1, j + (width - 1) * sw + 1, x.shape[3])
    return lax.slice(x, (0, i, j, 0), stops, (1, sh, sw, 1))


def spread(geometry: Geometry, parts: Sequence[Array]) -> Array:
    """Transposes `shifted` for all kernel positions, sums the results and drops the padding.

    Args:
      geometry: of the windows.
      parts: [N, H', W', C] for every kernel position, in row-major order.

    Returns:
      [N, H, W, C]: the sum of all parts, each put where its kernel position met the picture.
    """
    (sh, sw), (height, width) = geometry.strides, geometry.input_size
    rows, columns = -(-height // sh), -(-width // sw)
    # The cells of each phase of the stride form a dense grid. Adding parts there and interleaving
    # the phases once reads and writes less than adding parts with gaps.
    phases: dict[tuple[int, int], Array] = {}
    zero = jnp.zeros((), parts[0].dtype)
    for position, part in enumerate(parts):
        i, j = divmod(position, geometry.kernel_size[1])
        down, row_phase = divmod(i * geometry.dilation[0] - geometry.pads[0][0], sh)
        right, column_phase = divmod(j * geometry.dilation[1] - geometry.pads[1][0], sw)
        edges = [
            (down, rows - part.shape[1] - down, 0),
            (right, columns - part.shape[2] - right, 0),
        ]
        laid = lax.pad(part, zero, [(0, 0, 0), *edges, (0, 0, 0)])
        phase = (row_phase, column_phase)
        phases[phase] = phases[phase] + laid if phase in phases else laid
    if geometry.strides == (1, 1):
        return phases[0, 0]
    nothing = jnp.zeros_like(phases[min(phases)])
    grid = [[phases.get((p, q), nothing) for q in range(sw)] for p in range(sh)]
    laid = jnp.stack([jnp.stack(line, axis=3) for line in grid], axis=2)
    whole = laid.reshape(laid.shape[0], rows * sh, columns * sw, laid.shape[-1])
    return whole[:, :height, :width]
