"""Translates Keras' pooling layers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, lax

from bnnjax import layers
from bnnjax.binary.whole import whole
from bnnjax.port.keras.builder import KerasBuilder, Value
from bnnjax.port.keras.handlers.convolutions import axes
from bnnjax.port.keras.model import Layer
from bnnjax.port.program.program import Window

Sides = tuple[int, ...]


def pool_1d(x: Array, *, mean: bool, size: Sides, strides: Sides, padding: str) -> Array:
    """Mean or maximum over windows: [N, L, C] → [N, L', C]."""
    pool = layers.avg_pool if mean else layers.max_pool
    return pool(x[:, None], size=(1, size[0]), stride=(1, strides[0]), padding=padding)[:, 0]


@whole
def pool_3d(x: Array, *, mean: bool, size: Sides, strides: Sides, padding: str) -> Array:
    """Mean or maximum over windows: [N, D, H, W, C] → [N, D', H', W', C]."""
    if mean:
        return nn.avg_pool(x, size, strides, padding, count_include_pad=False)
    return _max_pool_3d(x, size, strides, padding)


def _max_pool_3d(x: Array, size: Sides, strides: Sides, padding: str) -> Array:
    """The maximum over windows. As in TensorFlow, each of several largest values gets the whole
    gradient, and not only the first one."""
    pads = lax.padtype_to_pads(x.shape[1:-1], size, strides, padding)
    least = float(np.finfo(x.dtype).min)
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=least)
    top = lax.stop_gradient(nn.max_pool(padded, size, strides))
    passed = jnp.zeros_like(top)
    for offset in np.ndindex(*size):
        sides = zip(offset, top.shape[1:-1], strides, strict=True)
        cells = (slice(first, first + (n - 1) * s + 1, s) for first, n, s in sides)
        window = padded[(slice(None), *cells)]
        passed += jnp.where(window == top, window - lax.stop_gradient(window), 0)
    return top + passed


def global_pool(x: Array, *, mean: bool, keepdims: bool) -> Array:
    """Mean or maximum over all places: [N, …, C] → [N, C], or [N, 1, …, C] with ``keepdims``."""
    places = tuple(range(1, x.ndim - 1))
    return x.mean(places, keepdims=keepdims) if mean else jnp.max(x, places, keepdims=keepdims)


def _pool(rank: int, mean: bool, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    config = layer.config
    size = axes(config, "pool_size", rank)
    stated = config.get("strides")
    strides = size if stated is None else axes(config, "strides", rank)
    padding = config.get("padding", "valid").upper()
    if rank != 2:
        where = {"mean": mean, "size": size, "strides": strides, "padding": padding}
        return builder.call(layer, pool_1d if rank == 1 else pool_3d, x, **where)
    window = Window((size[0], size[1]), (strides[0], strides[1]), padding)
    kind = "avg_pool" if mean else "max_pool"
    return builder.add(layer, kind, x, options=window, factors=window.strides)


def _whole(mean: bool, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    keepdims = bool(layer.config.get("keepdims", False))
    return builder.call(layer, global_pool, x, factors=None, mean=mean, keepdims=keepdims)


HANDLERS: dict[str, Callable[..., Any]] = {}
for _rank in (1, 2, 3):
    for _kind in ("Average", "Max"):
        HANDLERS[f"{_kind}Pooling{_rank}D"] = partial(_pool, _rank, _kind == "Average")
        HANDLERS[f"Global{_kind}Pooling{_rank}D"] = partial(_whole, _kind == "Average")
