"""Max, average and blurred pooling of NHWC tensors, with gradients that are cheap on CPUs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from bnnjax.binary.whole import whole
from bnnjax.binary.windows import Geometry, geometry, shifted, spread
from bnnjax.layers import arguments
from bnnjax.layers.options import Options

Side = int | tuple[int, int]  # one for both axes, or (rows, columns)


@whole
def max_pool(x: Array, *, size: Side = 2, stride: Side = 2, padding: str = "VALID") -> Array:
    """Maximum over ``size`` × ``size`` windows: [N, H, W, C] → [N, H', W', C].

    The gradient goes to the first maximum of a window, as in TensorFlow and XLA. It is computed
    with comparisons because XLA's select-and-scatter is slow on CPUs.

    Raises:
      ValueError: an unknown padding, or a picture smaller than the window.
    """
    return _max_pool(_geometry(x, size, stride, padding), x)


@whole
def avg_pool(x: Array, *, size: Side = 2, stride: Side = 2, padding: str = "VALID") -> Array:
    """Mean over ``size`` × ``size`` windows: [N, H, W, C] → [N, H', W', C].

    With SAME, padded cells are not counted, as in TensorFlow (Flax counts them).

    Raises:
      ValueError: an unknown padding, or a picture smaller than the window.

    Examples:
      >>> x = jnp.array([1.0, 2.0, 3.0, 6.0]).reshape(1, 2, 2, 1)
      >>> bnnjax.layers.avg_pool(x).item()
      3.0
    """
    where = _geometry(x, size, stride, padding)
    first, *others = _windows(where, x, outside=0)
    total = sum(others, start=first)
    if where.pads == ((0, 0), (0, 0)):
        return total / len(_positions(where))
    rows, columns = (_cells_inside(where, axis) for axis in (0, 1))
    cells = rows[:, None] * columns
    return total / cells[None, :, :, None].astype(np.float32)


def blur_pool(x: Array, *, size: Side = 2, stride: Side = 2, padding: str = "VALID") -> Array:
    """`max_pool` without aliasing: [N, H, W, C] → [N, H', W', C].

    Maxima over all windows are blurred by [1 2 1] ⊗ [1 2 1] / 16, the outermost repeated, and then
    subsampled (MaxBlurPool of Zhang 2019, arXiv 1904.11486).

    Raises:
      ValueError: an unknown padding, or a picture smaller than the window.
    """
    where = _geometry(x, size, stride, padding)
    padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=-jnp.inf)
    dense = max_pool(padded, size=where.kernel_size, stride=1)
    for axis, step in enumerate(where.strides, start=1):
        dense = _blurred(dense, axis, step)
    return dense


def _blurred(x: Array, axis: int, stride: int) -> Array:
    """Every ``stride``-th value of [1 2 1] / 4 along an axis."""
    length, edges = x.shape[axis], [(int(i == axis), int(i == axis)) for i in range(x.ndim)]
    padded = jnp.pad(x, edges, mode="edge")
    before, here, after = (
        lax.slice_in_dim(padded, first, first + length, stride, axis) for first in range(3)
    )
    return (before + 2 * here + after) / 4


def _geometry(x: Array, size: Side, stride: Side, padding: str) -> Geometry:
    sides = [(side, side) if isinstance(side, int) else side for side in (size, stride)]
    return geometry(
        x.shape, sides[0], strides=sides[1], padding=arguments.padding("padding", padding)
    )


def _cells_inside(where: Geometry, axis: int) -> np.ndarray:
    first = np.arange(where.output_size[axis]) * where.strides[axis] - where.pads[axis][0]
    last = np.minimum(first + where.kernel_size[axis], where.input_size[axis])
    return last - np.maximum(first, 0)


def _windows(where: Geometry, x: Array, *, outside: float) -> list[Array]:
    """The values under each position of the window, in row-major order."""
    padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=outside)
    return [shifted(where, padded, *divmod(i, where.kernel_size[1])) for i in _positions(where)]


def _positions(where: Geometry) -> range:
    return range(where.kernel_size[0] * where.kernel_size[1])


def _largest(windows: list[Array]) -> Array:
    while len(windows) > 1:  # pairwise, for a short chain of dependencies
        pairs = zip(windows[::2], windows[1::2], strict=False)
        rest = windows[-1:] if len(windows) % 2 else []
        windows = [jnp.maximum(a, b) for a, b in pairs] + rest
    return windows[0]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _max_pool(where: Geometry, x: Array) -> Array:
    return _largest(_windows(where, x, outside=-jnp.inf))


def _max_pool_backward(where: Geometry, x: Array, g: Array) -> tuple[Array]:
    windows = _windows(where, x, outside=-jnp.inf)
    top = _largest(windows)
    taken, parts = jnp.zeros(top.shape, bool), []
    for window in windows:
        chosen = (window == top) & ~taken
        taken |= chosen
        parts.append(jnp.where(chosen, g, 0))
    return (spread(where, parts),)


_max_pool.defvjp(lambda where, x: (_max_pool(where, x), x), _max_pool_backward)


def pool(x: Array, options: Options, **window: Any) -> Array:
    """Pools as the options say; ``window`` holds keyword arguments of `max_pool`."""
    return _POOLS[options.pooling](x, **window)


_POOLS: dict[str, Callable[..., Array]] = {"max": max_pool, "avg": avg_pool, "blur": blur_pool}
