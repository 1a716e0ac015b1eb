"""A Keras model as its file describes it: layers, their configuration, and their names."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a layer is in a model: its name, and that of its folder in a ``.keras`` archive."""

    name: str
    folder: str


class Layer(NamedTuple):
    """A layer of a model.

    Attributes:
      kind: its class in Keras or Larq.
      config: its arguments.
      source: its place, after those of the models that contain it.
      calls: its calls in a functional model, see `bnnjax.port.keras.connect`.
    """

    kind: str
    config: Mapping[str, Any]
    source: tuple[Place, ...]
    calls: Sequence[Any] = ()

    @property
    def name(self) -> str:
        """Its name; that of a layer in a model within the model is preceded by the latter's."""
        return ".".join(place.name.replace("/", ".") for place in self.source)

    @property
    def is_model(self) -> bool:
        """Whether it is a model of layers."""
        return "layers" in self.config

    def __str__(self) -> str:
        return f"layer {self.name!r} ({self.kind})"


def layers_of(model: Layer) -> Iterator[Layer]:
    """The layers of a model, in the order of the file."""
    folders: Counter[str] = Counter()
    for each in model.config["layers"]:
        kind = str(each["class_name"]).split(">")[-1]
        folder = _snake_case(kind)
        number = folders[folder]
        folders[folder] += 1
        config = each.get("config") or {}
        place = Place(
            str(each.get("name") or config.get("name")), f"{folder}_{number}" if number else folder
        )
        yield Layer(kind, config, (*model.source, place), each.get("inbound_nodes") or ())


def _snake_case(name: str) -> str:
    """``keras.src.saving.saving_lib.to_snake_case``."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def model_of(config: Mapping[str, Any]) -> Layer:
    """The outermost model of a configuration as ``model.to_json()`` writes it.

    Raises:
      ValueError: it describes no model.
    """
    inner = config.get("config")
    if isinstance(inner, list):  # a Sequential of Keras before 2.2.3
        inner = {"name": "sequential", "layers": inner}
    if not isinstance(inner, Mapping) or "layers" not in inner:
        raise ValueError(
            f"describes no Sequential or Functional model but a {config.get('class_name')!r}"
        )
    return Layer(str(config.get("class_name")), inner, ())


def input_shape(model: Layer) -> tuple[int | None, ...] | None:
    """The shape [N, …] of the only input of a model; None if it is not stated.

    Raises:
      ValueError: it has several inputs.
    """
    inputs = [layer for layer in layers_of(model) if layer.kind == "InputLayer"]
    if len(inputs) > 1:
        names = ", ".join(repr(layer.name) for layer in inputs)
        raise ValueError(f"takes {len(inputs)} inputs ({names}), needs a single one, a picture")
    first = inputs or [next(layers_of(model))]
    shapes = [
        shape
        for config in (first[0].config, model.config)
        for key in ("batch_input_shape", "batch_shape", "build_input_shape")
        if (shape := config.get(key))
    ]
    if shapes:
        return tuple(shapes[0])
    return input_shape(first[0]) if first[0].is_model else None
