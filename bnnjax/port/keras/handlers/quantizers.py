"""Larq's quantizers and constraints, from the configuration of a layer."""

import difflib
import functools
from collections.abc import Mapping
from typing import Any

from bnnjax import quant

# Larq's class → our name, and Larq's option → ours.
CLASSES: dict[str, tuple[str, dict[str, str]]] = {
    "SteSign": ("ste_sign", {"clip_value": "clip"}),
    "ApproxSign": ("approx_sign", {}),
    "SwishSign": ("swish_sign", {"beta": "beta"}),
    "SteHeaviside": ("ste_heaviside", {"clip_value": "clip"}),
    "MagnitudeAwareSign": ("magnitude_aware_sign", {"clip_value": "clip"}),
    "SteTern": (
        "ste_tern",
        {
            "threshold_value": "threshold",
            "ternary_weight_networks": "ternary_weight_networks",
            "clip_value": "clip",
        },
    ),
    "DoReFa": ("dorefa_quantizer", {"k_bit": "k_bit", "mode": "mode"}),
    "DoReFaQuantizer": ("dorefa_quantizer", {"k_bit": "k_bit", "mode": "mode"}),
    "NoOp": ("no_op", {}),
    "NoOpQuantizer": ("no_op", {}),
}


def read(config: Mapping[str, Any], argument: str) -> quant.Quantizer | None:
    """The quantizer that a layer's configuration states for an argument; None without one.

    Raises:
      ValueError: it is none of Larq's.
    """
    stated = config.get(argument)
    if stated is None:
        return None
    name, options = named(stated)
    quantizer = find(name, options)
    if quantizer is None:
        near = difflib.get_close_matches(name, [*CLASSES, *quant.QUANTIZERS], n=1)
        hint = f"; did its author mean {near[0]!r}?" if near else ""
        raise ValueError(f"its {argument} {name!r} is none of Larq's quantizers{hint}")
    return quantizer


def named(stated: Any) -> tuple[str, Mapping[str, Any]]:
    """The name of a class or function and its options, as Keras' files state them.

    A function is its name, or in later files {"class_name": "function", "config": NAME}. A class
    may be preceded by the package that it is registered in: "Larq>SteSign".
    """
    if isinstance(stated, str):
        return stated.split(">")[-1], {}
    name, options = stated["class_name"], stated.get("config") or {}
    if isinstance(options, str):
        name, options = options, {}
    return str(name).split(">")[-1], options


def find(name: str, options: Mapping[str, Any]) -> quant.Quantizer | None:
    """The quantizer of a class or function of Larq; None if it is not one."""
    if name in CLASSES:
        ours, translated = CLASSES[name]
        given = [(translated[key], options[key]) for key in translated if key in options]
        return _bound(ours, tuple(given))
    return _bound(name, ()) if name in quant.QUANTIZERS else None


@functools.cache
def _bound(name: str, options: tuple[tuple[str, Any], ...]) -> quant.Quantizer:
    """The same object for equal options, because functions are compared by identity."""
    return quant.get(name, **dict(options))


def clip_of(config: Mapping[str, Any], argument: str) -> float | None:
    """The limit of Larq's ``WeightClip``; None for any other constraint, which training alone
    would need."""
    stated = config.get(argument)
    if stated is None:
        return None
    name, options = named(stated)
    return float(options.get("clip_value", 1)) if name in ("WeightClip", "weight_clip") else None
