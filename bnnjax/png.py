"""Arrays to PNG files, with the story of the picture inside; contact sheets to look at many."""

import contextlib
import functools
import os
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngImageFile, PngInfo

from bnnjax import images

# PNG specification (third edition, 11.3.3.2): printable Latin-1 without outer or double spaces.
_KEYWORD = re.compile("[!-~¡-ÿ]+( [!-~¡-ÿ]+)*")
_USURPED = ("bbox", "interlace")  # Pillow would take texts of these names for the layout of pixels
_SRGB_PERCEPTUAL = b"\0"
_GAP = 8
_CAPTION = 20  # height of a line of labels
_FONT_SIZE = 14


def save_png(
    path: str | os.PathLike[str],
    image: np.ndarray,
    *,
    metadata: Mapping[str, str] = {},
    overwrite: bool = False,
) -> None:
    """Writes a picture as 8-bit sRGB PNG, values rounded to the nearest of 0..255.

    `image` is [H, W, 3] float in [0, 1], or another array that `bnnjax.images.load` takes.
    `metadata` becomes iTXt chunks (any Unicode text) under its keys, which PNG wants to be 1 to 79
    printable Latin-1 characters. The file appears whole or not at all.

    Raises ValueError if the name does not end in .png, if the file exists and not `overwrite`,
    cannot be written, or if the picture or the metadata are not as above.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a name ending in .png is needed")
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: exists already, and overwrite is off")
    pixels = np.rint(images.load(image) * 255).astype(np.uint8)
    info = _chunks(metadata, path)
    try:
        _write(path, Image.fromarray(pixels), info)
    except OSError as error:
        raise images.failure(path, "cannot be written", error) from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text chunks of a PNG file by their keywords, those of `save_png` and of other programs.

    Raises ValueError if the file is missing, no PNG, or damaged.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            assert isinstance(picture, PngImageFile)
            return {keyword: str(text) for keyword, text in picture.text.items()}
    except Exception as error:  # Pillow's decoders meet damage with nearly any exception
        raise images.failure(path, "cannot be read as PNG", error) from error


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    *,
    labels: Sequence[Sequence[str]] | None = None,
    cell: int = 224,
) -> np.ndarray:
    """Pictures in a grid on white, float32 [H, W, 3] in [0, 1].

    Each picture, any array that `bnnjax.images.load` takes, is fitted whole into a square of side
    `cell`; rows may differ in length. `labels`, nested like `rows` and best in ASCII (all that
    Pillow's own font has), are written under the pictures, cut where they are wider. With R rows
    of at most C pictures, H = 8 + R (cell + 8), 20 a row more with labels; W = 8 + C (cell + 8).

    Raises ValueError if there is no picture, a picture is of another kind, or labels do not match.
    """
    columns = max(map(len, rows), default=0)
    if not columns or cell < 1:
        raise ValueError(f"contact sheet: pictures and cell ≥ 1 are needed, got {cell=}")
    if labels is not None and [len(row) for row in labels] != [len(row) for row in rows]:
        raise ValueError("contact sheet: labels must be nested like rows, one for each picture")
    high = cell + _GAP + (0 if labels is None else _CAPTION)
    wide = cell + _GAP
    sheet = np.ones((_GAP + len(rows) * high, _GAP + columns * wide, 3), np.float32)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            place = sheet[_GAP + i * high :, _GAP + j * wide :][: high - _GAP, :cell]
            place[:cell] = _fit_whole(image, cell)
            if labels is not None:
                place[cell:] = _caption(labels[i][j], cell)
    return sheet


def _chunks(metadata: Mapping[str, str], path: Path) -> PngInfo:
    info = PngInfo()
    info.add(b"sRGB", _SRGB_PERCEPTUAL)
    for keyword, text in metadata.items():
        if not _KEYWORD.fullmatch(keyword) or len(keyword) > 79 or keyword in _USURPED:
            raise ValueError(f"{path}: {keyword!r} cannot be a keyword of PNG metadata")
        if not isinstance(text, str) or "\0" in text:
            raise ValueError(f"{path}: metadata {keyword!r} must be text without NUL, got {text!r}")
        info.add_itxt(keyword, text)
    return info


def _write(path: Path, picture: Image.Image, info: PngInfo) -> None:
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        # Not through tempfile, whose files only their owner may read.
        with open(temporary, "xb") as file:
            picture.save(file, "PNG", pnginfo=info)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _fit_whole(image: np.ndarray, cell: int) -> np.ndarray:
    """[h, w, 3] → [cell, cell, 3], centred on white."""
    image = images.load(image)
    longer = max(image.shape[:2])
    height, width = (max(1, round(side * cell / longer)) for side in image.shape[:2])
    top, left = (cell - height) // 2, (cell - width) // 2
    square = np.ones((cell, cell, 3), np.float32)
    resized = images.resize(image, height=height, width=width)
    square[top : top + height, left : left + width] = resized
    return square


def _caption(text: str, width: int) -> np.ndarray:
    """One line of black on white, [_CAPTION, width, 1]."""
    strip = Image.new("L", (width, _CAPTION), 255)
    draw = ImageDraw.Draw(strip)
    text = " ".join(text.split())
    while len(text) > 1 and draw.textlength(text, _font()) > width:
        text = text.rstrip("…")[:-1] + "…"
    draw.text((width / 2, _CAPTION / 2), text, fill=0, font=_font(), anchor="mm")
    return np.asarray(strip, np.float32)[..., None] / 255


@functools.cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=_FONT_SIZE)
