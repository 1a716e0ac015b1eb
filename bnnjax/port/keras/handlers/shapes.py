"""Translates Keras' layers that rearrange, pad, cut or repeat values."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.port.keras.builder import KerasBuilder, Value
from bnnjax.port.keras.handlers.convolutions import axes
from bnnjax.port.keras.model import Layer

Amounts = tuple[tuple[int, int], ...]  # before and after, per spatial axis


def flatten(x: Array, *, shape: tuple[int, ...] | None = None) -> Array:
    """[N, …] → [N, values]; ``shape`` is the only […] that is taken.

    What follows needs exactly this shape: a 6×4 map has as many values as a 4×6 one.
    """
    if shape is not None and x.shape[1:] != shape:
        raise ValueError(f"what follows needs {list(shape)}")
    return x.reshape(len(x), -1)


def reshape(x: Array, *, shape: tuple[int, ...]) -> Array:
    """[N, …] → [N, *shape]; -1 stands for what is left."""
    return x.reshape(len(x), *shape)


def repeat(x: Array, *, times: int) -> Array:
    """[N, C] → [N, times, C]."""
    return jnp.repeat(x[:, None], times, axis=1)


def pad(x: Array, *, amounts: Amounts, value: float = 0.0) -> Array:
    """Pads the axes between the first and the last with a value."""
    return jnp.pad(x, ((0, 0), *amounts, (0, 0)), constant_values=value)


def crop(x: Array, *, amounts: Amounts) -> Array:
    """Cuts the axes between the first and the last."""
    sides = zip(amounts, x.shape[1:-1], strict=True)
    return x[(slice(None), *(slice(before, side - after) for (before, after), side in sides))]


def upsample(x: Array, *, sizes: tuple[int, ...], linear: bool = False) -> Array:
    """Repeats or interpolates values along the axes between the first and the last."""
    if linear:
        sides = tuple(n * k for n, k in zip(x.shape[1:-1], sizes, strict=True))
        return jax.image.resize(x, (len(x), *sides, x.shape[-1]), "linear")
    for axis, factor in enumerate(sizes, start=1):
        x = jnp.repeat(x, factor, axis=axis)
    return x


def _flatten(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    return builder.call(layer, flatten, x, factors=None)


def _reshape(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    shape = tuple(layer.config["target_shape"])
    if shape == (-1,):
        return _flatten(builder, layer, x)
    return builder.call(layer, reshape, x, factors=None, shape=shape)


def _permute(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    order = (0, *layer.config["dims"])
    y = builder.call(layer, jnp.transpose, x, factors=None, axes=order)
    if order == (0, 2, 1, 3) and x in builder.strides:
        down, across = builder.strides[x]
        builder.strides[y] = (across, down)
    return y


def _repeat(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    return builder.call(layer, repeat, x, factors=None, times=layer.config["n"])


def _amounts(stated: Any, rank: int) -> Amounts:
    """Keras takes one integer, one per axis, or two per axis; along a single axis, also two."""
    each = list(stated) if isinstance(stated, Sequence) else [stated] * rank
    if rank == 1 and len(each) == 2:
        each = [each]
    pairs = (side if isinstance(side, Sequence) else (side, side) for side in each)
    return tuple((int(before), int(after)) for before, after in pairs)


def _padding(rank: int, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    value = layer.config.get("value", 0.0)
    return builder.call(
        layer, pad, x, amounts=_amounts(layer.config["padding"], rank), value=float(value)
    )


def _cropping(rank: int, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    return builder.call(layer, crop, x, amounts=_amounts(layer.config["cropping"], rank))


def _upsampling(rank: int, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    factors = axes(layer.config, "size", rank)
    how = layer.config.get("interpolation", "nearest")
    if how not in ("nearest", "bilinear"):
        raise ValueError(f"its interpolation is {how!r}, needs 'nearest' or 'bilinear'")
    down, across = factors if rank == 2 else (1, 1)
    return builder.call(
        layer,
        upsample,
        x,
        factors=(Fraction(1, down), Fraction(1, across)),
        sizes=factors,
        linear=how == "bilinear",
    )


HANDLERS: dict[str, Callable[..., Any]] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Permute": _permute,
    "RepeatVector": _repeat,
    **{f"ZeroPadding{rank}D": partial(_padding, rank) for rank in (1, 2, 3)},
    **{f"Cropping{rank}D": partial(_cropping, rank) for rank in (1, 2, 3)},
    **{f"UpSampling{rank}D": partial(_upsampling, rank) for rank in (1, 2, 3)},
}
