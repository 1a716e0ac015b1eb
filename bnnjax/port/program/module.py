"""The linen module that executes a `Program`."""

from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax.layers import Options
from bnnjax.models.tapped import Tapped
from bnnjax.port.program.program import Program
from bnnjax.port.program.run import Run
from bnnjax.port.program.steps import perform


class GraphNetwork(Tapped):
    """[N, H, W, 3] → logits [N, num_classes] or None.

    The logits are None for a program that ends in a map, and at sizes that its head does not
    support: a flattened map fits the following dense layer at one size only.
    """

    program: Program
    options: Options

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        if self.options.residual_scale != 1:
            raise ValueError(
                f"residual_scale is {self.options.residual_scale}, but the graph of a file does "
                "not distinguish shortcuts; only networks of the registry do"
            )
        program, run = self.program, Run(self.options, train)
        values: dict[Any, Any] = {program.image: x}
        for name, shape in program.constants:
            values[name] = self.param(name, nn.initializers.zeros, shape)
        for step in program.steps:
            inputs = (values[ref] for ref in step.inputs)
            values[step.output] = perform(step, run, *inputs)
            for name in (name for name, value in program.taps if value == step.output):
                values[step.output] = self.tap(name, values[step.output])
        return self._logits(values, run)

    def _logits(self, values: dict[Any, Any], run: Run) -> Array | None:
        try:
            for step in self.program.head:
                inputs = (values[ref] for ref in step.inputs)
                values[step.output] = perform(step, run, *inputs)
        except ValueError:  # raised only for shapes, during tracing
            return None
        return None if self.program.logits is None else values[self.program.logits]
