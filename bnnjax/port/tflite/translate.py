"""Translates the operators of a ``.tflite`` file, built-in or of Larq Compute Engine, to steps."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bnnjax.port.program.program import Params, Program, Window
from bnnjax.port.tflite import elementwise, lce, shapes, spatial
from bnnjax.port.tflite.builder import GraphBuilder, describe, grid_of
from bnnjax.port.tflite.constants import fold_constants
from bnnjax.port.tflite.graph import Graph, Operator

_PADDINGS = ("SAME", "VALID")  # the schema's enumeration


def translate(graph: Graph) -> tuple[Program, GraphBuilder]:
    """Translates a graph to a program without taps, and returns it with its builder, which holds
    the weights.

    Raises:
      ValueError: an operator that is unsupported, or has unsupported options; in one line.
    """
    graph = fold_constants(graph)
    builder = GraphBuilder(graph=graph)
    image = graph.inputs[0]
    builder.strides[image] = (1, 1)
    if (grid := grid_of(graph, image)) is not None:
        entry = Operator(0, "input", (), (image,), {})
        builder.add(entry, "round", (image,), output=image, options=grid)
    for op in graph.operators:
        if op.kind not in HANDLERS:
            raise ValueError(f"{describe(graph, op)} is not supported")
        try:
            HANDLERS[op.kind](builder, op)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{describe(graph, op)} {error}") from None
    constants = tuple((name, builder.params[name].shape) for name in builder.constants.values())
    return Program(tuple(builder.steps), constants, image, _logits(graph)), builder


def _logits(graph: Graph) -> int | None:
    """The last tensor before the probabilities; None for a network that ends in a map."""
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


def _binary_conv(builder: GraphBuilder, op: Operator) -> None:
    source = op.inputs[0]
    found = lce.read(builder.graph, op)
    name = builder.new_name("conv")
    builder.params[name] = {"words": found.words}
    if builder.first_signs is None:
        builder.first_signs = builder.signed.get(source, source)
    value = builder.add(op, "binary_conv", (source,), name=name, options=found.window)
    builder.tap("conv", value)
    if found.activation:
        value = builder.add(op, "activate", (value,), options=found.activation)
    builder.params[f"{name}_norm"] = {"multiplier": found.multiplier, "bias": found.bias}
    value = builder.add(op, "norm", (value,), name=f"{name}_norm")
    if found.packed:
        builder.signs.add(op.outputs[0])
    builder.finish(op, value)


def _window(builder: GraphBuilder, op: Operator, size: tuple[int, int], **more: Any) -> Window:
    options = op.options
    return Window(
        size,
        (options["StrideH"], options["StrideW"]),
        _PADDINGS[options["Padding"]],
        (options.get("DilationHFactor", 1), options.get("DilationWFactor", 1)),
        **more,
    )


def _kernel(builder: GraphBuilder, op: Operator, axes: int) -> tuple[np.ndarray, Params]:
    """The kernel of a float convolution or dense layer, and its bias as a parameter dict."""
    kernel, bias = builder.kernel(op, axes=axes), builder.graph.constant(op, 2)
    if len(op.inputs) > 2 and op.inputs[2] >= 0 and bias is None:
        raise ValueError("has a bias that is not constant")
    return kernel, {} if bias is None else {"bias": bias}


def _conv(builder: GraphBuilder, op: Operator) -> None:
    kernel, bias = _kernel(builder, op, 4)
    kernel = np.moveaxis(kernel, 0, 3)
    channels = builder.graph.tensors[op.inputs[0]].shape[-1]
    groups = channels // kernel.shape[2]
    name = builder.new_name("float_conv")
    builder.params[name] = {"kernel": kernel, **bias}
    window = _window(
        builder, op, kernel.shape[:2], features=kernel.shape[3], groups=groups, use_bias=bool(bias)
    )
    _float_conv(builder, op, "conv", name, window)


def _depthwise(builder: GraphBuilder, op: Operator) -> None:
    kernel, bias = _kernel(builder, op, 4)
    channels, features = builder.graph.tensors[op.inputs[0]].shape[-1], kernel.shape[3]
    name = builder.new_name("depthwise")
    builder.params[name] = {"kernel": kernel.reshape(*kernel.shape[1:3], channels, -1), **bias}
    window = _window(builder, op, kernel.shape[1:3], features=features, use_bias=bool(bias))
    _float_conv(builder, op, "depthwise", name, window)


def _float_conv(builder: GraphBuilder, op: Operator, kind: str, name: str, window: Window) -> None:
    builder.finish(op, builder.add(op, kind, (builder.operand(op, 0),), name=name, options=window))
    if builder.first_signs is None:
        builder.tap("stem", op.outputs[0])


def _dense(builder: GraphBuilder, op: Operator) -> None:
    kernel, bias = _kernel(builder, op, 2)
    name = builder.new_name("dense")
    builder.params[name] = {"kernel": kernel.T, **bias}
    options = (kernel.shape[1], kernel.shape[0], bool(bias), bool(op.options.get("KeepNumDims")))
    x = builder.operand(op, 0)
    if not options[-1] and (needed := shapes.flattened(builder, op)):
        x = builder.add(op, "flatten", (x,), options=needed)
    builder.finish(op, builder.add(op, "dense", (x,), name=name, options=options))


# --- pools ---------------------------------------------------------------------------------


def _binary_max_pool(builder: GraphBuilder, op: Operator) -> None:
    size, strides = (
        (op.options[f"{of}_height"], op.options[f"{of}_width"]) for of in ("filter", "stride")
    )
    window = Window(size, strides, _PADDINGS[op.options["padding"]])
    builder.sign_keeping("max_pool", op, options=window)


def _max_pool(builder: GraphBuilder, op: Operator) -> None:
    size = (op.options["FilterHeight"], op.options["FilterWidth"])
    builder.sign_keeping("max_pool", op, options=_window(builder, op, size))


def _average_pool(builder: GraphBuilder, op: Operator) -> None:
    """A pool over the file's whole map is a global mean at any size, unless the map is so small
    that it may as well be an ordinary pool, such as a 2×2 pool that halves a 2×2 map."""
    size = (op.options["FilterHeight"], op.options["FilterWidth"])
    whole = size == builder.graph.tensors[op.inputs[0]].shape[1:3] and op.options["Padding"] == 1
    users = {user.kind for user in builder.graph.operators if op.outputs[0] in user.inputs}
    if whole and (max(size) > 3 or users <= {"FULLY_CONNECTED", "RESHAPE", "SQUEEZE", "MEAN"}):
        builder.finish(op, builder.add(op, "whole_mean", (builder.operand(op, 0),)))
    else:
        window = _window(builder, op, size)
        builder.finish(op, builder.add(op, "avg_pool", (builder.operand(op, 0),), options=window))


HANDLERS: dict[str, Callable[[GraphBuilder, Operator], None]] = {
    **elementwise.HANDLERS,
    **spatial.HANDLERS,
    **shapes.HANDLERS,
    **dict.fromkeys(lce.KINDS, _binary_conv),
    "LceBMaxPool2d": _binary_max_pool,
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _max_pool,
    "AVERAGE_POOL_2D": _average_pool,
}
