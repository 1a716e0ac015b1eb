"""How a file states the calls of layers and their tensors, in Keras 2 and in Keras 3."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bnnjax.port.keras.model import Layer


class Tensor(NamedTuple):
    """A result in a file: the layer's name, the number of the call, and the place in its result."""

    layer: str
    call: int
    place: int


class Call(NamedTuple):
    """A call of a layer with tensors and constants."""

    layer: Layer
    number: int
    arguments: list[Any]
    keywords: dict[str, Any]


def read_call(layer: Layer, number: int, node: Any) -> Call:
    """A call in the notation of Keras 3, a dict, or in that of Keras 2, a list."""
    if isinstance(node, Mapping):
        arguments = [_read(value) for value in node.get("args", ())]
        keywords = {name: _read(value) for name, value in node.get("kwargs", {}).items()}
        return Call(layer, number, _flat(arguments), keywords)
    operands = [node] if node and isinstance(node[0], str) else node
    arguments = [_operand(each) for each in operands]
    keywords = operands[0][3] if operands and len(operands[0]) > 3 else {}
    return Call(layer, number, arguments, {name: _read(value) for name, value in keywords.items()})


def _operand(stated: Sequence[Any]) -> Any:
    name, call, place = stated[:3]
    return place if name == "_CONSTANT_VALUE" else Tensor(name, call, place)


def _read(stated: Any) -> Any:
    """An argument with its tensors, of which both notations may be nested in lists."""
    if isinstance(stated, Mapping) and stated.get("class_name") == "__keras_tensor__":
        return Tensor(*stated["config"]["keras_history"])
    if isinstance(stated, list):
        kinds = [type(each) for each in stated]
        if kinds[:1] == [str] and kinds[1:2] == [int] and len(stated) == 3:
            return _operand(stated)
        return [_read(each) for each in stated]
    return stated


def _flat(arguments: list[Any]) -> list[Any]:
    """The arguments with lists of tensors opened."""
    opened = []
    for each in arguments:
        opened += each if isinstance(each, list) and tensors_in(each) else [each]
    return opened


def tensors_in(nested: Any) -> list[Tensor]:
    if isinstance(nested, Tensor):
        return [nested]
    if isinstance(nested, Mapping):
        nested = list(nested.values())
    return [t for each in nested for t in tensors_in(each)] if isinstance(nested, list) else []


def replaced(nested: Any, value_of: Callable[[Tensor], int]) -> Any:
    if isinstance(nested, Tensor):
        return value_of(nested)
    if isinstance(nested, Mapping):
        return {name: replaced(each, value_of) for name, each in nested.items()}
    return [replaced(each, value_of) for each in nested] if isinstance(nested, list) else nested


def listed(tensors: Any) -> list[Any]:
    """The inputs or outputs of a model, which Keras 3 does not put into a list if there is one."""
    if isinstance(tensors, Mapping):
        return list(tensors.values())
    return [tensors] if tensors and isinstance(tensors[0], str) else tensors
