"""Activations that are stated by choices become TFLite's own operators."""

from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from bnnjax import quant
from bnnjax.port.keras.handlers import activations
from bnnjax.port.program import weightless
from tests.port.tflite.lowering.functions import graph_of


def kinds_of(function):
    """The operators that compute a function of pictures."""
    return Counter(op.kind for op in graph_of(function).operators)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (partial(activations.relu, top=6), ["RELU6"]),
        (weightless.ACTIVATIONS[3], ["RELU6"]),
        (jax.nn.relu6, ["RELU6"]),
        (weightless.ACTIVATIONS[2], ["RELU_N1_TO_1"]),
        (partial(activations.clip, low=-1, high=1), ["RELU_N1_TO_1"]),
        (partial(activations.clip, low=-2, high=1), ["MAXIMUM", "MINIMUM"]),
        (activations.hard_sigmoid, ["MUL", "ADD", "MINIMUM", "MAXIMUM"]),
        (lambda x: weightless.maximum(x, jnp.tanh(x)), ["TANH", "MAXIMUM"]),
        (lambda x: weightless.minimum(x, jnp.tanh(x)), ["TANH", "MINIMUM"]),
        (partial(activations.relu, slope=0.2), ["GREATER", "MUL", "SELECT_V2"]),
        (lambda x: jnp.where(x > 1, 2.0, x), ["GREATER", "SELECT_V2"]),
        (lambda x: jnp.where(x > 1, 1.0, -x), ["NEG", "GREATER", "SELECT_V2"]),
        (quant.ste_sign, ["LceQuantize", "LceDequantize"]),
        (jnp.sign, ["GREATER", "LESS", "SELECT_V2", "SELECT_V2"]),
        (lambda x: nn.relu(x + 1), ["ADD"]),
        (lambda x: x.mean((1, 2)) * 2, ["MEAN", "MUL"]),
    ],
)
def test_a_choice_becomes_an_operator(function, expected):
    assert kinds_of(function) == Counter(expected)
