"""Translates Keras' activations, norms and regularizers, which keep the shape of their input."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import layers
from bnnjax.layers.kernel import per_channel
from bnnjax.port.keras.builder import UNUSED, KerasBuilder, Value
from bnnjax.port.keras.handlers import activations, quantizers
from bnnjax.port.keras.model import Layer
from bnnjax.port.program.program import Call, Norm

# tf.nn.fused_batch_norm raises epsilon to what cuDNN needs; Keras 2 calls it for maps and volumes.
LEAST_EPSILON = 1.001e-5
Numbers = tuple[float, ...]
NORM = {"gamma": "scale", "beta": "bias"}


def scale(x: Array, *, factor: Numbers, offset: Numbers) -> Array:
    """x · factor + offset, of which each is one number or one per channel."""
    return x * _per_channel(factor, x) + _per_channel(offset, x)


def _per_channel(numbers: Numbers, x: Array) -> Array:
    return per_channel(jnp.asarray(numbers, x.dtype), x.ndim)


def normalize_length(x: Array, *, axes: tuple[int, ...], epsilon: float = 1e-12) -> Array:
    """``tf.math.l2_normalize``: x / √max(Σ x², epsilon) along the axes."""
    squares = jnp.square(x).sum(axes, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(squares, epsilon))


def _activation(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    return builder.activate(layer, x)


def _activation_layer(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    options = activations.LAYERS[layer.kind](layer.config)
    return builder.add(layer, "call", x, options=options)


def _quantizer(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    """A quantizer in the place of a layer."""
    quantizer = quantizers.find(layer.kind, layer.config)
    assert quantizer is not None
    return builder.quantize(layer, quantizer, x)


def _prelu(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    shared = tuple(layer.config.get("shared_axes") or ())
    return builder.weighted(layer, x, Call.of(layers.PReLU, shared_axes=shared), {"alpha": "alpha"})


def _batch_norm(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    config = layer.config
    if config.get("renorm"):
        raise ValueError("renormalizes batches (renorm=True), which is not read")
    used = {"gamma": config.get("scale", True), "beta": config.get("center", True)}
    call = Call.of(
        layers.BatchNorm,
        momentum=config.get("momentum", 0.99),
        use_scale=used["gamma"],
        use_bias=used["beta"],
    )
    builder.hold(layer, {name: path for name, path in NORM.items() if used[name]})
    statistics = {"moving_mean": "mean", "moving_variance": "var"}
    builder.hold(layer, statistics, "batch_stats")
    least = LEAST_EPSILON if builder.version < 3 else 0.0
    norm = Norm(call, _axis(config.get("axis", -1)), config.get("epsilon", 1e-3), least)
    return builder.add(layer, "batch_norm", x, options=norm, name=layer.name)


def _axis(stated: Any) -> int:
    """A single axis, which Keras puts into a list when it builds the layer."""
    values = stated if isinstance(stated, list | tuple) else [stated]
    if len(values) != 1:
        raise ValueError(f"normalizes along the axes {values}; a single one is read")
    return int(values[0])


def _layer_norm(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    config = layer.config
    used = {"gamma": config.get("scale", True), "beta": config.get("center", True)}
    axis = _axis(config.get("axis", -1))
    call = Call.of(
        nn.LayerNorm,
        epsilon=config.get("epsilon", 1e-3),
        use_scale=used["gamma"],
        use_bias=used["beta"],
        reduction_axes=axis,
        feature_axes=axis,
        use_fast_variance=False,
    )
    return builder.weighted(layer, x, call, {k: v for k, v in NORM.items() if used[k]})


def _unit_norm(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    stated = layer.config.get("axis", -1)
    axes = tuple(stated) if isinstance(stated, list) else (stated,)
    return builder.call(layer, normalize_length, x, axes=axes)


class Standardize(nn.Module):
    """(x − mean) / √variance per channel: Keras' Normalization."""

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, …, C] → [N, …, C]; parameters ``mean`` and ``variance`` [C]."""
        mean = self.param("mean", nn.initializers.zeros, x.shape[-1:], jnp.float32)
        variance = self.param("variance", nn.initializers.ones, x.shape[-1:], jnp.float32)
        deviation = jnp.maximum(jnp.sqrt(variance), 1e-7)
        return (x - per_channel(mean, x.ndim)) / per_channel(deviation, x.ndim)


def _normalization(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    config = layer.config
    if config.get("mean") is not None or config.get("invert"):
        raise ValueError("states its mean or inverts it; only what adapt() computes is read")
    if _axis(config.get("axis", -1)) not in (-1, 3):
        raise ValueError(f"its axis is {config['axis']}, needs the channels")
    held = {"mean": "mean", "variance": "variance"}
    y = builder.weighted(layer, x, Call(Standardize), held)
    builder.hold(layer, {"count": "count"}, UNUSED)
    return y


def _rescaling(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    stated = (layer.config["scale"], layer.config.get("offset", 0.0))
    factor, offset = (
        tuple(numbers) if isinstance(numbers, list) else (numbers,) for numbers in stated
    )
    return builder.call(layer, scale, x, factor=factor, offset=offset)


def _dropout(shared: tuple[int, ...], builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    if layer.config.get("noise_shape"):
        raise ValueError("has a noise_shape, which is not read")
    return builder.add(layer, "dropout", x, options=(float(layer.config["rate"]), shared))


def _nothing(builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    """A layer that acts on training alone."""
    return x


OF_TRAINING = (
    *("ActivityRegularization", "AlphaDropout", "GaussianDropout", "GaussianNoise", "Identity"),
    *("RandomBrightness", "RandomContrast", "RandomFlip", "RandomRotation", "RandomTranslation"),
    *("RandomZoom",),
)
HANDLERS: dict[str, Callable[..., Any]] = {
    "Activation": _activation,
    **dict.fromkeys(activations.LAYERS, _activation_layer),
    **dict.fromkeys(quantizers.CLASSES, _quantizer),
    "PReLU": _prelu,
    "BatchNormalization": _batch_norm,
    "BatchNormalizationV1": _batch_norm,
    "BatchNormalizationV2": _batch_norm,
    "SyncBatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "UnitNormalization": _unit_norm,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Dropout": partial(_dropout, ()),
    "SpatialDropout1D": partial(_dropout, (1,)),
    "SpatialDropout2D": partial(_dropout, (1, 2)),
    "SpatialDropout3D": partial(_dropout, (1, 2, 3)),
    **dict.fromkeys(OF_TRAINING, _nothing),
}
