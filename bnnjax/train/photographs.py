"""Labelled photographs as arrays, read from folders of classes or from tar shards."""

import gzip
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from bnnjax import images
from bnnjax.options import nearest
from bnnjax.train.dataset import Dataset, to_uint8

# Reading a damaged or truncated tar file may raise these.
TAR_DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)
CLASSES_FILE = "classes.json"


HELD_OUT = 10  # of folders without a split, every tenth picture of a class is for validation


def load_split(
    data_dir: str | Path, split: str, *, side: int = 144, classes: Sequence[str] | None = None
) -> Dataset:
    """Reads the photographs ``data_dir/SPLIT/CLASS/*.jpg``, the shards ``SPLIT-*.tar*`` there, or
    the split's share of the photographs ``data_dir/CLASS/*.jpg``.

    Args:
      data_dir: the directory. The classes are the folders in ``data_dir/train``, or in
        ``data_dir``, in alphabetical order. For shards, the optional ``classes.json`` names the
        classes: it is an object that maps each index to an object with a ``name``.
      split: "train" or "val".
      classes: the names of the classes to read, in the order of their new indices; default: all.
      side: every photograph is turned upright, converted to sRGB, cropped to its central square
        and resized (Lanczos) to this side, in pixels.

    Raises:
      ValueError: there are neither folders nor shards, they are not as described here or in
        `load_shards`, or a class is unknown (the nearest is suggested).
    """
    data_dir = Path(data_dir).expanduser()
    if (data_dir / split).is_dir():
        names = _subfolders(data_dir / "train")
        if unknown := set(_subfolders(data_dir / split)) - set(names):
            fault = f"{min(unknown)} is not a class of the folder train"
            raise ValueError(f"{data_dir / split}: {fault}")
        return _load_folders(data_dir / split, _chosen(names, classes), side)
    if shards := sorted(data_dir.glob(f"{split}-*.tar*")):
        names_of_indices = _class_names(data_dir / CLASSES_FILE)
        return _only(load_shards(shards, side=side, class_names=names_of_indices), classes)
    names = _subfolders(data_dir)
    if not names or {"train", "val"} & set(names):
        raise ValueError(
            f"{data_dir} has neither a folder {split} nor shards {split}-*.tar* nor folders of "
            "classes"
        )
    return _load_folders(data_dir, _chosen(names, classes), side, split=split)


def load_shards(
    shards: Sequence[str | Path], *, side: int = 144, class_names: tuple[str, ...] | None = None
) -> Dataset:
    """Reads the photographs in tar files.

    Args:
      shards: tar files, compressed or not. Each picture is a file NAME.EXT, and NAME.cls holds the
        index of its class as text. The pictures keep their order.
      side: see `load_split`.
      class_names: see `Dataset`.

    Raises:
      ValueError: there are no pictures, a shard or a picture is damaged, a picture has no class,
        or two have the same name.
    """
    if not shards:
        raise ValueError("got no shards, need at least one")
    pairs = [pair for shard in shards for pair in _read_shard(Path(shard), side)]
    return _dataset(pairs, ", ".join(map(str, shards)), class_names)


def _dataset(
    pairs: Sequence[tuple[np.ndarray, int]], source: str, class_names: tuple[str, ...] | None
) -> Dataset:
    if not pairs:
        raise ValueError(f"{source}: no pictures")
    pixels, labels = zip(*pairs, strict=True)
    return Dataset(np.stack(pixels), np.array(labels, np.int32), class_names)


def _central_square(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 [side, side, 3] of a float picture [H, W, 3] in [0, 1]."""
    square = images.center_crop(image, size=min(image.shape[:2]))
    return to_uint8(images.resize(square, height=side, width=side))


# --- folders -----------------------------------------------------------------------------------


def _load_folders(
    folder: Path, class_names: tuple[str, ...], side: int, *, split: str | None = None
) -> Dataset:
    """The pictures of these classes, or the share of them that is for this split."""
    pairs = [
        (_central_square(images.load(path), side), label)
        for label, name in enumerate(class_names)
        for number, path in enumerate(_pictures(folder / name))
        if split is None or (number % HELD_OUT == 0) == (split == "val")
    ]
    return _dataset(pairs, str(folder), class_names)


def _pictures(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if not path.name.startswith("."))
    return sorted(path for path in found if path.suffix.lower() in images.SUFFIXES)


def _chosen(names: tuple[str, ...], classes: Sequence[str] | None) -> tuple[str, ...]:
    for name in classes or ():
        if name not in names:
            raise ValueError(f"no class {name!r}{nearest(name, names)}")
    return names if classes is None else tuple(dict.fromkeys(classes))


def _only(dataset: Dataset, classes: Sequence[str] | None) -> Dataset:
    """The pictures of these classes, with new indices."""
    if classes is None:
        return dataset
    if dataset.class_names is None:
        raise ValueError(f"the shards have no {CLASSES_FILE}, which names the classes to choose")
    chosen = _chosen(dataset.class_names, classes)
    labels = np.array([dataset.class_names.index(name) for name in chosen])
    kept = np.isin(dataset.labels, labels)
    new = np.argsort(labels)[np.searchsorted(np.sort(labels), dataset.labels[kept])]
    return Dataset(dataset.images[kept], new.astype(np.int32), chosen)


def _subfolders(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise ValueError(f"{folder} does not exist; its folders name the classes")
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return tuple(sorted(name for name in names if not name.startswith(".")))


# --- shards ------------------------------------------------------------------------------------


def _read_shard(shard: Path, side: int) -> Iterator[tuple[np.ndarray, int]]:
    pixels: dict[str, np.ndarray] = {}
    labels: dict[str, int] = {}
    for member, data in tar_members(shard):
        name = f"{shard}: {member}"
        stem, _, extension = member.rpartition(".")
        if stem in (labels if extension == "cls" else pixels):
            raise ValueError(f"{name} occurs twice")
        if extension == "cls":
            labels[stem] = _class_index(data, name)
        else:
            pixels[stem] = _central_square(images.load_bytes(data, name), side)
    if unpaired := sorted(pixels.keys() ^ labels.keys()):
        raise ValueError(
            f"{shard}: {len(unpaired)} pictures without a class or classes without a picture, "
            f"such as {unpaired[0]}"
        )
    for stem, square in pixels.items():
        yield square, labels[stem]


def tar_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the regular files in a tar file, which may be compressed.

    Raises:
      ValueError: the file is damaged, truncated, or not a tar file.
    """
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()
    except TAR_DAMAGE as error:
        raise ValueError(f"{path}: not a complete tar file ({error})") from None


def _class_index(data: bytes, name: str) -> int:
    try:
        return int(np.int32(int(data)))
    except (ValueError, OverflowError):
        raise ValueError(f"{name} holds {data[:20]!r}, needs the index of a class") from None


def _class_names(path: Path) -> tuple[str, ...] | None:
    if not path.exists():
        return None
    try:
        classes = json.loads(path.read_text("utf-8"))
        return tuple(str(classes[str(index)]["name"]) for index in range(len(classes)))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'{path}: needs {{"0": {{"name": …}}, "1": …}} ({type(error).__name__}: {error})'
        ) from None
