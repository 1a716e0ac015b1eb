"""A network that was read from a ``.tflite`` file, as static steps; and a graph on its way there,
which the handlers of `bnnjax.port.graph_translate` take further operator by operator."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from bnnjax.port.tflite_graph import Graph, Operator

Params = dict[str, Any]
Ref = int | str  # a value's number, or the name of a constant among the variables


class Step(NamedTuple):
    """One step: the values that it reads, the one that it makes, and how. A little less than an
    operator of the file: a binary convolution, its activation and its batch norm are three.

    ``name`` is that of its weights, if it has any, and ``where`` its place in the file.
    """

    kind: str
    name: str
    inputs: tuple[Ref, ...]
    output: int
    options: Any  # hashable
    where: str


class Window(NamedTuple):
    """The window of a convolution or a pool; of a pool ``features`` is 0."""

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: str
    dilations: tuple[int, int] = (1, 1)
    features: int = 0
    groups: int = 1
    pad_value: int = 0
    use_bias: bool = False


class Grid(NamedTuple):
    """The numbers that a tensor of ``scale · (q − zero_point)`` can hold, low ≤ q ≤ high."""

    scale: float
    zero_point: int
    low: int
    high: int


class Cut(NamedTuple):
    """STRIDED_SLICE: begin, end and stride an axis, and the masks of TensorFlow."""

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]
    begin_mask: int = 0
    end_mask: int = 0
    shrink_mask: int = 0


class Program(NamedTuple):
    """The static half of a network that was read from a file; hashable.

    Attributes:
      steps: in order of execution.
      constants: names and shapes of the constants that are no layer's.
      image: the number of the value that the picture is.
      logits: that of the logits, None of a network that ends in a map.
      taps: names and the values that they show.
    """

    steps: tuple[Step, ...]
    constants: tuple[tuple[str, tuple[int, ...]], ...]
    image: int
    logits: int | None
    taps: tuple[tuple[str, int], ...] = ()


@dataclasses.dataclass
class Translation:
    """A graph on its way into steps; what the handlers of the operators share.

    Values have the numbers of the graph's tensors; those that no tensor stands for follow. A
    tensor of signs, packed or not, is carried as what its signs are taken of: max-pools give the
    same before as after, and the gradient is that of the network as it was trained.

    Attributes:
      strides: of the values that are maps, in pixels of the picture.
      signs: values whose signs are meant.
      signed: of those that an operator of its own takes, the tensors that it takes them of.
      params: the weights by the names of their steps.
      roles: maps to be tapped: ("stem", "conv", "add" or "concat", value).
      first_signs: what the first binary convolution takes the signs of.
    """

    graph: Graph
    steps: list[Step] = dataclasses.field(default_factory=list)
    params: Params = dataclasses.field(default_factory=dict)
    constants: dict[int, str] = dataclasses.field(default_factory=dict)
    strides: dict[int, tuple[int, int]] = dataclasses.field(default_factory=dict)
    signs: set[int] = dataclasses.field(default_factory=set)
    signed: dict[int, int] = dataclasses.field(default_factory=dict)
    roles: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    first_signs: int | None = None
    values: int = 0
    counts: dict[str, int] = dataclasses.field(default_factory=dict)

    def new_value(self) -> int:
        """The number of a value that no tensor of the file stands for."""
        self.values += 1
        return len(self.graph.tensors) + self.values - 1

    def new_name(self, kind: str) -> str:
        """conv1, conv2 …: a name for the next weights of a kind."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}{self.counts[kind]}"

    def add(self, op: Operator, kind: str, inputs: tuple[Ref, ...], **how: Any) -> int:
        """Appends a step that makes ``output`` (by default a new value), and returns that."""
        output = how.get("output")
        output = self.new_value() if output is None else output
        options = how.get("options")
        where = place(self.graph, op)
        self.steps.append(Step(kind, how.get("name", ""), inputs, output, options, where))
        maps = [ref for ref in inputs if isinstance(ref, int) and ref in self.strides]
        if maps and kind not in _ENDS_MAPS:
            down = options.strides if isinstance(options, Window) else (1, 1)
            at = self.strides[maps[0]]
            self.strides[output] = (at[0] * down[0], at[1] * down[1])
        return output

    def tap(self, role: str, value: int) -> None:
        """Marks a value to be shown, if it is a map."""
        if value in self.strides:
            self.roles.append((role, value))

    def operand(self, op: Operator, slot: int) -> Ref:
        """An operator's input as a value or constant; signs as signs."""
        index = op.inputs[slot]
        if self.graph.tensors[index].value is not None:
            return self._constant(index)
        return self.add(op, "sign", (index,)) if index in self.signs else index

    def _constant(self, index: int) -> str:
        if index not in self.constants:
            name = self.constants[index] = self.new_name("constant")
            self.params[name] = np.asarray(self.graph.tensors[index].value, np.float32)
        return self.constants[index]

    def finish(self, op: Operator, value: int) -> int:
        """Activation and rounding of an operator's result, which becomes its output tensor.

        Returns the number that the result has before both.
        """
        bare = value
        activation = op.options.get("FusedActivationFunction", 0)
        if activation:
            value = self.add(op, "activate", (value,), options=activation)
        grid = grid_of(self.graph, op.outputs[0])
        if grid is not None and op.kind not in _KEEP_GRID:
            value = self.add(op, "round", (value,), options=grid)
        last = self.steps[-1]
        assert last.output == value
        self.steps[-1] = last._replace(output=op.outputs[0])
        if value in self.strides:
            self.strides[op.outputs[0]] = self.strides.pop(value)
        return op.outputs[0] if bare == value else bare

    def one(self, kind: str, op: Operator, *, options: Any = None) -> None:
        """An operator that is one step of its first input."""
        self.finish(op, self.add(op, kind, (self.operand(op, 0),), options=options))

    def sign_keeping(self, kind: str, op: Operator, *, options: Any = None) -> None:
        """The same for a step that gives the same before as after taking signs."""
        signs = op.inputs[0] in self.signs and not op.options.get("FusedActivationFunction", 0)
        if not signs:
            return self.one(kind, op, options=options)
        self.signs.add(op.outputs[0])
        self.finish(op, self.add(op, kind, (op.inputs[0],), options=options))
        return None


_ENDS_MAPS = ("whole_mean", "mean", "dense", "reshape", "transpose", "shape", "softmax")
_KEEP_GRID = ("MAX_POOL_2D", "RESHAPE", "SPLIT", "SQUEEZE", "STRIDED_SLICE", "TRANSPOSE")


def place(graph: Graph, op: Operator) -> str:
    """Where an operator stands, for messages."""
    return f"{op}, which makes tensor {graph.tensors[op.outputs[0]].name!r},"


def grid_of(graph: Graph, index: int) -> Grid | None:
    """The numbers that a quantized tensor can hold; None of one that is not quantized."""
    tensor = graph.tensors[index]
    if tensor.quantization is None or tensor.dtype not in ("int8", "uint8", "int16"):
        return None
    limits = np.iinfo(tensor.dtype)
    scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zero_point[0]
    return Grid(scale, zero_point, int(limits.min), int(limits.max))
