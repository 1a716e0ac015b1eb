"""A graph of operators that is still being made, and can be changed."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from bnnjax.binary import bits
from bnnjax.port.tflite.graph import Graph, Operator, Tensor

Shape = tuple[int, ...]
PACKED = ("LceQuantize", "LceBMaxPool2d")  # operators that return words of 32 signs
TESTS = ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL")
LOGICAL = (*TESTS, "LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT")  # operators that return bools


@dataclasses.dataclass(eq=False)
class Node:
    """An operator with a single output; ``inputs`` are values, or −1 for one that is left out."""

    kind: str
    inputs: list[int]
    output: int
    options: dict[str, Any]

    @property
    def packed(self) -> bool:
        """Whether it returns words of 32 signs."""
        thresholds = self.kind == "LceBconv2d" and self.inputs[4] >= 0
        return thresholds or self.kind in PACKED


class Draft:
    """Operators and constants; both have values, which are numbered.

    Attributes:
      nodes: the operators, in no particular order.
      shapes: the shapes of all values. A packed value has that of its signs.
      constants: the constants by their values.
      image: the value of the picture.
      output: the value that the graph returns.
    """

    def __init__(self, image: Shape) -> None:
        self.nodes: list[Node] = []
        self.shapes: dict[int, Shape] = {0: image}
        self.constants: dict[int, np.ndarray] = {}
        self.image = self.output = 0
        self._makers: dict[int, Node] = {}

    def constant(self, value: Any) -> int:
        """A new constant: float32, int32 or bool."""
        array = np.asarray(value)
        wide = {"f": np.float32, "i": np.int32, "b": np.bool_}[array.dtype.kind]
        new = len(self.shapes)
        self.shapes[new], self.constants[new] = array.shape, array.astype(wide)
        return new

    def add(self, kind: str, inputs: Sequence[int], shape: Shape, **options: Any) -> int:
        """Adds an operator and returns the value that it makes."""
        new = len(self.shapes)
        self.shapes[new] = shape
        self.keep(Node(kind, list(inputs), new, options))
        return new

    def keep(self, node: Node) -> None:
        """Adds a node that makes a value of known shape."""
        self.nodes.append(node)
        self._makers[node.output] = node

    def remove(self, node: Node) -> None:
        self.nodes.remove(node)
        if self._makers.get(node.output) is node:
            del self._makers[node.output]

    def maker(self, value: int) -> Node | None:
        """The operator that makes a value; None for the picture and constants."""
        return self._makers.get(value)

    def only_for(self, node: Node, slot: int = 0) -> Node | None:
        """The operator that makes an input of a node, if nothing else reads that input."""
        value = node.inputs[slot]
        reads = sum(each.inputs.count(value) for each in self.nodes) + (value == self.output)
        return self.maker(value) if reads == 1 else None

    def replace(self, value: int, by: int) -> None:
        """Lets all readers of a value read another one."""
        for node in self.nodes:
            node.inputs = [by if each == value else each for each in node.inputs]
        self.output = by if self.output == value else self.output

    def absorb(self, node: Node, into: Node) -> None:
        """Removes a node; ``into``, which made its input, makes its output instead."""
        self.remove(node)
        self.remove(into)
        into.output = node.output
        self.keep(into)

    def prune(self) -> None:
        """Removes what the output does not need."""
        self.nodes = self._ordered()
        self._makers = {node.output: node for node in self.nodes}

    def graph(self) -> Graph:
        """The graph of what the output needs, in order of execution."""
        order, numbers = self._ordered(), {self.image: 0}
        tensors = [Tensor("image", self.shapes[self.image], None)]
        for node in order:
            for value in (*node.inputs, node.output):
                if value >= 0 and value not in numbers:
                    numbers[value] = len(tensors)
                    tensors.append(self._tensor(value))
        operators = (
            Operator(
                position,
                node.kind,
                tuple(numbers[value] if value >= 0 else -1 for value in node.inputs),
                (numbers[node.output],),
                node.options,
            )
            for position, node in enumerate(order)
        )
        return Graph(tuple(tensors), tuple(operators), (0,), (numbers[self.output],))

    def _tensor(self, value: int) -> Tensor:
        maker, shape = self.maker(value), self.shapes[value]
        if value in self.constants:
            constant = self.constants[value]
            return Tensor(f"constant{value}", shape, constant, constant.dtype.name)
        if maker is not None and maker.packed:
            return Tensor(f"signs{value}", (*shape[:-1], bits.words_for(shape[-1])), None, "int32")
        if maker is not None and maker.kind in LOGICAL:
            return Tensor(f"truth{value}", shape, None, "bool")
        return Tensor("output" if value == self.output else f"value{value}", shape, None)

    def _ordered(self) -> list[Node]:
        """The nodes that the output needs, each after those whose results it reads."""
        order: list[Node] = []
        found, waiting = set(), [(self.output, False)]
        while waiting:
            value, ready = waiting.pop()
            node = self.maker(value)
            if node is None or (value in found and not ready):
                continue
            if ready:
                order.append(node)
                continue
            found.add(value)
            waiting.append((value, True))
            waiting += [(each, False) for each in reversed(node.inputs)]
        return order
