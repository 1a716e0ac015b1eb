"""Loads any Keras model of Larq's and Keras' layers, with taps and gradients.

The package's own layers compute those of the file, so binary kernels can be packed, and the network
has the package's speed, pseudo-gradients and options. A tap is the result of a layer that is a map,
under the layer's name.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from bnnjax import quant
from bnnjax.layers import Options, Quantized
from bnnjax.layers.options import SIGN_QUANTIZERS
from bnnjax.models import trace
from bnnjax.models.entry import Card, Entry
from bnnjax.models.forms import freeze
from bnnjax.models.network import Architecture, Network
from bnnjax.port.keras import archive
from bnnjax.port.keras.builder import KerasBuilder
from bnnjax.port.keras.h5 import Source
from bnnjax.port.keras.importer import Target
from bnnjax.port.keras.model import model_of
from bnnjax.port.keras.translate import Translation, translate
from bnnjax.port.keras.weights import match, read_variables
from bnnjax.port.program.entry import Build, make_entry
from bnnjax.port.program.landmarks import Taps, landmarks
from bnnjax.port.program.module import GraphNetwork
from bnnjax.port.program.preprocessing import PREPROCESSINGS, check
from bnnjax.port.program.program import Call, Program, Step
from bnnjax.port.storage.download import file_sha256


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
        return GraphNetwork(_with_signs(self.program, options.input_quantizer), options)


def load_keras(
    path: str | Path, *, preprocessing: str = "imagenet", frozen: bool = True
) -> Network:
    """Loads a network from a Keras model: a whole ``.h5`` file or ``.keras`` archive, or an ``.h5``
    file of weights beside the JSON of ``model.to_json()`` (``own.h5`` and ``own.json``).

    Args:
      path: the path of the file.
      preprocessing: how the model expects its pictures: "imagenet" (zero mean and unit deviation
        over ImageNet), "unit" ([0, 1]), "symmetric" ([−1, 1]) or "bytes" (0 to 255).
      frozen: whether to return packed weights, or latent floats for further training.

    Raises:
      ValueError: a layer, quantizer or activation that is not supported (the message names it), a
        damaged file, or an unknown ``preprocessing``; in one line.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    check(preprocessing)
    try:
        with archive.opened(path) as saved:
            description = {"keras": saved.version, "model": saved.config}
        description["preprocessing"] = preprocessing
        entry, found = _translated(description, Path(path).name)
        architecture = Architecture.published(entry)
        with archive.opened(path) as saved:
            variables = read_variables(saved, found, architecture.latent_shapes())
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    provenance = {
        "source": Path(path).name,
        "sha256": file_sha256(path),
        "kernels": "latent" if _are_latent(architecture, variables) else "binarized",
        "preprocessing": preprocessing,
    }
    network = Network(architecture, variables, provenance, path=str(path))
    return freeze(network) if frozen and network.form == "latent" else network


def entry_of(description: Mapping[str, Any], name: str) -> Entry:
    """The row of a network from the description that its `KerasBuild` holds.

    Raises:
      ValueError: it is not such a description.
    """
    try:
        return _translated(description, name)[0]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"damaged description of a Keras model ({error})") from None


def _translated(description: Mapping[str, Any], name: str) -> tuple[Entry, Translation]:
    model = model_of(description["model"])
    found = translate(model, version=description["keras"])
    taps = _taps(found)
    program = found.program.with_taps(taps.all)
    build = KerasBuild(program, _options(found.builder), json.dumps(description))
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
    latent, frozen = (
        jax.tree.leaves(shapes(build(), side=found.size)["params"])
        for shapes in (trace.latent_shapes, trace.frozen_shapes)
    )
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
    if not named:
        raise ValueError("has no layer whose result is a map, as style transfer needs")
    last = (named[-1][0],)
    content = last if marks.content is None else (names[marks.content],)
    style = tuple(name for value, name in names.items() if value in marks.style)
    return Taps(tuple(named), style or content, content)


def matched(network: Network, saved: archive.Saved) -> list[tuple[Target, Source]]:
    """The layers of a network that `load_keras` or `entry_of` made, and their arrays in the file.

    Raises:
      ValueError: the file holds another model.
    """
    build = network.entry.build
    assert isinstance(build, KerasBuild)
    description = json.loads(build.description)
    if saved.config != description["model"]:
        raise ValueError(f"holds another model than {network.name}")
    found = _translated(description, network.name)[1]
    architecture = network.architecture
    return match(saved, found, architecture.latent_shapes(), architecture.layers())


# --- signs ---------------------------------------------------------------------------------


def _options(builder: KerasBuilder) -> Options:
    """The options with the sign that most layers take of activations."""
    found: Counter[tuple[str, float | None]] = Counter()
    for quantizer in builder.signs:
        function = getattr(quantizer, "func", quantizer)
        for name in SIGN_QUANTIZERS:
            if quant.get(name) is function:
                found[name, getattr(quantizer, "keywords", {}).get("clip", 1.0)] += 1
    (name, clip), _ = (found.most_common(1) or [(("ste_sign", 1.0), 0)])[0]
    return Options(pseudo_gradient=name, clip=clip)


def _with_signs(program: Program, sign: quant.Quantizer) -> Program:
    """The program with another sign of activations."""
    steps, head = (
        tuple(_with_sign(step, sign) for step in part) for part in (program.steps, program.head)
    )
    return program._replace(steps=steps, head=head)


def _with_sign(step: Step, sign: quant.Quantizer) -> Step:
    if step.kind == "quantize" and quant.values(step.options) == "signs":
        return step._replace(options=sign)
    if step.kind == "layer":
        call: Call = step.options
        if quant.values(dict(call.keywords).get("input_quantizer")) == "signs":
            return step._replace(options=call.replaced(input_quantizer=sign))
    return step


def _are_latent(architecture: Architecture, variables: Mapping[str, Any]) -> bool:
    """Whether a kernel differs from what its quantizer makes of it."""
    params = trace.by_layer(variables["params"])
    return any(
        layer.kernel_quantizer is not None
        and bool((layer.kernel_quantizer(params[path]["kernel"]) != params[path]["kernel"]).any())
        for path, layer in architecture.layers().items()
        if isinstance(layer, Quantized)
    )
