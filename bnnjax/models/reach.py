"""How far a network sees: the distance within which a pixel influences its maps."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax

from bnnjax.models import trace
from bnnjax.models.tapped import TAPS

_SIDE = 1024  # px; maps that see half as far count as seeing everything


def reach(
    module: nn.Module, taps: Sequence[str], *, smallest: trace.Sides, stride: int
) -> int | None:
    """How many pixels beyond a block of ``stride`` × ``stride`` px maps depend on its pixels.

    Two pictures that differ in the block are followed through the network. What they share may hide
    a difference from a sum or a sign. Layers with kernels are therefore not computed: what they
    return differs wherever their windows do. All other operations are continuous and stay as they
    are.

    Args:
      module: the network.
      taps: the names of the maps.
      smallest: a size of picture that it accepts.
      stride: the side of the block, which begins at a multiple of it.

    Returns:
      The distance; None if a tap depends on the whole picture, or is not a map whose positions lie
      on a regular grid over the picture.
    """
    side, start = (length // stride * stride for length in (_SIDE, _SIDE // 2))
    block = slice(start, start + stride)
    pictures = np.full((2, side, side, 3), 0.5, np.float32)
    pictures[1, block, block] = 1
    shapes = trace.latent_shapes(module, side=smallest)
    variables = jax.tree.map(_averaging, shapes)

    @jax.jit
    def look(variables: Any, pictures: Array) -> dict[str, Array]:
        _, state = module.apply(variables, pictures, mutable=[TAPS])
        return {tap: _differences(state[TAPS][tap])[..., 0] for tap in taps}

    with trace.fastest_traced(), nn.intercept_methods(_spread):
        differences = look(variables, pictures)
    found = [_beyond(np.asarray(differences[tap]), side, block) for tap in taps]
    known = [distance for distance in found if distance is not None]
    return max(known, default=0) if len(known) == len(found) else None


def _averaging(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
    """Parameters with which no layer saturates."""
    return np.full(leaf.shape, 1 / np.prod(leaf.shape[:-1]), leaf.dtype)


def _spread(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
    """In place of a layer with a kernel: 0.5, and 1 where the window of the second differs."""
    layer, result = context.module, call(*args, **kwargs)
    if context.method_name != "__call__" or not hasattr(layer, "kernel_size"):
        return result
    differ = _windows(layer, args[0])
    if differ is None or differ.shape[:2] != result.shape[1:3]:
        differ = (args[0][0] != args[0][1]).any()  # an unknown geometry may reach everything
    of_second = jnp.where(differ, 1.0, 0.5)
    return jnp.full_like(result, 0.5).at[1].set(of_second)


def _differences(pair: Array) -> Array:
    """Where two maps [2, …, C] differ, […, 1]."""
    return (pair[0] != pair[1]).any(-1, keepdims=True)


def _windows(layer: Any, pair: Array) -> Array | None:
    """Where the windows of a layer differ, [H, W, 1]; None if its geometry is unknown."""
    padding = layer.padding if isinstance(layer.padding, str) else (*layer.padding, (0, 0))
    if pair.ndim != 4 or np.shape(padding) not in {(), (3, 2)}:
        return None
    dilation = getattr(layer, "dilation", None) or getattr(layer, "kernel_dilation", None)
    size, strides, dilations = (
        (*np.broadcast_to(sides or 1, 2).tolist(), 1)
        for sides in (layer.kernel_size, layer.strides, dilation)
    )
    differ = _differences(pair)
    return lax.reduce_window(
        differ, False, lax.bitwise_or, size, strides, padding, window_dilation=dilations
    )


def _beyond(differ: np.ndarray, side: int, block: slice) -> int | None:
    """How far beyond the block a map differs, given where it does, [h, w]."""
    if differ.ndim != 2 or any(side % lines for lines in differ.shape):
        return None
    found = [0]
    for axis, lines in enumerate(differ.shape):
        places, scale = np.flatnonzero(differ.any(1 - axis)), side // lines
        if not places.size or places[0] == 0 or places[-1] == lines - 1:
            return None
        found += [block.start - places[0] * scale, (places[-1] + 1) * scale - block.stop]
    return int(max(found))
