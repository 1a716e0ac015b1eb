"""`load_model`, and what turns a foreign file into a network."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.port import checkpoint, quicknet_lce
from bnnjax.port.tflite_graph import Graph, read_graph

_TFLITE_READERS: dict[str, Callable[[Graph, Architecture], Variables]] = {
    "quicknet_v0": quicknet_lce.read_variables,
}


def load_model(source: str | Path) -> Network:
    """A frozen network, ready for ``network.apply(network.variables, images)``.

    Args:
      source: directory of a checkpoint (written by ``launch/port_larq.py`` or `checkpoint.save`).

    Raises:
      ValueError: there is no such checkpoint or it is damaged.
    """
    if not Path(source).exists() and str(source) in registry.REGISTRY:
        raise ValueError(
            f"the weights of {source} are not on this machine; port them with "
            f"launch/port_larq.py --model={source} and load its output directory"
        )
    if not Path(source).exists() and Path(source).name == str(source):
        registry.find(str(source))  # a bare word is a network's name: the nearest is suggested
    return checkpoint.restore(source)


def port_tflite(path: str | Path, *, model: str) -> Network:
    """A frozen network from a ``.tflite`` file of Larq Compute Engine.

    Raises:
      ValueError: unknown ``model``, no reader for it, or a file that is not this network's.
    """
    entry = registry.find(model)
    if model not in _TFLITE_READERS:
        raise ValueError(f"no .tflite reader for {model}; there is one for {list(_TFLITE_READERS)}")
    architecture = Architecture(entry, frozen=True, options=entry.options)
    graph = read_graph(path)
    try:
        variables = _TFLITE_READERS[model](graph, architecture)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    provenance = {"source": Path(path).name, "sha256": file_sha256(path), "paper": entry.paper}
    return Network(architecture, variables, provenance)


def file_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
