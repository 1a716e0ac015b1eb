"""Conversion and checks of the fields of layers.

Layers accept the same values as in Keras and Larq: one integer for all axes, ``padding`` in lower
case, and quantizers by name.
"""

import dataclasses
from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

from bnnjax import quant

PerAxis = Any  # an integer or one per axis; a tuple once the layer is created
AnyQuantizer = Any  # a quantizer or its name in `bnnjax.quant`; a function once it is created


def settle(layer: Any, rank: int) -> None:
    """Converts the fields of a new layer with ``rank`` spatial axes.

    Raises:
      ValueError: a field is invalid.
    """
    for field in dataclasses.fields(layer):
        if check := _CHECKS.get(field.name):
            value = check(field.name, getattr(layer, field.name), rank)
            object.__setattr__(layer, field.name, value)  # linen modules are frozen


def _is_integer(value: Any, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _positive(name: str, value: Any, rank: int) -> int:
    if not _is_integer(value, 1):
        raise ValueError(f"{name} is {value!r}, needs a positive integer")
    return int(value)


def _per_axis(name: str, value: Any, rank: int, *, least: int = 1) -> tuple[int, ...]:
    axes = tuple(value) if isinstance(value, Iterable) else (value,) * rank
    if len(axes) != rank or not all(_is_integer(side, least) for side in axes):
        raise ValueError(
            f"{name} is {value!r}, needs an integer of at least {least}, or {rank} of them"
        )
    return tuple(int(side) for side in axes)


def _output_padding(name: str, value: Any, rank: int) -> tuple[int, ...] | None:
    return None if value is None else _per_axis(name, value, rank, least=0)


def padding(name: str, value: Any, rank: int = 2) -> str:
    """The padding in upper case: "SAME" or "VALID", or "CAUSAL" along a single axis.

    Raises:
      ValueError: an unknown padding.
    """
    allowed = ("SAME", "VALID", "CAUSAL") if rank == 1 else ("SAME", "VALID")
    upper = value.upper() if isinstance(value, str) else value
    if upper not in allowed:
        raise ValueError(f"{name} is {value!r}, needs one of {allowed}")
    return upper


def _pad_values(name: str, value: Any, rank: int) -> int:
    if value not in (-1, 0, 1):
        raise ValueError(f"{name} is {value!r}, needs -1, 0 or 1")
    return int(value)


def _weight_clip(name: str, value: Any, rank: int) -> float | None:
    if value is not None and not value > 0:
        raise ValueError(f"{name} is {value!r}, needs a positive number or None")
    return value


def _quantizer(name: str, value: Any, rank: int) -> quant.Quantizer | None:
    if isinstance(value, str):
        return quant.get(value)
    if not (value is None or callable(value)):
        raise ValueError(f"{name} is {value!r}, needs a function, the name of one, or None")
    return value


_CHECKS: dict[str, Callable[[str, Any, int], Any]] = {
    "features": _positive,
    "multiplier": _positive,
    "groups": _positive,
    "kernel_size": _per_axis,
    "strides": _per_axis,
    "dilation": _per_axis,
    "output_padding": _output_padding,
    "padding": padding,
    "pad_values": _pad_values,
    "weight_clip": _weight_clip,
    "depthwise_clip": _weight_clip,
    "pointwise_clip": _weight_clip,
    "input_quantizer": _quantizer,
    "kernel_quantizer": _quantizer,
    "depthwise_quantizer": _quantizer,
    "pointwise_quantizer": _quantizer,
}


def check_rank(shape: tuple[int, ...], rank: int) -> None:
    """Raises ValueError unless an input has ``rank`` spatial axes."""
    if len(shape) != rank + 2:
        raise ValueError(f"the input has shape {shape}, needs [N, {rank} spatial axes, C]")


def check_groups(channels: int, features: int, groups: int) -> None:
    """Raises ValueError unless ``groups`` divides both numbers."""
    if channels % groups or features % groups:
        raise ValueError(
            f"{channels} channels and {features} features cannot be split into {groups} groups"
        )


def check_causal(pad_values: int) -> None:
    """Raises ValueError unless a causal layer pads with 0."""
    if pad_values != 0:
        raise ValueError(f"pad_values is {pad_values}, needs 0 where padding is 'CAUSAL'")
