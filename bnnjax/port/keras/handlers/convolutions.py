"""Translates Keras' and Larq's layers with kernels."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from flax import linen as nn

from bnnjax import layers, quant
from bnnjax.port.keras.builder import Factors, KerasBuilder, Value
from bnnjax.port.keras.handlers import quantizers
from bnnjax.port.keras.model import Layer
from bnnjax.port.program.program import Call

WEIGHTS = {"kernel": "kernel", "bias": "bias"}


def axes(config: Mapping[str, Any], name: str, rank: int) -> tuple[int, ...]:
    """One integer per axis."""
    value = config.get(name, 1)
    return tuple(value) if isinstance(value, Sequence) else (value,) * rank


def is_quantized(layer: Layer) -> bool:
    """Whether the class is one of Larq's."""
    return layer.kind.startswith("Quant")


def with_kernel(
    builder: KerasBuilder,
    layer: Layer,
    x: Value,
    call: Call,
    *,
    kernel: str = "kernel",
    arrays: Mapping[str, str] = WEIGHTS,
    factors: Factors | None = (1, 1),
) -> Value:
    """Appends a layer with one kernel, its quantizers, its bias and its activation."""
    config = layer.config
    if is_quantized(layer):
        call = call.replaced(
            input_quantizer=quantizers.read(config, "input_quantizer"),
            kernel_quantizer=quantizers.read(config, f"{kernel}_quantizer"),
        )
    call = call.replaced(
        use_bias=config["use_bias"],
        weight_clip=quantizers.clip_of(config, f"{kernel}_constraint"),
    )
    builder.note_signs(dict(call.keywords).get("input_quantizer"), x)
    held = {name: path for name, path in arrays.items() if name != "bias" or config["use_bias"]}
    y = builder.weighted(layer, x, call, held, factors=factors)
    return _finished(builder, layer, y, config.get(f"{kernel}_quantizer"))


def _finished(builder: KerasBuilder, layer: Layer, y: Value, kernel_quantizer: Any) -> Value:
    """The result after the activation, marked as part of the stem or as a binary convolution."""
    y = builder.activate(layer, y)
    if builder.first_signs is None:
        builder.tap("stem", y)
    elif kernel_quantizer is not None:
        builder.tap("conv", y)
    return y


def _window(layer: Layer, rank: int) -> dict[str, Any]:
    config = layer.config
    window = {
        "kernel_size": axes(config, "kernel_size", rank),
        "strides": axes(config, "strides", rank),
        "padding": config.get("padding", "valid"),
        "dilation": axes(config, "dilation_rate", rank),
    }
    if is_quantized(layer) and window["padding"] == "same":
        window["pad_values"] = _pad_value(config)
    return window


def _pad_value(config: Mapping[str, Any]) -> int:
    value = config.get("pad_values", 0)
    if value not in (-1, 0, 1):
        raise ValueError(f"its pad_values are {value}, need -1, 0 or 1")
    return int(value)


def _strides(window: Mapping[str, Any]) -> Factors:
    down, across = window["strides"] if len(window["strides"]) == 2 else (1, 1)
    return down, across


# --- handlers ------------------------------------------------------------------------------


def _convolution(
    rank: int, plain: Any, quantized: Any, builder: KerasBuilder, layer: Layer, x: Value
) -> Value:
    window = _window(layer, rank)
    call = Call.of(
        quantized if is_quantized(layer) else plain,
        features=layer.config["filters"],
        groups=layer.config.get("groups", 1),
        **window,
    )
    return with_kernel(builder, layer, x, call, factors=_strides(window))


def _transposed(rank: int, made: Any, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    window = _window(layer, rank)
    window.pop("pad_values", None)
    more = layer.config.get("output_padding")
    if more is not None:
        window["output_padding"] = axes(layer.config, "output_padding", rank)
    call = Call.of(made, features=layer.config["filters"], **window)
    down, across = _strides(window)
    return with_kernel(builder, layer, x, call, factors=(Fraction(1, down), Fraction(1, across)))


def _depthwise(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    window = _window(layer, 2)
    call = Call.of(
        layers.QuantDepthwiseConv if is_quantized(layer) else layers.DepthwiseConv,
        multiplier=layer.config.get("depth_multiplier", 1),
        **window,
    )
    name = "kernel" if builder.version >= 3 else "depthwise_kernel"
    arrays = {name: "kernel", "bias": "bias"}
    return with_kernel(
        builder, layer, x, call, kernel="depthwise", arrays=arrays, factors=_strides(window)
    )


def _separable(rank: int, made: Any, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    config, window = layer.config, _window(layer, rank)
    names = ("input_quantizer", "depthwise_quantizer", "pointwise_quantizer")
    found: dict[str, quant.Quantizer | None] = {
        name: quantizers.read(config, name) for name in names
    }
    call = Call.of(
        made,
        features=config["filters"],
        multiplier=config.get("depth_multiplier", 1),
        depthwise_clip=quantizers.clip_of(config, "depthwise_constraint"),
        pointwise_clip=quantizers.clip_of(config, "pointwise_constraint"),
        use_bias=config["use_bias"],
        **window,
        **found,
    )
    builder.note_signs(found["input_quantizer"], x)
    arrays = {
        "depthwise_kernel": "depthwise/kernel",
        "pointwise_kernel": "pointwise/kernel",
        **({"bias": "pointwise/bias"} if config["use_bias"] else {}),
    }
    y = builder.weighted(layer, x, call, arrays, factors=_strides(window))
    return _finished(builder, layer, y, found["depthwise_quantizer"])


def _dense(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    if is_quantized(layer):
        call = Call.of(layers.QuantDense, features=layer.config["units"])
        return with_kernel(builder, layer, x, call)
    use_bias = layer.config["use_bias"]
    call = Call.of(nn.Dense, features=layer.config["units"], use_bias=use_bias)
    held = WEIGHTS if use_bias else {"kernel": "kernel"}
    return builder.activate(layer, builder.weighted(layer, x, call, held))


def _both(name: str, handler: Any) -> dict[str, Any]:
    """The handler of a layer of Keras and of its counterpart in Larq."""
    return {name: handler, f"Quant{name}": handler}


HANDLERS: dict[str, Any] = {
    **_both("Conv1D", partial(_convolution, 1, layers.QuantConv1D, layers.QuantConv1D)),
    **_both("Conv2D", partial(_convolution, 2, layers.Conv, layers.QuantConv)),
    **_both("Conv3D", partial(_convolution, 3, layers.QuantConv3D, layers.QuantConv3D)),
    **_both("Conv2DTranspose", partial(_transposed, 2, layers.QuantConv2DTranspose)),
    **_both("Conv3DTranspose", partial(_transposed, 3, layers.QuantConv3DTranspose)),
    **_both("DepthwiseConv2D", _depthwise),
    **_both("SeparableConv1D", partial(_separable, 1, layers.QuantSeparableConv1D)),
    **_both("SeparableConv2D", partial(_separable, 2, layers.QuantSeparableConv)),
    **_both("Dense", _dense),
    # Names that Keras used before.
    "Convolution1D": partial(_convolution, 1, layers.QuantConv1D, layers.QuantConv1D),
    "Convolution2D": partial(_convolution, 2, layers.Conv, layers.QuantConv),
}
