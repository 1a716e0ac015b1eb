"""The builder with which the handlers of Keras' layers extend a `Program`."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from bnnjax import quant
from bnnjax.port.keras.handlers import activations
from bnnjax.port.keras.model import Layer, Place
from bnnjax.port.program.builder import ProgramBuilder
from bnnjax.port.program.program import Call, Ref, Step

Factors = tuple[Fraction | int, Fraction | int]  # of the strides, down and across


Layout = Callable[[Any, Sequence[int]], Any]


UNUSED = "unused"  # the collection of arrays that no result depends on


class Value(int):
    """The number of a value; any other integer is a constant of the file."""


class Target(NamedTuple):
    """Where an array of a file belongs: the collection, and its path there."""

    collection: str
    path: tuple[str, ...]


@dataclasses.dataclass
class KerasBuilder(ProgramBuilder):
    """The steps so far, and the names and weights of the layers that they compute.

    Attributes:
      version: of Keras, 2 or 3.
      names: the results of layers by the layers' names, in the order of execution.
      arrays: the arrays that each layer needs, by Keras' names and in Keras' order.
      owners: the layers with weights by their names.
      layouts: for a kernel that the file lays out in another way, a function that converts it,
        given the shape of the layer's input; and that input.
      signs: the signs that are taken of activations.
      values: the number of values.
    """

    version: int = 2
    names: dict[str, Value] = dataclasses.field(default_factory=dict)
    arrays: dict[tuple[Place, ...], dict[str, Target]] = dataclasses.field(default_factory=dict)
    owners: dict[str, tuple[Place, ...]] = dataclasses.field(default_factory=dict)
    layouts: dict[tuple[Place, ...], tuple[Layout, Value]] = dataclasses.field(default_factory=dict)
    signs: list[quant.Quantizer] = dataclasses.field(default_factory=list)
    values: int = 0

    def new_value(self) -> Value:
        """The number of the next value."""
        self.values += 1
        return Value(self.values - 1)

    def add(
        self,
        layer: Layer,
        kind: str,
        *inputs: Ref,
        options: Any = None,
        name: str = "",
        factors: Factors | None = (1, 1),
    ) -> Value:
        """Appends a step and returns its value.

        ``factors`` multiply the strides of its first input that is a map; the value of a step
        without factors is not a map.
        """
        output = self.new_value()
        self.steps.append(Step(kind, name, inputs, output, options, str(layer)))
        maps = [ref for ref in inputs if isinstance(ref, Value) and ref in self.strides]
        if maps and factors:
            down, across = self.strides[maps[0]]
            self.strides[output] = (down * factors[0], across * factors[1])
        return output

    def call(
        self,
        layer: Layer,
        function: Callable[..., Any],
        *inputs: Ref,
        factors: Factors | None = (1, 1),
        **keywords: Any,
    ) -> Value:
        """Appends the step that calls a function."""
        return self.add(
            layer, "call", *inputs, options=Call.of(function, **keywords), factors=factors
        )

    def weighted(
        self,
        layer: Layer,
        x: Value,
        call: Call,
        arrays: Mapping[str, str],
        *,
        factors: Factors | None = (1, 1),
    ) -> Value:
        """Appends the layer that ``call`` makes.

        ``arrays`` holds Keras' names of its parameters and their paths below the layer.

        Raises:
          ValueError: an invalid argument.
        """
        call()  # which checks the arguments
        self.hold(layer, arrays)
        return self.add(layer, "layer", x, options=call, name=layer.name, factors=factors)

    def hold(self, layer: Layer, arrays: Mapping[str, str], collection: str = "params") -> None:
        """Notes that the file has these arrays of a layer, as in `weighted`."""
        if self.owners.setdefault(layer.name, layer.source) != layer.source:
            raise ValueError("has the same name as another layer")
        targets = {
            keras: Target(collection, (layer.name, *path.split("/")))
            for keras, path in arrays.items()
        }
        self.arrays.setdefault(layer.source, {}).update(targets)

    def quantize(self, layer: Layer, quantizer: quant.Quantizer, x: Value) -> Value:
        """Appends the quantizer of an activation."""
        self.note_signs(quantizer, x)
        return self.add(layer, "quantize", x, options=quantizer)

    def note_signs(self, quantizer: quant.Quantizer | None, x: Value) -> None:
        """Notes that signs are taken of a value, if the quantizer takes signs."""
        if quantizer is not None and quant.values(quantizer) != "levels":
            if self.first_signs is None:
                self.first_signs = x
            self.signs.append(quantizer)

    def activate(self, layer: Layer, x: Value) -> Value:
        """Appends the layer's ``activation``."""
        function = activations.find(layer.config.get("activation"), version=self.version)
        if function is None:
            return x
        if isinstance(function, Call):
            return self.add(layer, "call", x, options=function)
        return self.quantize(layer, function, x)
