"""Labelled photographs out of tar shards, as arrays."""

import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bnnjax.images import failure

# What reading a tar file that is damaged or cut short may raise.
DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)


class Photographs(NamedTuple):
    """``images`` uint8 [N, side, side, 3], sRGB; ``labels`` int32 [N]."""

    images: np.ndarray
    labels: np.ndarray


def load_split(folder: str | Path, split: str, *, side: int = 144) -> Photographs:
    """`load_shards` of SPLIT-*.tar and SPLIT-*.tar.gz in a folder, in the order of their names.

    Raises:
      ValueError: there are none, or see `load_shards`.
    """
    shards = sorted(Path(folder).expanduser().glob(f"{split}-*.tar*"))
    if not shards:
        raise ValueError(f"{folder}: holds no shards {split}-*.tar*")
    return load_shards(shards, side=side)


def load_shards(shards: Sequence[str | Path], *, side: int = 144) -> Photographs:
    """Every photograph of the shards, as its central square, ``side`` pixels wide.

    Args:
      shards: tar files, compressed or not, of pictures NAME.EXT with their class in NAME.cls (a
        number in text); the order of files inside a shard is that of its pictures.
      side: of the squares; pictures whose shorter side differs are resized (bicubic).

    Raises:
      ValueError: no shards, a shard or a picture that is damaged, a picture without its class, or
        two of one name.
    """
    if not shards:
        raise ValueError("no shards to read pictures from")
    pairs = [pair for shard in shards for pair in _read(Path(shard), side)]
    if not pairs:
        raise ValueError(f"{', '.join(map(str, shards))}: no pictures in there")
    images, labels = zip(*pairs, strict=True)
    return Photographs(np.stack(images), np.array(labels, np.int32))


def _read(shard: Path, side: int) -> Iterator[tuple[np.ndarray, int]]:
    images: dict[str, np.ndarray] = {}
    labels: dict[str, int] = {}
    try:
        with tarfile.open(shard) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is None:
                    continue
                name, data = f"{shard}: {member.name}", file.read()
                stem, _, extension = member.name.rpartition(".")
                found = labels if extension == "cls" else images
                if stem in found:
                    raise ValueError(f"{name} is the second of its name")
                if extension == "cls":
                    labels[stem] = _class_in(data, name)
                else:
                    images[stem] = _square(decoded(data, name), side)
    except DAMAGE as error:
        raise ValueError(f"{shard}: not a whole tar file ({error})") from None
    if images.keys() != labels.keys():
        alone = sorted(images.keys() ^ labels.keys())
        raise ValueError(f"{shard}: {len(alone)} pictures or classes are alone, such as {alone[0]}")
    for stem, image in images.items():
        yield image, labels[stem]


def _class_in(data: bytes, name: str) -> int:
    try:
        return int(np.int32(int(data)))
    except (ValueError, OverflowError):
        raise ValueError(f"{name} holds {data[:20]!r}, needs the number of a class") from None


def decoded(data: bytes, name: str) -> Image.Image:
    """The picture of a file's bytes, RGB.

    Raises:
      ValueError: it is no picture, or damaged; ``name`` tells which.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except Exception as error:  # Pillow's decoders meet damage with nearly any exception
        raise failure(name, "cannot be read", error) from None


def _square(image: Image.Image, side: int) -> np.ndarray:
    width, height = image.size
    shorter = min(width, height)
    left, top = (width - shorter) // 2, (height - shorter) // 2
    image = image.crop((left, top, left + shorter, top + shorter))
    if shorter != side:
        image = image.resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image)
