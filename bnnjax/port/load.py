"""`load_model`, and what turns a foreign file into a network."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.port import checkpoint, quicknet_lce
from bnnjax.port.tflite_graph import read_graph
from bnnjax.port.vgg_npz import read_vgg_npz


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


def port_file(path: str | Path, *, model: str) -> Network:
    """A frozen network from a foreign file.

    Args:
      path: a ``.tflite`` file of Larq Compute Engine (``quicknet_v0``), or the ``.npz`` archive
        that `vgg_npz` reads (``vgg19``).
      model: the network's name.

    Raises:
      ValueError: unknown ``model``, no reader for it and such a file, or not this network's file.
    """
    entry = registry.find(model)
    readers = {suffix: reader for (name, suffix), reader in _READERS.items() if name == model}
    suffix = Path(path).suffix.lower()
    if suffix not in readers:
        raise ValueError(f"{path}: {model} is read from {', '.join(readers)} files")
    architecture = Architecture(entry, frozen=True, options=entry.options)
    variables = readers[suffix](Path(path), architecture)
    provenance = {"source": Path(path).name, "sha256": file_sha256(path), "paper": entry.paper}
    return Network(architecture, variables, provenance)


def _quicknet_v0(path: Path, architecture: Architecture) -> Variables:
    graph = read_graph(path)
    try:
        return quicknet_lce.read_variables(graph, architecture)
    except (ValueError, KeyError, IndexError, TypeError) as error:  # of a damaged file, anything
        raise ValueError(f"{path}: {error}") from None


_READERS: dict[tuple[str, str], Callable[[Path, Architecture], Variables]] = {
    ("quicknet_v0", ".tflite"): _quicknet_v0,
    ("vgg19", ".npz"): lambda path, _: read_vgg_npz(path),
}


def file_sha256(path: str | Path) -> str:
    """Hexadecimal sha256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
