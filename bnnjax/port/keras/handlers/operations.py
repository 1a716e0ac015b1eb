"""Translates calls of functions: those of TensorFlow that Keras 2 wraps into layers
(``TFOpLambda``), and those of Keras 3."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.port.keras.builder import KerasBuilder, Value
from bnnjax.port.keras.handlers import activations, merges, pointwise, shapes
from bnnjax.port.keras.model import Layer


def reduce(x: Array, *, how: str, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The "mean", "max" or "sum" along axes."""
    reductions: dict[str, Callable[..., Array]] = {"mean": jnp.mean, "max": jnp.max, "sum": jnp.sum}
    return reductions[how](x, axes, keepdims=keepdims)


def part(x: Array, *, parts: int, number: int, axis: int) -> Array:
    """One of several equal parts along an axis."""
    return jnp.split(x, parts, axis)[number]


def depth_to_space(x: Array, *, block: int) -> Array:
    """[N, H, W, C] → [N, H · block, W · block, C / block²]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, block, block, c // block**2).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h * block, w * block, c // block**2)


def space_to_depth(x: Array, *, block: int) -> Array:
    """[N, H, W, C] → [N, H / block, W / block, C · block²]."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // block, w // block, c * block**2)


def cut(x: Array, *, slices: tuple[tuple[int | None, int | None, int | None], ...]) -> Array:
    """The slices (start, stop, step) of the first axes."""
    return x[tuple(slice(*each) for each in slices)]


# --- handlers, which take the arguments of TensorFlow's functions --------------------------


def _reduce(
    how: str, builder: KerasBuilder, layer: Layer, x: Value, axis: Any = None, keepdims: Any = None
) -> Value:
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    if not axes or any(each in (None, 0) for each in axes):
        raise ValueError("reduces pictures to one; needs axes other than the first")
    return builder.call(layer, reduce, x, factors=None, how=how, axes=axes, keepdims=bool(keepdims))


def _reshape(builder: KerasBuilder, layer: Layer, x: Value, shape: Any) -> Value:
    first, *rest = shape
    if first not in (-1, None) or not all(isinstance(side, int) for side in rest) or -1 in rest:
        raise ValueError(f"reshapes to {shape}, needs -1 for the pictures and integers")
    return builder.call(layer, shapes.reshape, x, factors=None, shape=tuple(rest))


def _normalize(
    builder: KerasBuilder, layer: Layer, x: Value, axis: Any = None, epsilon: float = 1e-12
) -> Value:
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    if any(each in (None, 0) for each in axes):
        raise ValueError("normalizes over pictures; needs axes other than the first")
    return builder.call(layer, pointwise.normalize_length, x, axes=axes, epsilon=epsilon)


def _clip(
    builder: KerasBuilder, layer: Layer, x: Value, clip_value_min: float, clip_value_max: float
) -> Value:
    return builder.call(layer, activations.clip, x, low=clip_value_min, high=clip_value_max)


def _split(
    builder: KerasBuilder, layer: Layer, x: Value, num_or_size_splits: Any, axis: int = 0
) -> list[Value]:
    if not isinstance(num_or_size_splits, int) or axis == 0:
        raise ValueError("splits unequally, or pictures; needs equal parts along another axis")
    return [
        builder.call(layer, part, x, parts=num_or_size_splits, number=number, axis=axis)
        for number in range(num_or_size_splits)
    ]


def _pad(
    builder: KerasBuilder,
    layer: Layer,
    x: Value,
    paddings: Any,
    mode: str = "CONSTANT",
    constant_values: float = 0,
) -> Value:
    first, *amounts, last = (tuple(pair) for pair in paddings)
    if mode.upper() != "CONSTANT" or any((*first, *last)):
        raise ValueError("pads pictures, channels, or with other values; needs a constant border")
    return builder.call(layer, shapes.pad, x, amounts=tuple(amounts), value=float(constant_values))


def _blocks(
    function: Callable[..., Array],
    builder: KerasBuilder,
    layer: Layer,
    x: Value,
    block_size: int,
    data_format: str = "NHWC",
) -> Value:
    if data_format != "NHWC":
        raise ValueError(f"its data_format is {data_format!r}, needs 'NHWC'")
    return builder.call(layer, function, x, factors=None, block=block_size)


def _leaky_relu(builder: KerasBuilder, layer: Layer, x: Value, alpha: float = 0.2) -> Value:
    return builder.call(layer, activations.relu, x, slope=float(alpha))


def _softmax(builder: KerasBuilder, layer: Layer, x: Value, axis: int | None = None) -> Value:
    return builder.call(layer, activations.softmax, x, axis=-1 if axis is None else axis)


def _cast(builder: KerasBuilder, layer: Layer, x: Value, dtype: Any) -> Value:
    if "float" not in str(dtype):
        raise ValueError(f"casts to {dtype}, needs a float type")
    return x


def _concat(builder: KerasBuilder, layer: Layer, *operands: Value, axis: int) -> Value:
    return merges.concatenate(builder, layer, *operands, axis=axis)


def _cut(builder: KerasBuilder, layer: Layer, x: Value, slice_spec: Any) -> Value:
    slices = []
    for each in slice_spec:
        if not isinstance(each, Mapping) or each.keys() != {"start", "stop", "step"}:
            raise ValueError("is indexed by more than slices, which alone are read")
        slices.append((each["start"], each["stop"], each["step"]))
    if not all(isinstance(side, int | None) for each in slices for side in each):
        raise ValueError("has slices with computed bounds, which are not read")
    if slices and slices[0] != (None, None, None):
        raise ValueError("selects pictures of the batch, which is not read")
    return builder.call(layer, cut, x, slices=tuple(slices))


def _unary(function: Callable[..., Array], builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    return builder.call(layer, function, x)


def _nothing(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    return x


UNARY: dict[str, Callable[..., Array]] = {
    "relu": activations.relu,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "elu": activations.elu,
    "selu": jax.nn.selu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "abs": jnp.abs,
    "exp": jnp.exp,
    "log": jnp.log,
    "negative": jnp.negative,
    "sqrt": jnp.sqrt,
    "rsqrt": jax.lax.rsqrt,
    "square": jnp.square,
    "stop_gradient": jax.lax.stop_gradient,
}
# By the last part of TensorFlow's name: "math.add" and "__operators__.add" are the same.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: partial(_unary, function) for name, function in UNARY.items()},
    "add": partial(merges.combine, "add"),
    "subtract": partial(merges.combine, "sub"),
    "multiply": partial(merges.combine, "mul"),
    "truediv": partial(merges.combine, "div"),
    "divide": partial(merges.combine, "div"),
    "maximum": partial(merges.combine, "maximum"),
    "minimum": partial(merges.combine, "minimum"),
    "leaky_relu": _leaky_relu,
    "softmax": _softmax,
    "concat": _concat,
    "reshape": _reshape,
    "reduce_mean": partial(_reduce, "mean"),
    "reduce_max": partial(_reduce, "max"),
    "reduce_sum": partial(_reduce, "sum"),
    "l2_normalize": _normalize,
    "clip_by_value": _clip,
    "split": _split,
    "pad": _pad,
    "depth_to_space": partial(_blocks, depth_to_space),
    "space_to_depth": partial(_blocks, space_to_depth),
    "cast": _cast,
    "identity": _nothing,
    "getitem": _cut,
}


def _function(builder: KerasBuilder, layer: Layer, *arguments: Any, **keywords: Any) -> Any:
    """A function of TensorFlow in the place of a layer."""
    name = layer.config["function"]
    if (handler := FUNCTIONS.get(name.split(".")[-1])) is None:
        raise ValueError(f"calls tf.{name}, which is not supported")
    given = {key: value for key, value in keywords.items() if value is not None}
    operands = [given.pop(key) for key in ("y", "b") if key in given]
    return handler(builder, layer, *arguments, *operands, **given)


HANDLERS: dict[str, Callable[..., Any]] = {
    "TFOpLambda": _function,
    "SlicingOpLambda": _function,
    # Operations of Keras 3.
    **{
        kind: partial(_unary, UNARY[name])
        for kind, name in {
            "Relu": "relu",
            "Sigmoid": "sigmoid",
            "Tanh": "tanh",
            "Silu": "silu",
            "Absolute": "abs",
            "Negative": "negative",
            "Square": "square",
            "Sqrt": "sqrt",
        }.items()
    },
}
