"""Files, PIL images and arrays to pictures: decoding, orientation, colour management."""

import contextlib
import io
import os
import warnings
from pathlib import Path
from typing import Any, SupportsIndex

import jax.numpy as jnp
import numpy as np
import psutil
from numpy.typing import ArrayLike
from PIL import ExifTags, Image, ImageCms
from PIL.PngImagePlugin import PngImageFile

from bnnjax.images.sizes import fit, fit_channel, positive

# The names of picture files, for the search of folders.
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
HEIC = frozenset({".heic", ".heif"})  # with the extra 'heic'

# How a stored picture is turned upright, by its EXIF orientation (EXIF 2.32, tag 0x0112).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Bytes per pixel while a file is decoded: as bytes, converted, then as floats.
_OPAQUE, _OTHER, _FITTED = 24, 64, 16
# Pixels per byte of a PNG file: deflate packs 1032 bytes into one, and a byte has at most 8 pixels.
_PNG_DENSITY = 8 * 1032
_FLOAT_SLACK = 1e-3  # A resize or a sum in float16 may leave [0, 1] by this much.


def load(
    source: str | os.PathLike[str] | Image.Image | ArrayLike, *, size: SupportsIndex | None = None
) -> np.ndarray:
    """Returns the picture as a fresh float32 sRGB array [H, W, 3] in [0, 1].

    Files and PIL images are turned upright (EXIF), converted to sRGB through their ICC profile at
    8 bits (a broken or unsuitable profile is ignored) and composited over white where they are
    transparent. Only the first frame of an animation counts. 16-bit greyscale (modes I;16 and I)
    is divided by 65535; mode F must lie in [0, 1].

    Args:
      source: a path, a PIL image or an array (NumPy or JAX). Arrays are [H, W], [H, W, 1],
        [H, W, 3] or [H, W, 4] (straight alpha, composited over white) of uint8, uint16 or any
        float dtype; floats must lie in [0, 1], give or take 1e-3, and are clipped.
      size: the shorter side that the picture will be scaled down to. A JPEG file is then decoded
        at a half, a quarter or an eighth of its resolution, with a shorter side of at least
        ``2 * size``. This saves time and memory on large photographs.

    Raises:
      ValueError: one line naming the file if it is missing, a folder, not a picture, damaged, above
        Pillow's limit of 179 million pixels or larger than the free memory when decoded; or an
        array has another shape, dtype or range.

    Examples:
      >>> bnnjax.images.load(np.array([[[0, 51, 255]]], np.uint8))
      array([[[0. , 0.2, 1. ]]], dtype=float32)
      >>> bnnjax.images.load("nowhere.jpg")
      Traceback (most recent call last):
      ValueError: nowhere.jpg: cannot be read (No such file or directory)
    """
    if isinstance(source, str | os.PathLike):
        return _from_file(source, str(source), size)
    if isinstance(source, Image.Image):
        return _from_pillow(source, f"PIL image {getattr(source, 'filename', '')}".rstrip())
    return _from_array(np.asarray(source), "image")


def load_fitted(
    path: str | os.PathLike[str], *, size: SupportsIndex, most: int | None = None
) -> np.ndarray:
    """Returns ``fit(load(path, size=size), size=size)`` in a fraction of the memory, which is to be
    at most ``most`` bytes."""
    name = str(path)
    with _opened(path, name) as file:
        file.draft(None, (2 * positive("size", size),) * 2)
        plain = file.mode in ("L", "RGB", "CMYK", "LAB") and not file.has_transparency_data
        _check_memory(file, name, _FITTED if plain else _OTHER, most=most)
        if not plain:
            return fit(_from_pillow(file, name), size=size)
        picture = _decoded(file, name)
    del file  # it holds pixels, too, unless they were upright
    picture = _opaque_to_srgb(picture, picture.info.get("icc_profile"))
    # One channel at a time: as floats, all three would take four times the memory of the bytes.
    channels = (np.asarray(picture.getchannel(band)) for band in "RGB")
    return np.stack([fit_channel(_unit(c, name), size=size) for c in channels], axis=2)


def load_bytes(data: bytes, name: str) -> np.ndarray:
    """Returns what `load` returns, of the contents of a file; ``name`` is for the error."""
    return _from_file(io.BytesIO(data), name, None)


def load_alpha(source: str | os.PathLike[str] | Image.Image | ArrayLike) -> np.ndarray | None:
    """Returns the opacity of a picture, float32 [H, W] in [0, 1], or None if it is opaque.

    Args:
      source: see `load`.

    Raises:
      ValueError: see `load`.
    """
    if isinstance(source, str | os.PathLike):
        with _opened(source, str(source)) as file:
            if not file.has_transparency_data:
                return None
            _check_memory(file, str(source), _OTHER)
            return load_alpha(_decoded(file, str(source)))
    if isinstance(source, Image.Image):
        if not source.has_transparency_data:
            return None
        return _unit(np.asarray(_upright(source).convert("RGBA").getchannel("A")), "PIL image")
    array = np.asarray(source)
    return _unit(array[..., 3], "image") if array.ndim == 3 and array.shape[2] == 4 else None


def failure(name: object, what: str, error: Exception) -> ValueError:
    """Returns the one-line error that the user sees when ``error`` befalls the file ``name``."""
    reason = str(getattr(error, "strerror", None) or error)
    return ValueError(f"{name}: {what} ({' '.join(reason.split())})")


def _from_file(
    file: str | os.PathLike[str] | io.BytesIO, name: str, size: SupportsIndex | None
) -> np.ndarray:
    with _opened(file, name) as picture:
        if size is not None:  # does nothing unless it is a JPEG
            picture.draft(None, (2 * positive("size", size),) * 2)
        _check_memory(picture, name, _OTHER if picture.has_transparency_data else _OPAQUE)
        return _from_pillow(picture, name)


def _opened(file: str | os.PathLike[str] | io.BytesIO, name: str) -> Image.Image:
    """Reads the header of a file."""
    if Path(name).suffix.lower() in HEIC:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            needed = "HEIC needs the extra 'heic': pip install 'bnnjax[heic]'"
            raise ValueError(f"{name}: {needed}") from None
        register_heif_opener()
    try:
        with warnings.catch_warnings():  # `_check_memory` says more than Pillow's warning
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(file)
    except Exception as error:  # missing, a folder, not a picture, too large, a damaged header
        raise failure(name, "cannot be read", error) from error
    if picture.mode == "P" and picture.palette is None:
        picture.close()
        raise ValueError(f"{name}: damaged (its colours are numbers of a palette that is missing)")
    return picture


def _check_memory(
    picture: Image.Image, name: str, bytes_per_pixel: int, *, most: int | None = None
) -> None:
    """Raises a ValueError if decoding would take more than the free memory or ``most`` bytes, or if
    a PNG has more pixels than its bytes can hold: Pillow would fill up the missing ones."""
    pixels = picture.width * picture.height
    if isinstance(picture, PngImageFile) and pixels > _PNG_DENSITY * _length(picture.fp):
        size = f"{picture.width}×{picture.height} px"
        raise ValueError(f"{name}: damaged or cut short (too few bytes for {size})")
    needed = pixels * bytes_per_pixel
    limit, state = psutil.virtual_memory().available, "free"
    if most is not None and most < limit:
        limit, state = most, "allowed"
    if needed > limit:
        raise ValueError(
            f"{name}: {picture.width}×{picture.height} px take {needed / 2**30:.1f} GiB of memory, "
            f"{limit / 2**30:.1f} GiB are {state}; use a smaller picture"
        )


def _length(file: Any) -> int:
    """The number of bytes of an opened file."""
    at = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(at)
    return length


def _decoded(picture: Image.Image, name: str) -> Image.Image:
    """Decodes a picture and turns it upright."""
    try:
        picture.load()
    except Exception as error:  # Pillow's decoders raise nearly any exception on damaged files.
        raise failure(name, "damaged or cut short", error) from error
    return _upright(picture)


def _from_pillow(picture: Image.Image, name: str) -> np.ndarray:
    picture = _decoded(picture, name)
    profile = picture.info.get("icc_profile")
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _deep_grey(picture, profile, name)
    return _from_array(np.asarray(_to_srgb(picture, profile)), name)


def _upright(picture: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would also rewrite the EXIF block, which fails on slight damage.
    try:
        method = _UPRIGHT[picture.getexif()[ExifTags.Base.Orientation]]
    except Exception:  # no orientation or an unknown one, or a block that cannot be read
        return picture
    return picture.transpose(method)


def _deep_grey(picture: Image.Image, profile: bytes | None, name: str) -> np.ndarray:
    values = np.asarray(picture)
    if picture.mode == "I":  # 32 bits; 16-bit files of several formats arrive in this mode.
        low, high = values.min(initial=65535), values.max(initial=0)
        if low < 0 or high > 65535:
            raise ValueError(f"{name}: integers must lie in [0, 65535], got {low} to {high}")
        values = values.astype(np.uint16)
    grey = _from_array(values, name)
    # Pillow passes only 8-bit pixels to lcms, so we interpolate its curve over all 256 levels.
    levels = np.arange(256, dtype=np.uint8)
    curve = np.asarray(_opaque_to_srgb(Image.fromarray(levels[None]), profile))[0] / 255
    channels = [np.interp(grey[..., 0], levels / 255, to) for to in curve.T]
    image = np.stack(channels, axis=-1, dtype=np.float32)
    image[values == picture.info.get("transparency")] = 1
    return image


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Returns RGB, or RGBA if the picture has any kind of transparency."""
    if isinstance(picture.info.get("transparency"), str):  # a PNG's text chunk of that name
        picture = picture.copy()
        del picture.info["transparency"]
    if not picture.has_transparency_data:
        return _opaque_to_srgb(picture, profile)
    colour = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    picture = picture.convert(colour + "A")
    converted = _opaque_to_srgb(picture.convert(colour), profile)
    converted.putalpha(picture.getchannel("A"))
    return converted


def _opaque_to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if picture.mode not in ("L", "RGB", "CMYK", "LAB"):
        picture = picture.convert("RGB")
    if isinstance(profile, bytes):  # A PNG's text chunk of that name is a str.
        srgb = ImageCms.createProfile("sRGB")
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # If unusable, sRGB is assumed.
            transform = ImageCms.buildTransform(io.BytesIO(profile), srgb, picture.mode, "RGB")
            return transform.apply(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_array(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(
            f"{name}: a non-empty [H, W] or [H, W, 1, 3 or 4] is needed, got {list(array.shape)}"
        )
    values = _unit(array, name)
    if values.shape[2] == 4:  # blended in sRGB values, as browsers do
        return values[..., :3] * values[..., 3:] + (1 - values[..., 3:])
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values


def _unit(values: np.ndarray, name: str) -> np.ndarray:
    """Returns the same values as fresh float32 in [0, 1]."""
    if values.dtype.type in (np.uint8, np.uint16):  # of either byte order
        return np.divide(values, np.iinfo(values.dtype).max, dtype=np.float32)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(f"{name}: uint8, uint16 or float values are needed, got {values.dtype}")
    low, high = float(values.min()), float(values.max())
    if not (low >= -_FLOAT_SLACK and high <= 1 + _FLOAT_SLACK):  # phrased so as to catch NaN
        raise ValueError(f"{name}: values must lie in [0, 1], got {low:g} to {high:g}")
    values = values.astype(np.float32)
    return np.clip(values, 0, 1, out=values)
