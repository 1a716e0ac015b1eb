"""Follows the connections of a Keras model and lets a handler translate each call of a layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bnnjax.port.keras.builder import KerasBuilder, Value
from bnnjax.port.keras.model import Layer, layers_of
from bnnjax.port.keras.notation import Tensor, listed, read_call, replaced, tensors_in

Handlers = Mapping[str, Callable[..., Any]]


def connect(
    builder: KerasBuilder, handlers: Handlers, model: Layer, inputs: Sequence[Value]
) -> list[Value]:
    """Translates the layers of a model, of which some may be models.

    Args:
      builder: receives the steps.
      handlers: by the class of a layer; each takes the builder, the layer and the arguments of the
        call, and returns one value or several.
      model: the model.
      inputs: the values of its inputs.

    Returns:
      The values of its outputs.

    Raises:
      ValueError: a layer that is not supported, or not in this way; in one line with its name.
    """
    if "input_layers" not in model.config:
        values = list(inputs)
        for layer in layers_of(model):
            if layer.kind != "InputLayer":
                values = _translate(builder, handlers, layer, values, {})
        return values
    return _functional(builder, handlers, model, inputs)


def _functional(
    builder: KerasBuilder, handlers: Handlers, model: Layer, inputs: Sequence[Value]
) -> list[Value]:
    layers = {layer.source[-1].name: layer for layer in layers_of(model)}
    calls = [
        read_call(layer, *each) for layer in layers.values() for each in enumerate(layer.calls)
    ]
    outputs = [Tensor(*each[:3]) for each in listed(model.config["output_layers"])]
    used = [tensor for call in calls for tensor in tensors_in([call.arguments, call.keywords])]
    # The first call of a model is the one that made it, which is not in the file.
    first = {
        name: min((tensor.call for tensor in used + outputs if tensor.layer == name), default=0)
        for name in layers
    }
    starts = [Tensor(*each[:3]) for each in listed(model.config["input_layers"])]
    found = {
        (start.layer, start.call): [value] for start, value in zip(starts, inputs, strict=True)
    }

    def value_of(tensor: Tensor) -> Value:
        return found[tensor.layer, tensor.call][tensor.place]

    waiting = calls
    while waiting:
        later = []
        for call in waiting:
            tensors = tensors_in([call.arguments, call.keywords])
            if not all((tensor.layer, tensor.call) in found for tensor in tensors):
                later.append(call)
                continue
            number = first[call.layer.source[-1].name] + call.number
            found[call.layer.source[-1].name, number] = _translate(
                builder,
                handlers,
                call.layer,
                replaced(call.arguments, value_of),
                replaced(call.keywords, value_of),
            )
        if len(later) == len(waiting):
            raise ValueError(f"{later[0].layer} takes a result that no layer of the file computes")
        waiting = later
    return [value_of(tensor) for tensor in outputs]


def _translate(
    builder: KerasBuilder,
    handlers: Handlers,
    layer: Layer,
    arguments: list[Any],
    keywords: Mapping[str, Any],
) -> list[Value]:
    if layer.is_model:
        results = connect(builder, handlers, layer, arguments)
    else:
        results = _handled(builder, handlers, layer, arguments, keywords)
    for place, value in enumerate(results):
        _name(builder, layer.name if place == 0 else f"{layer.name}:{place}", value)
    return results


def _handled(
    builder: KerasBuilder,
    handlers: Handlers,
    layer: Layer,
    arguments: list[Any],
    keywords: Mapping[str, Any],
) -> list[Value]:
    try:
        if layer.kind not in handlers:
            raise ValueError(_unknown(layer.kind))
        if layer.config.get("data_format") == "channels_first":
            raise ValueError("has its channels first; only channels_last is read")
        if keywords.get("training"):
            raise ValueError("is called with training=True, as in no other network here")
        given = {name: value for name, value in keywords.items() if name not in IGNORED}
        result = handlers[layer.kind](builder, layer, *arguments, **given)
    except KeyError as error:
        raise ValueError(f"{layer}: the file lacks its {error}") from None
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{layer}: {first}") from None
    return list(result) if isinstance(result, list | tuple) else [result]


IGNORED = ("training", "mask", "name")


def _unknown(kind: str) -> str:
    if kind == "Lambda":
        return "holds Python code, which is not read; replace it by layers and save again"
    return "is not supported; docs/from_larq.md lists the layers that are"


def _name(builder: KerasBuilder, name: str, value: Value) -> None:
    """Names a value after its layer; those of later calls are numbered from 2."""
    unique, number = name, 2
    while unique in builder.names:
        unique, number = f"{name}@{number}", number + 1
    builder.names[unique] = value
