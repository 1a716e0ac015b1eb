"""QuickNet v0.2 out of a ``.tflite`` file of Larq Compute Engine, into our frozen variables."""

from collections.abc import Callable
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.binary import conv
from bnnjax.models.network import Architecture, Variables
from bnnjax.models.quicknet_v0 import BLOCKS
from bnnjax.port.tflite_evaluate import unpack_filter
from bnnjax.port.tflite_graph import Graph, Operator


class Slot(NamedTuple):
    """A constant of the source: which operator input holds it and what becomes of it.

    ``path`` is None for a constant that carries no weights and must only be ``accept``ed.
    """

    kind: str
    place: int
    path: tuple[str, str] | None
    convert: Callable[[Operator, np.ndarray], np.ndarray] = lambda _, value: value
    accept: Callable[[np.ndarray], bool] = lambda _: True


def read_variables(graph: Graph, architecture: Architecture) -> Variables:
    """Frozen variables of ``quicknet_v0``.

    Raises:
      ValueError: lists every constant that is missing, left over, of the wrong shape or value, and
        every binary convolution whose options are not this network's.
    """
    shapes = flatten_dict(architecture.frozen_shapes()["params"])
    variables: dict[tuple[str, ...], np.ndarray] = {}
    faults = _option_faults(graph)
    for slot, found in zip_longest(_plan(), _constants(graph)):
        fault = _place(slot, found, shapes, variables)
        if fault:
            faults.append(fault)
    if faults:
        raise ValueError("not a QuickNet v0.2 of Larq Compute Engine:\n  " + "\n  ".join(faults))
    return {"params": unflatten_dict(variables)}


def _constants(graph: Graph) -> list[tuple[Operator, int, np.ndarray]]:
    """(operator, input slot, value) of every constant, in order of execution."""
    return [
        (operator, index, value)
        for operator in graph.operators
        for index in range(len(operator.inputs))
        if (value := graph.constant(operator, index)) is not None
    ]


def _place(
    slot: Slot | None,
    found: tuple[Operator, int, np.ndarray] | None,
    shapes: dict[tuple[str, ...], Any],
    variables: dict[tuple[str, ...], np.ndarray],
) -> str | None:
    """Puts one constant where it belongs; the fault, if there is one."""
    if found is None:
        assert slot is not None
        return f"missing: {_describe(slot)}"
    operator, index, value = found
    where = f"{operator}, input {index}, shape {value.shape}"
    if slot is None:
        return f"left over: {where}"
    if (operator.kind, index) != (slot.kind, slot.place):
        return f"expected {_describe(slot)}, found {where}"
    if not slot.accept(value):
        return f"unexpected values for {_describe(slot)} in {where}"
    if slot.path is None:
        return None
    try:
        converted = slot.convert(operator, value)
    except (ValueError, LookupError, TypeError) as error:
        return f"{'/'.join(slot.path)}: {error} ({where})"
    if converted.shape != shapes[slot.path].shape:
        return f"{'/'.join(slot.path)}: needs shape {shapes[slot.path].shape}, found {where}"
    variables[slot.path] = converted
    return None


def _describe(slot: Slot) -> str:
    name = "/".join(slot.path) if slot.path else "a constant without weights"
    return f"{name} as input {slot.place} of a {slot.kind}"


_NEEDED = {
    "CONV_2D": {"StrideH": 2, "StrideW": 2},
    "DEPTHWISE_CONV_2D": {"StrideH": 2, "StrideW": 2},
    "MAX_POOL_2D": {"StrideH": 2, "StrideW": 2, "FilterHeight": 2, "FilterWidth": 2},
    "LceBconv2d": {
        "padding": 1,
        "pad_values": 1,
        "fused_activation_function": 1,
        "dilation_height_factor": 1,
        "dilation_width_factor": 1,
    },
}


def _option_faults(graph: Graph) -> list[str]:
    strides = iter(
        2 if section > 1 and block == 1 else 1
        for section, count in enumerate(BLOCKS, start=1)
        for block in range(1, count + 1)
    )
    faults = []
    for operator in graph.operators:
        needed = dict(_NEEDED.get(operator.kind, {}))
        if operator.kind == "LceBconv2d":
            needed |= dict.fromkeys(("stride_height", "stride_width"), next(strides, 1))
        faults += [
            f"{operator}: {name} is {operator.options.get(name)}, needs {value}"
            for name, value in needed.items()
            if operator.options.get(name) != value
        ]
    return faults


# --- what the network's file holds, in order of execution ----------------------------------


def _plan() -> list[Slot]:
    slots = [
        Slot("CONV_2D", 1, ("stem_conv", "kernel"), lambda _, k: np.moveaxis(k, 0, 3)),
        Slot("CONV_2D", 2, None, accept=_is_zero),
        Slot("DEPTHWISE_CONV_2D", 1, ("stem_depthwise", "kernel"), _depthwise),
        Slot("DEPTHWISE_CONV_2D", 2, None, accept=_is_zero),
        *_norm("stem_norm"),
    ]
    for section, count in enumerate(BLOCKS, start=1):
        for block in range(1, count + 1):
            name = f"section{section}_block{block}"
            if section > 1 and block == 1:
                slots += _norm(f"{name}_shortcut_norm")
            slots += _binary_conv(name)
    return [
        *slots,
        Slot("RESHAPE", 1, None),
        Slot("FULLY_CONNECTED", 1, ("dense", "kernel"), lambda _, k: k.T),
        Slot("FULLY_CONNECTED", 2, ("dense", "bias")),
    ]


def _norm(name: str) -> list[Slot]:
    return [Slot("MUL", 1, (name, "multiplier")), Slot("ADD", 1, (name, "bias"))]


def _binary_conv(name: str) -> list[Slot]:
    return [
        Slot("LceBconv2d", 1, (f"{name}_conv", "words"), _words),
        Slot("LceBconv2d", 2, (f"{name}_norm", "multiplier")),
        Slot("LceBconv2d", 3, (f"{name}_norm", "bias")),
    ]


def _words(operator: Operator, value: np.ndarray) -> np.ndarray:
    kernel = unpack_filter(value, operator.options["channels_in"])
    return np.asarray(conv.pack_kernel(kernel))


def _depthwise(operator: Operator, value: np.ndarray) -> np.ndarray:
    """[1, h, w, C·m] → [h, w, C, m]."""
    return value.reshape(*value.shape[1:3], -1, operator.options["DepthMultiplier"])


def _is_zero(value: np.ndarray) -> bool:
    return not value.any()
