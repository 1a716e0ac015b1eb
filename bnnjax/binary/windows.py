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
    dilations: tuple[int, int] = (1, 1)  # cells between neighbours of the kernel

    @property
    def output_size(self) -> tuple[int, int]:
        """Rows and columns of the result."""
        reach = _reach(self.kernel_size, self.dilations)
        sizes = zip(self.input_size, reach, self.strides, self.pads, strict=True)
        rows, columns = ((n + sum(pad) - k) // s + 1 for n, k, s, pad in sizes)
        return rows, columns


def geometry(
    input_shape: Sequence[int],
    kernel_size: tuple[int, int],
    *,
    strides: tuple[int, int] = (1, 1),
    padding: str = "SAME",
    pad_value: int = 0,
    dilations: tuple[int, int] = (1, 1),
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
    reach = _reach(kernel_size, dilations)
    rows, columns = lax.padtype_to_pads(input_shape[1:3], reach, strides, padding)
    pads = ((int(rows[0]), int(rows[1])), (int(columns[0]), int(columns[1])))
    _, height, width, channels = input_shape
    size = (height, width)
    found = Geometry(kernel_size, strides, pads, int(pad_value), size, channels, dilations)
    if min(found.output_size) < 1:
        raise ValueError(f"a {height}×{width} input is smaller than the kernel {kernel_size}")
    return found


def _reach(kernel_size: tuple[int, int], dilations: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns from the first cell that a kernel meets to its last."""
    rows, columns = ((k - 1) * d + 1 for k, d in zip(kernel_size, dilations, strict=True))
    return rows, columns


def shifted(geometry: Geometry, x: Array, i: int, j: int) -> Array:
    """The pixels of padded ``x`` that kernel position (i, j) meets, [N, H', W', ...]."""
    (height, width), (sh, sw) = geometry.output_size, geometry.strides
    top, left = i * geometry.dilations[0], j * geometry.dilations[1]
    stops = (x.shape[0], top + (height - 1) * sh + 1, left + (width - 1) * sw + 1, x.shape[3])
    return lax.slice(x, (0, top, left, 0), stops, (1, sh, sw, 1))


def spread(geometry: Geometry, parts: Sequence[Array]) -> Array:
    """The transpose of `shifted`, less the padding, summed over all kernel positions.

    Args:
      geometry: of the windows.
      parts: for every kernel position, in row-major order, [N, H', W', C].

    Returns:
      [N, H, W, C]: each part laid on zeros where its kernel position met the picture.
    """
    (sh, sw), (height, width) = geometry.strides, geometry.input_size
    rows, columns = -(-height // sh), -(-width // sw)
    # Cells of one phase of the stride lie side by side on a grid of its own; parts are added there,
    # and the phases interleaved once, which reads and writes less than parts with gaps.
    phases: dict[tuple[int, int], Array] = {}
    zero = jnp.zeros((), parts[0].dtype)
    for position, part in enumerate(parts):
        i, j = divmod(position, geometry.kernel_size[1])
        down, row_phase = divmod(i * geometry.dilations[0] - geometry.pads[0][0], sh)
        right, column_phase = divmod(j * geometry.dilations[1] - geometry.pads[1][0], sw)
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
