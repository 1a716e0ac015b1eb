"""Our own network files: a directory with ``bnnjax.json`` and an Orbax tree of packed arrays.

``bnnjax.json`` holds the format's version, the network's name and number of classes, the provenance
of the weights, the sha256 of every array (of its little-endian bytes in C order), and the sha256 of
all this (as compact JSON with sorted keys). Nothing is ever unpickled.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network

FORMAT = 1
CARD = "bnnjax.json"
ARRAYS = "arrays"
SEAL = "sha256_of_this"


def save(network: Network, directory: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a frozen network; the directory appears whole or not at all.

    Raises:
      ValueError: the network is not frozen or not one of the registry (what was read from a
        ``.tflite`` file stays in it), or the directory exists and ``overwrite`` is False.
    """
    directory = Path(os.path.expanduser(directory)).absolute()
    if not network.frozen:
        raise ValueError("the network is latent; freeze it before saving (bnnjax.freeze)")
    if network.entry.name not in registry.REGISTRY:
        raise ValueError(f"{network.entry.name} has no checkpoint; load the file itself")
    if directory.exists() and not overwrite:
        raise ValueError(f"{directory} exists; choose another directory or allow overwriting")
    arrays = _flat(jax.device_get(network.variables["params"]))
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as parent:
        draft = Path(parent, "new")
        draft.mkdir()
        _write_arrays(draft / ARRAYS, arrays)
        draft.joinpath(CARD).write_text(json.dumps(_card(network, arrays), indent=2) + "\n")
        if directory.exists():
            directory.rename(Path(parent, "old"))  # a kill between two renames is unlikely
        draft.rename(directory)
    return directory


def restore(directory: str | Path) -> Network:
    """Reads a network that `save` wrote, and checks every array of it.

    Raises:
      ValueError: lists all that is missing, left over, of the wrong shape or type, or changed.
    """
    given = os.path.expanduser(directory)
    directory = Path(given).absolute()
    card = _read_card(directory)
    try:
        entry = registry.find(card["network"])
    except ValueError as error:
        raise ValueError(f"{directory}: {error}") from None
    architecture = Architecture(entry, entry.options, card.get("classes"))
    arrays = _read_arrays(directory / ARRAYS)
    faults = _faults(arrays, card["sha256"], _flat(architecture.frozen_shapes()["params"]))
    if faults:
        raise ValueError(
            f"{directory}: damaged checkpoint of {entry.name}:\n  " + "\n  ".join(faults)
        )
    variables = {"params": unflatten_dict(arrays, sep="/")}
    return Network(architecture, variables, card["provenance"], given)


def _flat(tree: Mapping[str, Any]) -> dict[str, Any]:
    return flatten_dict(tree, sep="/")


def is_checkpoint(directory: str | Path) -> bool:
    """Whether there is a checkpoint, in whatever state."""
    return Path(directory, CARD).exists()


def _card(network: Network, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    card = {
        "format": FORMAT,
        "network": network.entry.name,
        "classes": network.architecture.num_classes,
        "provenance": dict(network.provenance),
        "sha256": {name: _sha256(array) for name, array in sorted(arrays.items())},
    }
    return {**card, SEAL: _seal(card)}


def _seal(card: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in card.items() if name != SEAL}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _sha256(array: np.ndarray) -> str:
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return hashlib.sha256(little.tobytes()).hexdigest()


def _read_card(directory: Path) -> dict[str, Any]:
    path = directory / CARD
    try:
        card = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(
            f"{directory}: not a bnnjax checkpoint ({CARD}: {error.strerror})"
        ) from None
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error})") from None
    fields = {"format": int, "network": str, "provenance": dict, "sha256": dict, SEAL: str}
    for name, kind in fields.items():
        if not isinstance(card, dict) or not isinstance(card.get(name), kind):
            raise ValueError(f"{path}: damaged, field {name!r} is missing or of the wrong type")
    if card["format"] != FORMAT:
        raise ValueError(f"{path}: format {card['format']}, this version reads {FORMAT}")
    if card[SEAL] != _seal(card):
        raise ValueError(f"{path}: damaged, its contents are not those of its own sha256")
    return card


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    import orbax.checkpoint as ocp  # takes a second to import

    with ocp.PyTreeCheckpointer() as checkpointer:
        checkpointer.save(path, unflatten_dict(dict(arrays), sep="/"))
    # Holds the path that was written to, which is nobody's business; nothing reads it.
    path.joinpath("commit_success.txt").unlink(missing_ok=True)


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    import orbax.checkpoint as ocp

    try:
        with ocp.PyTreeCheckpointer() as checkpointer:
            tree = checkpointer.metadata(path).item_metadata.tree
            arguments = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), tree)
            return _flat(checkpointer.restore(path, restore_args=arguments))
    except Exception as error:  # Orbax and TensorStore raise many kinds; all mean the same here
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{path}: damaged or missing arrays ({first[:200]})") from error


def _faults(
    arrays: Mapping[str, np.ndarray], sums: Mapping[str, str], shapes: Mapping[str, Any]
) -> list[str]:
    faults = [f"missing: {name}" for name in sorted(shapes.keys() - arrays.keys())]
    faults += [f"left over: {name}" for name in sorted(arrays.keys() - shapes.keys())]
    for name in sorted(arrays.keys() & shapes.keys()):
        found, needed = arrays[name], shapes[name]
        if (found.shape, found.dtype) != (needed.shape, needed.dtype):
            faults.append(
                f"{name}: is {found.dtype}{list(found.shape)}, "
                f"needs {needed.dtype}{list(needed.shape)}"
            )
        elif sums.get(name) != _sha256(found):
            faults.append(f"{name}: its sha256 is not the one in {CARD}")
    return faults
