"""Operators of a ``.tflite`` file, built-in ones and Larq Compute Engine's, as steps."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bnnjax.port import graph_shapes, lce_operators
from bnnjax.port.graph_fold import fold
from bnnjax.port.graph_program import Params, Program, Translation, Window, grid_of, place
from bnnjax.port.tflite_graph import Graph, Operator

_PADDINGS = ("SAME", "VALID")  # as the schema counts


def translate(graph: Graph) -> tuple[Program, Params, Translation]:
    """A graph as a program without taps, its weights, and how it was translated.

    Raises:
      ValueError: an operator that is not known here or has options that are not: one line with its
        place, its kind and its output.
    """
    graph = fold(graph)
    t = Translation(graph)
    image = graph.inputs[0]
    t.strides[image] = (1, 1)
    if (grid := grid_of(graph, image)) is not None:
        entry = Operator(0, "input", (), (image,), {})
        t.add(entry, "round", (image,), output=image, options=grid)
    for op in graph.operators:
        if op.kind not in HANDLERS:
            raise ValueError(f"{place(graph, op)} is not supported")
        try:
            HANDLERS[op.kind](t, op)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{place(graph, op)} {error}") from None
    constants = tuple((name, t.params[name].shape) for name in t.constants.values())
    return Program(tuple(t.steps), constants, image, _logits(graph)), t.params, t


def _logits(graph: Graph) -> int | None:
    """The last tensor before probabilities; None where the network ends in a map."""
    before = index = graph.outputs[0]
    if len(graph.tensors[index].shape) != 2:
        return None
    for op in reversed(graph.operators):
        if op.outputs[0] != before:
            continue
        if op.kind == "SOFTMAX":
            return op.inputs[0]
        if op.kind not in ("QUANTIZE", "DEQUANTIZE"):
            break
        before = op.inputs[0]
    return index


# --- convolutions --------------------------------------------------------------------------


def _binary_conv(t: Translation, op: Operator) -> None:
    source = op.inputs[0]
    channels = op.options.get("channels_in") or t.graph.tensors[source].shape[-1]
    found = lce_operators.read(t.graph, op, channels)
    name = t.new_name("conv")
    t.params[name] = {"words": found.words}
    if t.first_signs is None:
        t.first_signs = t.signed.get(source, source)
    value = t.add(op, "binary_conv", (source,), name=name, options=found.window)
    t.tap("conv", value)
    if found.activation:
        value = t.add(op, "activate", (value,), options=found.activation)
    t.params[f"{name}_norm"] = {"multiplier": found.multiplier, "bias": found.bias}
    value = t.add(op, "norm", (value,), name=f"{name}_norm")
    if found.packed:
        t.signs.add(op.outputs[0])
    t.finish(op, value)


def _window(t: Translation, op: Operator, size: tuple[int, int], **more: Any) -> Window:
    options = op.options
    return Window(
        size,
        (options["StrideH"], options["StrideW"]),
        _PADDINGS[options["Padding"]],
        (options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)),
        **more,
    )


def _kernel(t: Translation, op: Operator, axes: int) -> tuple[np.ndarray, Params]:
    """The kernel of a float convolution or product, and its bias as a parameter."""
    kernel, bias = t.graph.constant(op, 1), t.graph.constant(op, 2)
    if kernel is None or kernel.ndim != axes:
        raise ValueError(f"has no constant kernel of {axes} axes")
    if len(op.inputs) > 2 and op.inputs[2] >= 0 and bias is None:
        raise ValueError("has a bias that is not constant")
    return kernel, {} if bias is None else {"bias": bias}


def _conv(t: Translation, op: Operator) -> None:
    kernel, bias = _kernel(t, op, 4)
    kernel = np.moveaxis(kernel, 0, 3)
    channels = t.graph.tensors[op.inputs[0]].shape[-1]
    groups = channels // kernel.shape[2]
    name = t.new_name("float_conv")
    t.params[name] = {"kernel": kernel, **bias}
    window = _window(
        t, op, kernel.shape[:2], features=kernel.shape[3], groups=groups, use_bias=bool(bias)
    )
    _float_conv(t, op, "conv", name, window)


def _depthwise(t: Translation, op: Operator) -> None:
    kernel, bias = _kernel(t, op, 4)
    channels, features = t.graph.tensors[op.inputs[0]].shape[-1], kernel.shape[3]
    name = t.new_name("depthwise")
    t.params[name] = {"kernel": kernel.reshape(*kernel.shape[1:3], channels, -1), **bias}
    window = _window(t, op, kernel.shape[1:3], features=features, use_bias=bool(bias))
    _float_conv(t, op, "depthwise", name, window)


def _float_conv(t: Translation, op: Operator, kind: str, name: str, window: Window) -> None:
    t.finish(op, t.add(op, kind, (t.operand(op, 0),), name=name, options=window))
    if t.first_signs is None:
        t.tap("stem", op.outputs[0])


def _dense(t: Translation, op: Operator) -> None:
    kernel, bias = _kernel(t, op, 2)
    name = t.new_name("dense")
    t.params[name] = {"kernel": kernel.T, **bias}
    options = (kernel.shape[1], kernel.shape[0], bool(bias), bool(op.options.get("KeepNumDims")))
    t.finish(op, t.add(op, "dense", (t.operand(op, 0),), name=name, options=options))


# --- pools ---------------------------------------------------------------------------------


def _binary_max_pool(t: Translation, op: Operator) -> None:
    size, strides = (
        (op.options[f"{of}_height"], op.options[f"{of}_width"]) for of in ("filter", "stride")
    )
    window = Window(size, strides, _PADDINGS[op.options["padding"]])
    t.sign_keeping("max_pool", op, options=window)


def _max_pool(t: Translation, op: Operator) -> None:
    size = (op.options["FilterHeight"], op.options["FilterWidth"])
    t.sign_keeping("max_pool", op, options=_window(t, op, size))


def _average_pool(t: Translation, op: Operator) -> None:
    """A mean over all of the file's map is one at any size; a pool that halves 2×2 is not meant."""
    size = (op.options["FilterHeight"], op.options["FilterWidth"])
    whole = size == t.graph.tensors[op.inputs[0]].shape[1:3] and op.options["Padding"] == 1
    users = {user.kind for user in t.graph.operators if op.outputs[0] in user.inputs}
    if whole and (max(size) > 3 or users <= {"FULLY_CONNECTED", "RESHAPE", "SQUEEZE", "MEAN"}):
        t.finish(op, t.add(op, "whole_mean", (t.operand(op, 0),)))
    else:
        window = _window(t, op, size)
        t.finish(op, t.add(op, "avg_pool", (t.operand(op, 0),), options=window))


# --- arithmetic ----------------------------------------------------------------------------


def _two(kind: str, t: Translation, op: Operator) -> None:
    inputs = (t.operand(op, 0), t.operand(op, 1))
    bare = t.finish(op, t.add(op, kind, inputs))
    if kind == "add" and all(isinstance(ref, int) for ref in inputs):
        t.tap("add", bare)


def _one(kind: str, t: Translation, op: Operator, *, options: Any = None) -> None:
    t.one(kind, op, options=options)


def _softmax(t: Translation, op: Operator) -> None:
    t.one("softmax", op, options=float(op.options.get("Beta", 1.0)))


def _prelu(t: Translation, op: Operator) -> None:
    t.finish(op, t.add(op, "prelu", (t.operand(op, 0), t.operand(op, 1))))


def _concat(t: Translation, op: Operator) -> None:
    inputs = tuple(t.operand(op, slot) for slot in range(len(op.inputs)))
    t.finish(op, t.add(op, "concat", inputs, options=op.options["Axis"]))
    t.tap("concat", op.outputs[0])


def _signs(t: Translation, op: Operator) -> None:
    t.signs.add(op.outputs[0])
    t.signed[op.outputs[0]] = op.inputs[0]
    t.finish(op, t.add(op, "activate", (op.inputs[0],), options=0))


def _signs_as_floats(t: Translation, op: Operator) -> None:
    t.finish(op, t.add(op, "sign", (op.inputs[0],)))


HANDLERS: dict[str, Callable[[Translation, Operator], None]] = {
    **dict.fromkeys(lce_operators.KINDS, _binary_conv),
    **dict.fromkeys(("LceQuantize", "LceBsign", "LqceBsign"), _signs),
    "LceDequantize": _signs_as_floats,
    "LceBMaxPool2d": _binary_max_pool,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _max_pool,
    "AVERAGE_POOL_2D": _average_pool,
    "ADD": partial(_two, "add"),
    "SUB": partial(_two, "sub"),
    "MUL": partial(_two, "mul"),
    "DIV": partial(_two, "div"),
    "MAXIMUM": partial(_two, "maximum"),
    "MINIMUM": partial(_two, "minimum"),
    "RELU": partial(_one, "activate", options=1),
    "RELU_N1_TO_1": partial(_one, "activate", options=2),
    "RELU6": partial(_one, "activate", options=3),
    "PRELU": _prelu,
    "LOGISTIC": partial(_one, "logistic"),
    "TANH": partial(_one, "tanh"),
    "ABS": partial(_one, "abs"),
    "SOFTMAX": _softmax,
    "QUANTIZE": partial(_one, "activate", options=0),
    "DEQUANTIZE": partial(_one, "activate", options=0),
    "CONCATENATION": _concat,
    "RESHAPE": graph_shapes.reshape,
    "SQUEEZE": graph_shapes.squeeze,
    "TRANSPOSE": graph_shapes.transpose,
    "MEAN": graph_shapes.mean,
    "PAD": graph_shapes.pad,
    "PADV2": graph_shapes.pad,
    "STRIDED_SLICE": graph_shapes.strided_slice,
    "SPLIT": graph_shapes.split,
    "SHAPE": partial(_one, "shape"),
    "PACK": graph_shapes.pack,
}
