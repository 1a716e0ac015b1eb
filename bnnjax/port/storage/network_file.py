"""Network files: one safetensors file, ``NAME.safetensors``, per network.

A file contains the packed parameters under their paths in the tree, joined by ``/``, and a JSON
card under ``bnnjax`` in its metadata:

- ``format``: 2;
- ``network``: the name in the registry, or that of the Keras file that it was read from;
- ``keras``: for such a network, the model as `bnnjax.port.keras.network` describes it;
- ``num_classes``: the number of logits, or null for a network without its classifier;
- ``class_names``: the names in the order of the logits, or null;
- ``provenance``: where the weights come from;
- ``sha256``: the hash of each array's little-endian bytes in C order;
- ``sha256_of_this``: the hash of all the above as compact JSON with sorted keys.

Nothing is ever unpickled.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models import registry
from bnnjax.models.entry import Entry
from bnnjax.models.network import Architecture, Network
from bnnjax.port.arrays import faults
from bnnjax.port.keras.entry import KerasBuild, entry_of
from bnnjax.port.storage import atomic

FORMAT = 2
SUFFIX = ".safetensors"
CARD = "bnnjax"  # the key in the metadata
SEAL = "sha256_of_this"
_FIELDS: dict[str, Any] = {
    "format": int,
    "network": str,
    "num_classes": int | None,
    "class_names": list | None,
    "provenance": dict,
    "sha256": dict,
    SEAL: str,
}


def save(network: Network, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a packed network atomically.

    Args:
      network: a frozen network of the registry, or from a Keras model.
      path: the path of the file; ``.safetensors`` is appended if missing.
      overwrite: whether to replace an existing network file. Other files never are.

    Returns:
      The path of the file.

    Raises:
      ValueError: the network is latent or from a ``.tflite`` file (load it from that file), its
        ``class_names`` do not match its logits, or `target` rejects the path.
    """
    path = target(path, overwrite=overwrite)
    if not network.frozen:
        raise ValueError("the network is latent; freeze it before saving (bnnjax.freeze)")
    if not (network.entry.name in registry.REGISTRY or _description(network)):
        raise ValueError(f"{network.entry.name} is not in the registry; load its own file instead")
    _check_names(network.class_names, network.architecture.num_classes)
    params = flatten_dict(jax.device_get(network.variables["params"]), sep="/")
    # safetensors writes the underlying buffers, ignoring strides.
    arrays = {name: np.asarray(value, order="C") for name, value in params.items()}
    metadata = {CARD: json.dumps(_card(network, arrays))}
    atomic.write(path, safetensors.numpy.save(arrays, metadata))
    return path


def restore(path: str | Path) -> Network:
    """Reads a network that `save` wrote and checks every array.

    Raises:
      ValueError: the file does not exist or is of another kind; or, in one error, all arrays that
        are missing, left over, of the wrong shape or dtype, or changed.
    """
    path = with_suffix(path)
    metadata, arrays = _read(path)
    card = _checked_card(path, metadata)
    try:
        entry = _entry(card)
        _check_names(card["class_names"], card["num_classes"])
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    architecture = Architecture(entry, entry.options, card["num_classes"])
    shapes = flatten_dict(architecture.frozen_shapes()["params"], sep="/")
    if found := _faults(arrays, card["sha256"], shapes):
        raise ValueError(f"{path}: damaged file of {entry.name}:\n  " + "\n  ".join(found))
    variables = {"params": unflatten_dict(arrays, sep="/")}
    names = card["class_names"] and tuple(card["class_names"])
    return Network(architecture, variables, card["provenance"], path=str(path), class_names=names)


def with_suffix(path: str | Path) -> Path:
    """The path with ``~`` expanded and ``.safetensors`` at its end."""
    path = Path(os.path.expanduser(path))
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def target(path: str | Path, *, overwrite: bool = False) -> Path:
    """The path that `save` would write to.

    Raises:
      ValueError: it is a directory or a file of another kind, or it exists and ``overwrite`` is
        False.
    """
    path = with_suffix(path)
    kind = "a network file of bnnjax"
    atomic.check_target(path, overwrite=overwrite, kind=kind, is_ours=is_network_file)
    return path


def is_network_file(path: str | Path) -> bool:
    """Whether a file claims to be a network file; its arrays are not read."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            return CARD in (file.metadata() or {})
    except (OSError, safetensors.SafetensorError):
        return False


def _card(network: Network, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    card = {
        "format": FORMAT,
        "network": network.entry.name,
        "num_classes": network.architecture.num_classes,
        "class_names": network.class_names and list(network.class_names),
        "provenance": dict(network.provenance),
        "sha256": {name: _sha256(array) for name, array in sorted(arrays.items())},
    }
    if description := _description(network):
        card["keras"] = json.loads(description)
    return {**card, SEAL: _seal(card)}


def _description(network: Network) -> str | None:
    """The description of a network from a Keras model; None for any other."""
    build = network.entry.build
    return build.description if isinstance(build, KerasBuild) else None


def _entry(card: Mapping[str, Any]) -> Entry:
    if "keras" in card:
        return entry_of(card["keras"], card["network"])
    return registry.find(card["network"])


def _seal(card: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in card.items() if name != SEAL}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()


def _check_names(names: Any, count: int | None) -> None:
    if names is not None and (len(names) != count or not all(isinstance(n, str) for n in names)):
        raise ValueError(f"there are {len(names)} class names for {count or 0} classes")


def _read(path: Path) -> tuple[Mapping[str, str], dict[str, np.ndarray]]:
    try:
        with safetensors.safe_open(path, framework="np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return file.metadata() or {}, arrays
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    except (safetensors.SafetensorError, TypeError, ValueError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{path}: damaged or not a safetensors file ({first})") from None


def _checked_card(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if CARD not in metadata:
        raise ValueError(f"{path}: a safetensors file, but not one of bnnjax (its card is missing)")
    try:
        card = json.loads(metadata[CARD])
    except ValueError as error:
        raise ValueError(f"{path}: damaged card ({error})") from None
    if isinstance(card, dict) and card.get("format", FORMAT) != FORMAT:
        raise ValueError(f"{path}: has format {card['format']}; this version reads {FORMAT}")
    for name, kind in _FIELDS.items():
        if not isinstance(card, dict) or name not in card or not isinstance(card[name], kind):
            raise ValueError(f"{path}: damaged card, {name!r} is missing or of the wrong type")
    if card[SEAL] != _seal(card):
        raise ValueError(f"{path}: damaged card, its contents do not match its own sha256")
    return card


def _faults(
    arrays: Mapping[str, np.ndarray], sums: Mapping[str, str], shapes: Mapping[str, Any]
) -> list[str]:
    changed = [name for name in arrays if sums.get(name) != _sha256(arrays[name])]
    return faults(arrays, shapes) + [
        f"{name}: does not match its sha256 in the card" for name in changed if name in shapes
    ]
