"""The row of a network from a Keras model, and the description from which it is made again."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import jax

from bnnjax.layers import Options
from bnnjax.models import trace
from bnnjax.models.entry import Card, Entry
from bnnjax.port.keras.model import model_of
from bnnjax.port.keras.signs import default_options, with_signs
from bnnjax.port.keras.translate import Translation, translate
from bnnjax.port.program.entry import Build, make_entry
from bnnjax.port.program.landmarks import Taps, landmarks
from bnnjax.port.program.module import GraphNetwork
from bnnjax.port.program.preprocessing import PREPROCESSINGS


@dataclasses.dataclass(frozen=True)
class KerasBuild(Build):
    """`Entry.build` of a Keras model.

    Attributes:
      options: the default options, with the signs that most layers take of activations.
      description: from which `entry_of` makes the same network again; JSON.
    """

    options: Options
    description: str

    def __call__(
        self, *, options: Options | None = None, num_classes: int | None = None
    ) -> GraphNetwork:
        """The module. Each layer keeps its own signs unless the options change them."""
        del num_classes
        options = options or self.options
        if (options.pseudo_gradient, options.clip) == (
            self.options.pseudo_gradient,
            self.options.clip,
        ):
            return GraphNetwork(self.program, options)
        return GraphNetwork(with_signs(self.program, options.input_quantizer), options)


def entry_of(description: Mapping[str, Any], name: str) -> Entry:
    """The row of a network from the description that its `KerasBuild` holds.

    Raises:
      ValueError: it is not such a description.
    """
    try:
        return translated(description, name)[0]
    except ValueError:
        raise
    except Exception as error:  # a damaged description may break any step in any way
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"damaged description of a Keras model ({first})") from error


def translated(description: Mapping[str, Any], name: str) -> tuple[Entry, Translation]:
    """The row of a network, and the translation of its model.

    Args:
      description: "model", as ``model.to_json()`` writes it; "keras", the version, 2 or 3; and
        "preprocessing", a key of `PREPROCESSINGS`.
      name: the name of the network.

    Raises:
      ValueError: a layer that is not supported; in one line with its name.
    """
    model = model_of(description["model"])
    found = translate(model, version=description["keras"])
    taps = _taps(found)
    program = found.program.with_taps(taps.all)
    build = KerasBuild(program, default_options(found.builder.signs), json.dumps(description))
    entry = make_entry(
        name,
        build,
        found.builder,
        size=found.size,
        taps=taps,
        normalize=PREPROCESSINGS[description["preprocessing"]],
        card=_card(build, found),
    )
    return entry, found


def _card(build: KerasBuild, found: Translation) -> Card:
    latent = jax.tree.leaves(found.needed["params"])
    frozen = jax.tree.leaves(trace.frozen_shapes(build(), side=found.size))
    logits = found.program.logits
    return Card(
        num_classes=None if logits is None else found.shapes[logits][-1],
        parameters=sum(leaf.size for leaf in latent),
        mebibytes=sum(leaf.size * leaf.dtype.itemsize for leaf in frozen) / 2**20,
    )


def _taps(found: Translation) -> Taps:
    """The maps by the names of their layers."""
    image, maps = found.program.image, found.builder.strides
    named = [
        (name, int(value))
        for name, value in found.builder.names.items()
        if value in maps and value != image
    ]
    strides = {value: maps[value] for _, value in named}
    marks = landmarks(dataclasses.replace(found.builder, strides=strides), image)
    named.sort(key=lambda tap: marks.order[tap[1]])
    names: dict[int, str] = {}
    for name, value in named:
        names.setdefault(value, name)
    last = tuple(name for name, _ in named[-1:])
    content = last if marks.content is None else (names[marks.content],)
    style = tuple(name for value, name in names.items() if value in marks.style)
    return Taps(tuple(named), style or content, content)
