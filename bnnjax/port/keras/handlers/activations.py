"""Keras' activation functions with TensorFlow's gradients at their kinks."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.binary.whole import whole
from bnnjax.port.keras.handlers import quantizers
from bnnjax.port.program.program import Call


def clip(x: Array, *, low: float, high: float) -> Array:
    """``tf.clip_by_value``, which passes the gradient at both limits."""
    return jnp.where(x < low, low, jnp.where(x > high, high, x))


def relu(
    x: Array, *, top: float | None = None, slope: float = 0.0, threshold: float = 0.0
) -> Array:
    """Keras' ReLU with a largest value, a slope of negative values, and a threshold."""
    if top is None and threshold == 0 and slope != 0:
        return jnp.where(x > 0, x, slope * x)
    above = nn.relu(x) if threshold == 0 else jnp.where(x > threshold, x, 0)
    if top == 6 and threshold == 0:
        above = jnp.where(x >= 6, 6, above)
    elif top is not None:
        above = clip(above, low=0, high=top)
    return above - slope * nn.relu(threshold - x) if slope else above


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """x where positive, else alpha · (eˣ − 1)."""
    return jnp.where(x > 0, x, alpha * jnp.expm1(jnp.where(x > 0, 0, x)))


def hard_sigmoid(x: Array) -> Array:
    """That of Keras 2: 0.2 x + 0.5 within [0, 1]."""
    return clip(0.2 * x + 0.5, low=0, high=1)


def relu6_sigmoid(x: Array) -> Array:
    """The hard sigmoid of Keras 3: (x + 3) / 6 within [0, 1]."""
    return relu(x + 3, top=6) / 6


def leaky_tanh(x: Array, *, alpha: float = 0.2) -> Array:
    """Larq's hard tanh with a slope outside of [−1, 1]."""
    outside = (jnp.where(x >= 1, x, 1) - 1) + (jnp.where(x <= -1, x, -1) + 1)
    return clip(x, low=-1, high=1) + alpha * outside


def softmax(x: Array, *, axis: int = -1) -> Array:
    """Probabilities along an axis; at the end of a network, it is omitted."""
    return jax.nn.softmax(x, axis)


@whole
def gelu(x: Array) -> Array:
    """x · Φ(x), with the exact normal distribution function."""
    return jax.nn.gelu(x, approximate=False)


FUNCTIONS: dict[str, Call] = {
    "relu": Call(relu),
    "relu6": Call.of(relu, top=6),
    "leaky_relu": Call.of(relu, slope=0.2),
    "sigmoid": Call(jax.nn.sigmoid),
    "hard_sigmoid": Call(hard_sigmoid),
    "tanh": Call(jnp.tanh),
    "softmax": Call(softmax),
    "softmax_v2": Call(softmax),  # tf.nn.softmax
    "log_softmax": Call(jax.nn.log_softmax),
    "softplus": Call(jax.nn.softplus),
    "softsign": Call(jax.nn.soft_sign),
    "elu": Call(elu),
    "selu": Call(jax.nn.selu),
    "gelu": Call(gelu),
    "swish": Call(jax.nn.silu),
    "silu": Call(jax.nn.silu),
    "mish": Call(jax.nn.mish),
    "exponential": Call(jnp.exp),
    "hard_tanh": Call.of(clip, low=-1, high=1),  # of Larq
    "leaky_tanh": Call(leaky_tanh),
}
OF_KERAS_3 = {
    "hard_sigmoid": Call(relu6_sigmoid),
    "hard_silu": Call(jax.nn.hard_swish),
    "hard_swish": Call(jax.nn.hard_swish),
}


def find(stated: Any, *, version: int) -> Call | quant.Quantizer | None:
    """The function that an ``activation`` states; None for "linear".

    Args:
      stated: the name of a function, or the class and configuration of a layer.
      version: of Keras, 2 or 3.

    Raises:
      ValueError: it is none of Keras' or Larq's.
    """
    if stated is None:
        return None
    name, options = quantizers.named(stated)
    known = FUNCTIONS | (OF_KERAS_3 if version >= 3 else {})
    if name in ("linear", "identity"):
        return None
    if name in known:
        return known[name]
    if name in LAYERS:
        return LAYERS[name](options)
    if (quantizer := quantizers.find(name, options)) is not None:
        return quantizer
    near = difflib.get_close_matches(name, [*known, *LAYERS, *quantizers.CLASSES], n=1)
    hint = f"; did its author mean {near[0]!r}?" if near else ""
    raise ValueError(f"its activation {name!r} is none of Keras' or Larq's{hint}")


def _relu(config: Mapping[str, Any]) -> Call:
    keys = {"max_value": "top", "negative_slope": "slope", "threshold": "threshold"}
    given = {ours: config.get(theirs) for theirs, ours in keys.items()}
    numbers = {name: float(value) for name, value in given.items() if value is not None}
    return Call.of(relu, **numbers)


def _softmax(config: Mapping[str, Any]) -> Call:
    if not isinstance(axis := config.get("axis", -1), int):
        raise ValueError(f"its axis is {axis}, needs a single one")
    return Call.of(softmax, axis=axis)


def _leaky_relu(config: Mapping[str, Any]) -> Call:
    slope = config.get("alpha", config.get("negative_slope", 0.3))
    return Call.of(relu, slope=float(slope))


# Layers without weights that are activations.
LAYERS: dict[str, Callable[[Mapping[str, Any]], Call]] = {
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": lambda config: Call.of(elu, alpha=float(config.get("alpha", 1.0))),
    "ThresholdedReLU": lambda config: Call.of(relu, threshold=float(config.get("theta", 1.0))),
    "Softmax": _softmax,
}
