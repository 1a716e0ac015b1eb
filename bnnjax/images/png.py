"""Pictures to PNG files that carry text about how they were made."""

import contextlib
import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from PIL.PngImagePlugin import PngImageFile, PngInfo

from bnnjax.images.decode import failure, load

# PNG specification (third edition, 11.3.3.2): printable Latin-1 without outer or double spaces.
_KEYWORD = re.compile("[!-~¡-ÿ]+( [!-~¡-ÿ]+)*")
_USURPED = ("bbox", "interlace")  # Pillow would read text of these names as the pixels' layout.
_PERCEPTUAL = b"\0"  # rendering intent


def save_png(
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    metadata: Mapping[str, str] = {},
    overwrite: bool = False,
) -> None:
    """Writes a picture as an 8-bit sRGB PNG, with values rounded to the nearest of 0..255.

    The file appears complete or not at all.

    Args:
      path: ends in .png.
      image: [H, W, 3] float in [0, 1], or another array that `load` takes.
      metadata: any Unicode text under keywords of 1 to 79 printable Latin-1 characters, written as
        iTXt chunks.
      overwrite: whether an existing file may be replaced.

    Raises:
      ValueError: the file exists or cannot be written, or an argument is not as above.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: the name must end in .png")
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: exists already, and overwrite is off")
    picture, info = to_pillow(image), _chunks(metadata, path)
    try:
        _write(path, picture, info)
    except OSError as error:
        raise failure(path, "cannot be written", error) from error


def to_pillow(image: ArrayLike) -> Image.Image:
    """Returns an array that `load` takes as an RGB image, rounded to the nearest of 0..255."""
    return Image.fromarray(np.rint(load(image) * 255).astype(np.uint8))


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the text chunks of a PNG file, written by `save_png` or not, by keyword.

    Raises:
      ValueError: the file is missing, not a PNG, or damaged.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            assert isinstance(picture, PngImageFile)
            return {keyword: str(text) for keyword, text in picture.text.items()}
    except Exception as error:  # Pillow's decoders raise nearly any exception on damaged files.
        raise failure(path, "cannot be read as PNG", error) from error


def _chunks(metadata: Mapping[str, str], path: Path) -> PngInfo:
    info = PngInfo()
    info.add(b"sRGB", _PERCEPTUAL)
    for keyword, text in metadata.items():
        if not _KEYWORD.fullmatch(keyword) or len(keyword) > 79 or keyword in _USURPED:
            raise ValueError(f"{path}: {keyword!r} cannot be a keyword of PNG metadata")
        if not isinstance(text, str) or "\0" in text:
            raise ValueError(f"{path}: metadata {keyword!r} must be text without NUL, got {text!r}")
        info.add_itxt(keyword, text)
    return info


def _write(path: Path, picture: Image.Image, info: PngInfo) -> None:
    # Not through tempfile, whose files only their owner can read.
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        picture.save(temporary, "PNG", pnginfo=info)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
