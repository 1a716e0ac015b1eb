"""Pictures to PNG, JPEG and WebP files that carry text about how they were made."""

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngImageFile

from bnnjax import destination
from bnnjax.images import png
from bnnjax.images.decode import failure

FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}  # the name of each and its suffix
LONGEST = {"png": 2**31 - 1, "jpeg": 65_500, "webp": 16_383}  # px, of a side
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {},
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"quality": 95, "use_sharp_yuv": True},
}
_ASCII = b"ASCII\0\0\0"  # EXIF 2.32: the character code of a user comment
_DATES = (
    ExifTags.Base.DateTimeOriginal,
    ExifTags.Base.OffsetTimeOriginal,
    ExifTags.Base.SubsecTimeOriginal,
)


def format_of(path: str | os.PathLike[str]) -> str:
    """The name of the format that a path's suffix stands for.

    Raises:
      ValueError: the suffix is another.
    """
    suffix = Path(path).suffix.lower()
    for name, own in {**FORMATS, "jpeg ": ".jpeg"}.items():
        if suffix == own:
            return name.strip()
    raise ValueError(f"{path}: the name must end in .png, .jpg, .jpeg or .webp")


def save_picture(
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    metadata: Mapping[str, str] = {},
    alpha: np.ndarray | None = None,
    like: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a picture as an 8-bit sRGB file, with values rounded to the nearest of 0..255.

    The file appears complete or not at all.

    Args:
      path: ends in .png, .jpg, .jpeg (quality 95, no chroma subsampling) or .webp (quality 95).
      image: [H, W, 3] float in [0, 1], or another array that `load` takes.
      metadata: any Unicode text by keyword. In a PNG, keywords are 1 to 79 printable Latin-1
        characters, and the texts are iTXt chunks. In others, all is one JSON object in EXIF's
        UserComment.
      alpha: opacity, float [H, W] in [0, 1]; not in a JPEG.
      like: a file, whose time of exposure is written into the EXIF block. The picture then gets an
        ICC profile as well. It is that of sRGB, whatever the profile of the file was: the pixels
        are sRGB.
      overwrite: whether an existing file may be replaced.

    Raises:
      ValueError: the file exists or cannot be written, or an argument is not as above.

    Examples:
      >>> grey = np.full((32, 48, 3), 0.5)
      >>> bnnjax.images.save_picture("grey.webp", grey, metadata={"title": "Grau"})
      >>> bnnjax.images.read_metadata("grey.webp")
      {'title': 'Grau'}
      >>> bnnjax.images.save_picture("grey.webp", grey)
      Traceback (most recent call last):
      ValueError: grey.webp: exists already; ...
    """
    path, kind = Path(path), format_of(path)
    destination.check([path], overwrite=overwrite)
    picture, options = png.to_pillow(image), dict(_OPTIONS[kind])
    if alpha is not None:
        if kind == "jpeg":
            raise ValueError(f"{path}: a JPEG cannot be transparent; choose PNG or WebP")
        picture.putalpha(Image.fromarray(np.rint(np.clip(alpha, 0, 1) * 255).astype(np.uint8)))
    exif = Image.Exif() if like is None else _exposure(like)
    if like is not None:
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
        options["icc_profile"] = profile.tobytes()
    if kind == "png":
        options["pnginfo"] = png.chunks(metadata, path, srgb=like is None)
    elif metadata:
        comment = _ASCII + json.dumps(dict(metadata)).encode("ascii")
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    if exif.get_ifd(ExifTags.IFD.Exif):
        options["exif"] = exif.tobytes()  # Pillow would take a block with only this for empty
    try:
        _write(path, picture, kind, options)
    except (OSError, ValueError) as error:
        raise failure(path, "cannot be written", error) from error


def save_png(
    path: str | os.PathLike[str],
    image: ArrayLike,
    *,
    metadata: Mapping[str, str] = {},
    overwrite: bool = False,
) -> None:
    """`save_picture` for a path that ends in .png."""
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: the name must end in .png")
    save_picture(path, image, metadata=metadata, overwrite=overwrite)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """Returns the texts in a PNG, JPEG or WebP file by keyword: those that `save_picture` wrote,
    and all text chunks before the pixels of a PNG, which are not decoded.

    Raises:
      ValueError: the file is missing, not a PNG, JPEG or WebP, or damaged.
    """
    try:
        with Image.open(path, formats=["PNG", "JPEG", "WEBP"]) as picture:
            if isinstance(picture, PngImageFile):
                return {str(k): str(v) for k, v in picture.info.items() if isinstance(v, str)}
            exif = picture.getexif().get_ifd(ExifTags.IFD.Exif)
            comment = exif.get(ExifTags.Base.UserComment, b"")
    except Exception as error:  # Pillow's decoders raise nearly any exception on damaged files.
        raise failure(path, "cannot be read as PNG, JPEG or WebP", error) from error
    try:
        found = json.loads(bytes(comment).removeprefix(_ASCII))
    except (ValueError, TypeError, RecursionError):  # a comment by another program
        return {}
    return {k: str(v) for k, v in found.items()} if isinstance(found, dict) else {}


def _exposure(path: str | os.PathLike[str]) -> Image.Exif:
    """An EXIF block with nothing but the time of exposure; it is empty if the file has none."""
    exif = Image.Exif()
    with contextlib.suppress(Exception), Image.open(path) as picture:
        found = picture.getexif().get_ifd(ExifTags.IFD.Exif)
        exif.get_ifd(ExifTags.IFD.Exif).update({tag: found[tag] for tag in _DATES if tag in found})
    return exif


def _write(path: Path, picture: Image.Image, kind: str, options: Mapping[str, Any]) -> None:
    # Not through tempfile, whose files only their owner can read.
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        picture.save(temporary, kind.upper(), **options)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
