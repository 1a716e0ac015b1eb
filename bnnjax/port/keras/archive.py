"""Reads whole Keras models: ``.h5`` files, ``.h5`` files beside their JSON, ``.keras`` archives."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bnnjax.port.keras import h5
from bnnjax.port.keras.model import Layer, Place, model_of

MOST_UNPACKED = 100  # times the size of the archive; Keras itself does not compress
SUFFIXES = (".h5", ".hdf5", ".keras")


class Saved(NamedTuple):
    """An opened file.

    Attributes:
      config: the model as ``model.to_json()`` describes it.
      version: of Keras, 2 or 3.
      root: the group of the layers' weights.
      by_number: whether arrays have numbers instead of names.
    """

    config: Mapping[str, Any]
    version: int
    root: Any
    by_number: bool

    @property
    def model(self) -> Layer:
        """The model.

        Raises:
          ValueError: the JSON describes no model.
        """
        return model_of(self.config)

    def arrays(self, source: tuple[Place, ...], names: tuple[str, ...]) -> dict[str, Any]:
        """The arrays of a layer by Keras' names, of which ``names`` are expected in this order."""
        if self.by_number:
            return h5.numbered_arrays(self.root, [place.folder for place in source], names)
        return h5.named_arrays(self.root, [place.name for place in source], names)


@contextmanager
def opened(path: str | Path) -> Iterator[Saved]:
    """Opens a file of a whole model, or of weights with the JSON of ``model.to_json()`` beside it:
    ``own.h5`` or ``own.weights.h5`` with ``own.json``.

    Raises:
      ValueError: it is damaged, or describes no model; in one line.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    path = Path(path)
    if path.suffix.lower() == ".keras":
        with _archive(path) as saved:
            yield saved
        return
    with h5.reading(path) as file:
        config = file.attrs.get("model_config")
        version = _text(file.attrs.get("keras_version", "2"))
        if config is None:
            config, version = _beside(path)
        by_number = "layer_names" not in file.get("model_weights", file).attrs
        yield Saved(_parsed(config), _major(version), file.get("model_weights", file), by_number)


@contextmanager
def _archive(path: Path) -> Iterator[Saved]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with zipfile.ZipFile(path) as files:
            _check_sizes(path, files)
            config = _parsed(files.read("config.json"))
            version = _parsed(files.read("metadata.json")).get("keras_version", "3")
            content = io.BytesIO(files.read("model.weights.h5"))
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise ValueError(f"{path}: damaged or not a .keras archive ({error})") from None
    with h5.reading(content, name=path) as file:
        yield Saved(config, _major(version), file, True)


def _check_sizes(path: Path, files: zipfile.ZipFile) -> None:
    """Raises a ValueError if a small file would become an enormous one."""
    for info in files.infolist():
        if info.file_size > MOST_UNPACKED * path.stat().st_size:
            size = f"{info.file_size / 2**20:.0f} MiB"
            raise ValueError(f"{path}: damaged, {info.filename} would take {size} of memory")


def _beside(path: Path) -> tuple[str, str]:
    """The JSON beside a file of weights."""
    stem = path.with_suffix("")
    candidates = [stem.with_suffix(".json"), stem.parent / f"{stem.name}.json"]
    for candidate in candidates:
        if candidate.is_file():
            text = candidate.read_text("utf-8")
            return text, str(_parsed(text).get("keras_version", "3"))  # which states none
    raise ValueError(
        f"{path}: holds weights without the model; write the model beside it, "
        f"open({candidates[0].name!r}, 'w').write(model.to_json()), or state the name of a "
        "network of the registry (launch/port_larq.py --model)"
    )


def _parsed(text: Any) -> Any:
    try:
        return json.loads(_text(text))
    except ValueError as error:
        raise ValueError(f"the model's JSON is damaged ({error})") from None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _major(version: str) -> int:
    first = version.split(".")[0]
    return int(first) if first.isdigit() else 2
