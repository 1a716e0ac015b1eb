"""Reads the layers in ``.h5`` files of Keras and Larq without TensorFlow.

This needs the extra ``port`` (package ``h5py``). Files written by ``save_weights`` and by ``save``
of Keras 2 are both accepted, because only their arrays are read.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

MOST_PACKED = 1032  # bytes in one: the most that deflate achieves


class Source(NamedTuple):
    """A layer in a file: its name, and its datasets by the last part of their names."""

    name: str
    arrays: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of layer, inferred from its arrays."""
        if "moving_mean" in self.arrays:
            return "norm"
        if "depthwise_kernel" in self.arrays:
            return "depthwise"
        if "alpha" in self.arrays:
            return "activation"
        rank = len(self.arrays["kernel"].shape) if "kernel" in self.arrays else 0
        return {4: "convolution", 2: "dense"}.get(rank, "other")

    @property
    def prefix(self) -> str:
        """Its name without the counter that Keras appends."""
        return _split(self.name)[0]

    def __str__(self) -> str:
        arrays = (f"{name} {list(array.shape)}" for name, array in self.arrays.items())
        return f"{self.name} ({', '.join(arrays)})"


@contextmanager
def opened(path: str | Path) -> Iterator[list[Source]]:
    """The layers with weights in an ``.h5`` file; those of one class are in the order of creation.

    Raises:
      ValueError: the file does not exist, is truncated or not HDF5, or lacks Keras' list of layers.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    with reading(path) as file:
        sources = sorted(_sources(file), key=lambda source: _split(source.name)[1])
        if not sources:
            raise ValueError(f"{path}: holds no layers that Keras 2 saved")
        yield sources


@contextmanager
def reading(file: str | Path | BinaryIO, *, name: str | Path | None = None) -> Iterator[Any]:
    """An opened HDF5 file, for whose faults the message gives the ``name`` of the file.

    Raises:
      ValueError: the file does not exist, is truncated or not HDF5, or what is read in the context
        is not there.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    h5py = _import_h5py()
    if isinstance(file, str | Path) and not Path(file).is_file():
        raise ValueError(f"{file}: no such file")
    try:
        with h5py.File(file, "r") as opened_file:
            if (other := opened_file.visititems_links(_foreign)) is not None:
                raise TypeError(f"it leads to another file, {other}")
            yield opened_file
    except Exception as error:  # damaged files lead to nearly any exception
        if isinstance(error, ValueError) and not isinstance(error, UnicodeDecodeError):
            raise
        first = str(error).strip("'\" ").splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{name or file}: damaged, truncated or not an HDF5 file ({first})"
        ) from error


def _foreign(name: str, link: Any) -> str | None:
    """The file that a link leads to, which would be opened; None for all other links."""
    return getattr(link, "filename", None)


def named_arrays(root: Any, layers: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """The arrays of a layer in the group of all weights, by Keras' names; {} without any.

    Args:
      root: the group of all weights.
      layers: the names of the models that contain the layer, from the outermost, and its own. The
        arrays of all layers in an outermost model are in one group.
      names: the expected names. In a group of several layers, an array without the name of a layer,
        as that of one built by hand, is taken for the layer that expects it.
    """
    if (group := root.get(layers[0])) is None:
        return {}
    paths = _strings(group, "weight_names")
    if len(layers) > 1:
        paths = [*_nameless(paths, layers[-1], names), *_own(paths, layers[-1])]
    return {_last(path, layers[-1]): _array(group, path) for path in paths}


def _own(paths: Sequence[str], layer: str) -> list[str]:
    """The arrays named after a layer. Keras may put the name of the model before that."""
    exact = [path for path in paths if path.rpartition("/")[0] == layer]
    return exact or [path for path in paths if path.rpartition("/")[0].endswith(f"/{layer}")]


def _nameless(paths: Sequence[str], layer: str, names: Sequence[str]) -> list[str]:
    return [path for path in paths if "/" not in path and _last(path, layer) in names]


def _last(path: str, layer: str) -> str:
    return _array_name(path.rpartition("/")[2], layer)


def numbered_arrays(root: Any, folders: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """The arrays of a layer in a ``.keras`` archive, which numbers them in the order of ``names``.

    Those that are left over have their numbers as names.
    """
    group = root
    for folder in folders:
        layers = group.get("layers", group.get("_layer_checkpoint_dependencies"))
        if layers is None or (group := layers.get(folder)) is None:
            return {}
    arrays = group.get("vars", {})
    called = dict(enumerate(names))
    return {called.get(int(number), number): _array(arrays, number) for number in arrays}


def _import_h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise ModuleNotFoundError(
            "reading .h5 files needs the extra 'port': pip install 'bnnjax[port]'"
        ) from None
    return h5py


def _sources(file: Any) -> Iterator[Source]:
    root = file.get("model_weights", file)
    for name in _strings(root, "layer_names"):
        yield from _layers_of_group(name, root[name])


def _layers_of_group(name: str, group: Any) -> Iterator[Source]:
    """A single layer, or all layers of a nested model."""
    paths = [path.split("/") for path in _strings(group, "weight_names")]
    parents = dict.fromkeys(path[-2] if len(path) > 1 else name for path in paths)
    for parent in parents:
        arrays = {
            _array_name(path[-1], parent): _array(group, "/".join(path))
            for path in paths
            if len(path) < 2 or path[-2] == parent
        }
        yield Source(name if len(parents) == 1 else parent, arrays)


def _array_name(name: str, layer: str) -> str:
    """``kernel`` for ``kernel:0``, and also for ``LAYER_W_1:0`` of Keras 1, whose VGG files are
    still in use."""
    name = name.removesuffix(":0")
    match = re.fullmatch(rf"{re.escape(layer)}_([Wb])(_\d+)?", name)
    return {"W": "kernel", "b": "bias"}[match[1]] if match else name


def _array(group: Any, path: str) -> Any:
    array = group[path]
    if not hasattr(array, "dtype"):
        raise TypeError(f"{path} is not an array")
    if array.external or array.is_virtual:
        raise TypeError(f"{path} is in another file")
    return array


def values(array: Any) -> np.ndarray:
    """The values of an array in a file.

    Raises:
      ValueError: it states a size that the file does not hold.
    """
    if hasattr(array, "id") and array.nbytes > MOST_PACKED * array.id.get_storage_size():
        raise ValueError(f"would take {array.nbytes / 2**20:.0f} MiB, which are not in the file")
    return np.asarray(array[()])


def _strings(group: Any, attribute: str) -> list[str]:
    """A list of strings, possibly empty. Keras splits a long one into ``attribute0``,
    ``attribute1`` …"""
    numbered = (f"{attribute}{part}" for part in itertools.count())
    parts = [*itertools.takewhile(group.attrs.__contains__, numbered)]
    values = itertools.chain(*(group.attrs.get(part, ()) for part in parts or [attribute]))
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _split(name: str) -> tuple[str, int]:
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", name)
    assert match is not None
    return match[1], int(match[2] or 0)
