"""The builder with which `bnnjax.port.tflite.translate` turns a ``.tflite`` graph into a `Program`,
operator by operator."""

import dataclasses
from typing import Any

import numpy as np

from bnnjax.port.program.builder import ProgramBuilder
from bnnjax.port.program.program import Grid, Params, Ref, Step, Window
from bnnjax.port.tflite.graph import Graph, Operator


@dataclasses.dataclass(kw_only=True)
class GraphBuilder(ProgramBuilder):
    """The steps so far, and the state that the operators' handlers share.

    Values have the indices of the graph's tensors; values without a tensor get the indices after
    them. A tensor of signs, packed or not, is represented by the tensor before the sign: max-pools
    commute with the sign, and the gradient is that of the network as it was trained.

    Attributes:
      graph: the graph with its constants folded.
      params: the weights by the names of their steps and constants.
      constants: the names of the constants by their tensors.
      signs: the values that stand for their signs.
      signed: tensors of signs with an operator of their own → the tensors that it reads.
      values: the number of values without a tensor.
      counts: the number of names used per kind.
    """

    graph: Graph
    params: Params = dataclasses.field(default_factory=dict)
    constants: dict[int, str] = dataclasses.field(default_factory=dict)
    signs: set[int] = dataclasses.field(default_factory=set)
    signed: dict[int, int] = dataclasses.field(default_factory=dict)
    values: int = 0
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    def new_value(self) -> int:
        """The index of a new value without a tensor in the file."""
        self.values += 1
        return len(self.graph.tensors) + self.values - 1

    def new_name(self, kind: str) -> str:
        """The name for the next weights of a kind: conv1, conv2 …"""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}{self.counts[kind]}"

    def add(
        self,
        op: Operator,
        kind: str,
        inputs: tuple[Ref, ...],
        *,
        name: str = "",
        options: Any = None,
        output: int | None = None,
    ) -> int:
        """Appends a step and returns the value that it computes: ``output``, or a new one."""
        output = self.new_value() if output is None else output
        self.steps.append(Step(kind, name, inputs, output, options, describe(self.graph, op)))
        maps = [ref for ref in inputs if isinstance(ref, int) and ref in self.strides]
        if maps and kind not in _ENDS_MAPS:
            factors = options.strides if isinstance(options, Window) else (1, 1)
            before = self.strides[maps[0]]
            self.strides[output] = (before[0] * factors[0], before[1] * factors[1])
        return output

    def operand(self, op: Operator, slot: int) -> Ref:
        """An operator's input as a value or a constant; for a tensor of signs, the signs."""
        index = op.inputs[slot]
        if self.graph.tensors[index].value is not None:
            return self._constant(index)
        return self.add(op, "sign", (index,)) if index in self.signs else index

    def _constant(self, index: int) -> str:
        if index not in self.constants:
            name = self.constants[index] = self.new_name("constant")
            self.params[name] = np.asarray(self.graph.tensors[index].value, np.float32)
        return self.constants[index]

    def kernel(self, op: Operator, *, axes: int) -> np.ndarray:
        """The second input of an operator, which must be a constant with so many axes."""
        found = self.graph.constant(op, 1)
        if found is None or found.ndim != axes:
            raise ValueError(f"has no constant kernel of {axes} axes")
        return found

    def finish(self, op: Operator, value: int) -> int:
        """Appends activation and rounding to an operator's result and assigns it to the operator's
        output tensor.

        Returns:
          The index of the value before activation and rounding.
        """
        bare = value
        activation = op.options.get("FusedActivationFunction", 0)
        if activation:
            value = self.add(op, "activate", (value,), options=activation)
        grid = grid_of(self.graph, op.outputs[0])
        if grid is not None and op.kind not in _KEEPS_GRID:
            value = self.add(op, "round", (value,), options=grid)
        last = self.steps[-1]
        assert last.output == value
        self.steps[-1] = last._replace(output=op.outputs[0])
        if value in self.strides:
            self.strides[op.outputs[0]] = self.strides.pop(value)
        return op.outputs[0] if bare == value else bare

    def unary(self, kind: str, op: Operator, *, options: Any = None) -> None:
        """Translates an operator into one step on its first input."""
        self.finish(op, self.add(op, kind, (self.operand(op, 0),), options=options))

    def sign_keeping(self, kind: str, op: Operator, *, options: Any = None) -> None:
        """The same for a step that commutes with the sign."""
        signs = op.inputs[0] in self.signs and not op.options.get("FusedActivationFunction", 0)
        if not signs:
            return self.unary(kind, op, options=options)
        self.signs.add(op.outputs[0])
        self.finish(op, self.add(op, kind, (op.inputs[0],), options=options))
        return None


_ENDS_MAPS = (
    "whole_mean",
    "reduce",
    "dense",
    "flatten",
    "reshape",
    "transpose",
    "shape",
    "softmax",
)
_KEEPS_GRID = ("MAX_POOL_2D", "RESHAPE", "SPLIT", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE")


def describe(graph: Graph, op: Operator) -> str:
    """Describes an operator in messages: its position, its kind and its output tensor."""
    return f"{op}, which makes tensor {graph.tensors[op.outputs[0]].name!r},"


def grid_of(graph: Graph, index: int) -> Grid | None:
    """The numbers that a quantized tensor can represent; None if it is not quantized."""
    tensor = graph.tensors[index]
    if tensor.quantization is None or tensor.dtype not in ("int8", "uint8", "int16"):
        return None
    limits = np.iinfo(tensor.dtype)
    scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    return Grid(scale, zero_point, int(limits.min), int(limits.max))
