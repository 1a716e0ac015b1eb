"""What each step of a network from a file computes."""

import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import ScopeParamShapeError

from bnnjax.layers.activation import prelu
from bnnjax.port.program import weighted, weightless
from bnnjax.port.program.program import Step
from bnnjax.port.program.run import Run
from bnnjax.port.program.weightless import arithmetic, unary


def perform(step: Step, run: Run, *inputs: Any) -> Any:
    """Computes the value of a step; call it within a linen module.

    Raises:
      ValueError: the shapes of the inputs do not fit; the message names the operator or layer in
        the file.
    """
    try:
        return STEPS[step.kind](step, run, *inputs)
    except (ValueError, TypeError, ScopeParamShapeError) as error:  # all raised for wrong shapes
        shapes = ", ".join(str(list(np.shape(value))) for value in inputs)
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{step.where} cannot take {shapes}: {first}") from None


STEPS: dict[str, Callable[..., Any]] = {
    "binary_conv": weighted.binary_conv,
    "conv": weighted.conv,
    "depthwise": weighted.depthwise,
    "norm": weighted.norm,
    "dense": weighted.dense,
    "layer": weighted.layer,
    "batch_norm": weighted.batch_norm,
    "call": lambda step, run, *xs: step.options(*xs),
    "dropout": weightless.dropout,
    "quantize": lambda step, run, x: step.options(x),
    "activate": lambda step, run, x: weightless.ACTIVATIONS[step.options](x),
    "sign": lambda step, run, x: run.options.input_quantizer(x),
    "round": weightless.rounded,
    "max_pool": weightless.max_pool,
    "avg_pool": weightless.avg_pool,
    "whole_mean": lambda step, run, x: x.mean(axis=(1, 2), keepdims=True),
    "reduce": lambda step, run, x: step.options(x),
    "add": arithmetic(operator.add),
    "sub": arithmetic(operator.sub),
    "mul": arithmetic(operator.mul),
    "div": arithmetic(operator.truediv),
    "maximum": arithmetic(weightless.maximum),
    "minimum": arithmetic(weightless.minimum),
    "prelu": lambda step, run, x, alpha: prelu(x, alpha),
    "logistic": unary(jax.nn.sigmoid),
    "tanh": unary(jnp.tanh),
    "abs": unary(jnp.abs),
    "softmax": lambda step, run, x: jax.nn.softmax(step.options * x),
    "concat": lambda step, run, *xs: jnp.concatenate(xs, step.options),
    "reshape": weightless.reshape,
    "flatten": weightless.flatten,
    "transpose": lambda step, run, x: x.transpose(step.options),
    "pad": weightless.pad,
    "slice": weightless.cut,
    "part": weightless.part,
    "shape": lambda step, run, x: np.asarray(x.shape),
    "pack": weightless.pack,
}
