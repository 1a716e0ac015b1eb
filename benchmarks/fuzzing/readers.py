"""All readers of outside files, each with small valid files and damage that suits their kind."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bnnjax import images
from bnnjax.many import manifest
from bnnjax.many.results import Results
from bnnjax.nst.guides import with_masks
from bnnjax.nst.inputs import read_pictures
from bnnjax.nst.recipe import Recipe
from bnnjax.port import load
from bnnjax.port.vgg.torch_legacy import read_torch_legacy
from fuzzing import archives, damage, samples
from fuzzing.damage import Edit

PHOTOGRAPH = np.full((32, 32, 3), 0.5, np.float32)


@dataclasses.dataclass(frozen=True)
class Reader:
    """A reader of outside files.

    Attributes:
      make: writes valid inputs into a folder, each into a folder of its own: ``main.SUFFIX``,
        beside files that it needs and ``other.SUFFIX``, which are not damaged.
      read: takes the path of an input.
      edits: damage to the structure of files, by their suffix.
      takes_folder: whether an input is a folder.
      any_name: whether errors may name another file, or none.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    edits: Mapping[str, Edit] = dataclasses.field(default_factory=dict)
    takes_folder: bool = False
    any_name: bool = False


def _picture(path: Path) -> None:
    readings: list[Callable[[], Any]] = [
        lambda: images.load(path),
        lambda: images.load(path, size=16),
        lambda: images.load_fitted(path, size=16),
        lambda: images.load_alpha(path),
        lambda: images.load_bytes(path.read_bytes(), path.name),
    ]
    if path.suffix[1:] in images.FORMATS:
        readings.append(lambda: images.read_metadata(path))
    refused = []
    for reading in readings:  # all of them, whatever the others say
        try:
            reading()
        except ValueError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _recipe(path: Path) -> None:
    recipe = Recipe.read(path)
    recipe.sources()
    recipe.guides()
    recipe.network()


def _mask(path: Path) -> None:
    photographs = read_pictures([PHOTOGRAPH], kind="content", size=32, stride=4)
    with_masks(photographs, str(path), kind="content_mask", size=32, stride=4)


def _manifest(path: Path) -> None:
    manifest.read(path, [str(path.with_name("other.png"))])


READERS = {
    "pictures": Reader(samples.pictures, _picture, {".png": damage.in_chunk}),
    "masks": Reader(samples.masks, _mask, {".png": damage.in_chunk}),
    "recipes": Reader(
        samples.recipes,
        _recipe,
        dict.fromkeys((".png", ".jpeg", ".webp"), archives.in_recipe),
        any_name=True,
    ),
    "manifest": Reader(samples.manifests, _manifest, {".csv": damage.in_table}),
    "results": Reader(
        samples.results,
        lambda folder: Results(folder, samples.RUN),
        {".csv": damage.in_table, ".json": damage.in_text},
        takes_folder=True,
        any_name=True,
    ),
    "network": Reader(samples.networks, load.load_model, {".safetensors": archives.in_safetensors}),
    "checkpoint": Reader(
        samples.checkpoints,
        samples.resume,
        {"": damage.in_json_or_bytes, ".json": damage.in_text, ".csv": damage.in_table},
        takes_folder=True,
        any_name=True,
    ),
    "snapshot": Reader(
        samples.snapshots,
        samples.resume_pictures,
        {"": damage.in_json_or_bytes},
        takes_folder=True,
        any_name=True,
    ),
    "keras_h5": Reader(
        samples.keras_h5,
        load.load_model,
        {".h5": archives.in_h5, ".json": damage.in_text},
        any_name=True,
    ),
    "keras_archive": Reader(samples.keras_archives, load.load_model, {".keras": archives.in_zip}),
    "tflite": Reader(samples.tflite, load.load_model, {".tflite": archives.in_flatbuffer}),
    "bmxnet": Reader(samples.bmxnet, load.load_model),
    "vgg_npz": Reader(samples.vgg_npz, load.load_model, {".npz": archives.in_zip}),
    "vgg_h5": Reader(
        samples.vgg_h5,
        lambda path: load.port_file(path, model="vgg19_conv5_1"),
        {".h5": archives.in_h5},
    ),
    "torch": Reader(samples.torch, read_torch_legacy),
}
