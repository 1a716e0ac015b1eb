"""Picture files to arrays: decoding, colour management, crops and resizes.

Everywhere in bnnjax a picture is a NumPy array, float32, sRGB (gamma-encoded, as in files),
layout [H, W, 3], range [0, 1]. `load` makes one from anything, `bnnjax.png` writes it back.
"""

import contextlib
import io
import os
from collections.abc import Sequence

import numpy as np
from PIL import ExifTags, Image, ImageCms

# What to do to a stored picture to see it upright, by EXIF orientation (EXIF 2.32, tag 0x0112).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FLOAT_SLACK = 1e-3  # a resize or a sum in float16 leaves [0, 1] by this much without being wrong


def load(source: str | os.PathLike[str] | Image.Image | np.ndarray) -> np.ndarray:
    """The picture as a fresh float32 sRGB array [H, W, 3] in [0, 1].

    `source` is a path, a PIL image or an array. Files and PIL images are turned upright (EXIF),
    taken through their ICC profile to sRGB at 8 bits (a broken or unfitting profile is ignored),
    composited over white where transparent; of an animation the first frame counts. 16-bit grey
    (modes I;16 and I) is divided by 65535, mode F must lie in [0, 1].
    Arrays are [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] (straight alpha, composited over white)
    of uint8, uint16 or float; floats must lie in [0, 1], give or take 1e-3, and are clipped.

    Raises ValueError, one line naming the file, if it is missing, a folder, no picture, damaged or
    above Pillow's limit of pixels, or if an array has another shape, dtype or range.
    """
    if isinstance(source, str | os.PathLike):
        return _opened(source, str(source))
    if isinstance(source, Image.Image):
        return _from_pillow(source, f"PIL image {getattr(source, 'filename', '')}".rstrip())
    return _from_array(np.asarray(source), "image")


def decode(data: bytes, name: str) -> np.ndarray:
    """`load` of the bytes of a picture file; `name` tells the user which file it was."""
    return _opened(io.BytesIO(data), name)


def resize(image: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Antialiased Lanczos resize of [H, W, 3] in [0, 1] to [height, width, 3], clipped to [0, 1].

    Raises ValueError unless `image` is a float [H, W, 3] array and both lengths are positive.
    """
    if min(height, width) < 1:
        raise ValueError(f"image: sides of at least 1 are needed, got {height}×{width}")
    return np.clip(_pillow_resize(_checked(image), height, width, Image.Resampling.LANCZOS), 0, 1)


def fit(image: np.ndarray, *, size: int) -> np.ndarray:
    """`resize` of [H, W, 3] to a shorter side of `size`, up or down, the longer one rounded.

    Raises ValueError as `resize` does.
    """
    height, width = _checked(image).shape[:2]
    shorter = min(height, width)
    height, width = ((2 * side * size + shorter) // (2 * shorter) for side in (height, width))
    return resize(image, height=height, width=width)


def center_crop(image: np.ndarray, *, size: int) -> np.ndarray:
    """The central square [size, size, 3] of [H, W, 3]; an odd margin is larger below and right.

    Raises ValueError unless `image` is a float [H, W, 3] array and 1 ≤ size ≤ min(H, W).
    """
    image = _checked(image)
    return _square(image, size, [(side - size) // 2 for side in image.shape[:2]])


def zoo_crop_resize(image: np.ndarray, *, size: int = 224) -> np.ndarray:
    """Larq Zoo's evaluation geometry, [H, W, 3] → float32 [size, size, 3], as TensorFlow does it.

    The central square of side ⌊size / (size + 32) · min(H, W)⌋, so 7/8 at 224, is resized by
    TF1's `resize_bicubic`: no antialias, no half-pixel centres. Values keep their range and may
    overshoot it. Source: larq_zoo/training/data.py `_center_crop`, zoo 2.4.

    Raises ValueError unless `image` is a float [H, W, 3] array large enough for such a crop.
    """
    rows = _tf_bicubic(_zoo_crop(image, size), size, axis=0)
    return _tf_bicubic(rows, size, axis=1)


def pillow_crop_resize(image: np.ndarray, *, size: int = 224) -> np.ndarray:
    """A square of the zoo's side with Pillow's antialiased bicubic (a = −0.5, pixel centres).

    [H, W, 3] → float32 [size, size, 3]; not clipped. The crop is `center_crop`'s, at most a pixel
    off the zoo's. Raises ValueError as `zoo_crop_resize`.
    """
    square = center_crop(image, size=_zoo_side(image, size))
    return _pillow_resize(square, size, size, Image.Resampling.BICUBIC)


def failure(name: object, what: str, error: Exception) -> ValueError:
    """`error` as the one line that the user sees, `name` being the file."""
    reason = str(getattr(error, "strerror", None) or error)
    return ValueError(f"{name}: {what} ({' '.join(reason.split())})")


def _opened(file: str | os.PathLike[str] | io.BytesIO, name: str) -> np.ndarray:
    try:
        picture = Image.open(file)
    except Exception as error:  # missing, a folder, no picture, too many pixels, a damaged header
        raise failure(name, "cannot be read", error) from error
    with picture:
        return _from_pillow(picture, name)


def _from_pillow(picture: Image.Image, name: str) -> np.ndarray:
    try:
        picture.load()
    except Exception as error:  # Pillow's decoders meet damage with nearly any exception
        raise failure(name, "damaged or cut short", error) from error
    picture = _upright(picture)
    profile = picture.info.get("icc_profile")
    if picture.mode == "F" or picture.mode.startswith("I"):
        return _deep_grey(picture, profile, name)
    return _from_array(np.asarray(_to_srgb(picture, profile)), name)


def _upright(picture: Image.Image) -> Image.Image:
    # ImageOps.exif_transpose would also write the EXIF block anew, and fail where that fails.
    try:
        method = _UPRIGHT[picture.getexif()[ExifTags.Base.Orientation]]
    except Exception:  # no, another or a damaged EXIF block: the pixels are good as they are
        return picture
    return picture.transpose(method)


def _deep_grey(picture: Image.Image, profile: bytes | None, name: str) -> np.ndarray:
    values = np.asarray(picture)
    if picture.mode == "I":  # 32 bits, in which 16-bit files of several formats arrive
        low, high = values.min(initial=65535), values.max(initial=0)
        if low < 0 or high > 65535:
            raise ValueError(f"{name}: integers in [0, 65535] are needed, got {low} to {high}")
        values = values.astype(np.uint16)
    grey = _from_array(values, name)
    # Pillow hands only 8-bit pixels to lcms; its curve over all 256 levels serves finer ones.
    levels = np.arange(256, dtype=np.uint8)
    curve = np.asarray(_opaque_to_srgb(Image.fromarray(levels[None]), profile))[0] / 255
    channels = [np.interp(grey[..., 0], levels / 255, to) for to in curve.T]
    image = np.stack(channels, axis=-1, dtype=np.float32)
    image[values == picture.info.get("transparency")] = 1
    return image


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB, or RGBA where `picture` knows transparency."""
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
    if isinstance(profile, bytes):
        with contextlib.suppress(ImageCms.PyCMSError, OSError):  # unusable: taken for sRGB
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            srgb = ImageCms.createProfile("sRGB")
            return ImageCms.buildTransform(given, srgb, picture.mode, "RGB").apply(picture)
    return picture.convert("RGB")


def _from_array(array: np.ndarray, name: str) -> np.ndarray:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise ValueError(f"{name}: [H, W] or [H, W, 1, 3 or 4] is needed, got {list(array.shape)}")
    values = _unit(array, name)
    if values.shape[2] == 4:  # blended in sRGB values, as browsers do
        return values[..., :3] * values[..., 3:] + (1 - values[..., 3:])
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values


def _unit(values: np.ndarray, name: str) -> np.ndarray:
    """The same values as fresh float32 in [0, 1]."""
    if values.dtype.type in (np.uint8, np.uint16):  # of either byte order
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    if not np.issubdtype(values.dtype, np.floating):
        raise ValueError(f"{name}: uint8, uint16 or float values are needed, got {values.dtype}")
    low, high = values.min(), values.max()
    if not (low >= -_FLOAT_SLACK and high <= 1 + _FLOAT_SLACK):  # so written, it catches NaN
        raise ValueError(f"{name}: values in [0, 1] are needed, got {low:g} to {high:g}")
    return np.clip(values, 0, 1).astype(np.float32)


def _checked(image: np.ndarray) -> np.ndarray:
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise ValueError(f"image: a non-empty [H, W, 3] is needed, got {list(array.shape)}")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"image: float values are needed (see load), got {array.dtype}")
    return array.astype(np.float32, copy=False)


def _pillow_resize(
    image: np.ndarray, height: int, width: int, kernel: Image.Resampling
) -> np.ndarray:
    # Pillow resizes floats one channel at a time; in 8 bits it would round.
    channels = [Image.fromarray(np.ascontiguousarray(c)) for c in np.moveaxis(image, -1, 0)]
    resized = [np.asarray(c.resize((width, height), kernel)) for c in channels]
    return np.stack(resized, axis=-1)


def _square(image: np.ndarray, size: int, corner: Sequence[int]) -> np.ndarray:
    if not 1 <= size <= min(image.shape[:2]):
        raise ValueError(f"image: no crop of side {size} in {image.shape[0]}×{image.shape[1]}")
    top, left = corner
    return image[top : top + size, left : left + size].copy()


def _zoo_side(image: np.ndarray, size: int) -> int:
    if size < 1:
        raise ValueError(f"image: a size of at least 1 is needed, got {size}")
    # float32, because the zoo computes the side so and then cuts off the fraction.
    return int(np.float32(size / (size + 32)) * np.float32(min(_checked(image).shape[:2])))


def _zoo_crop(image: np.ndarray, size: int) -> np.ndarray:
    side = _zoo_side(image, size)
    # Unlike `center_crop`, the zoo rounds an odd margin up above and left.
    return _square(image, side, [(length - side + 1) // 2 for length in image.shape[:2]])


def _tf_bicubic(image: np.ndarray, size: int, *, axis: int) -> np.ndarray:
    """One axis of TensorFlow's ResizeBicubic(align_corners=False, half_pixel_centers=False).

    All in float32 and in TensorFlow's order, so that the roundings agree as well.
    """
    length = image.shape[axis]
    position = np.arange(size, dtype=np.float32) * (np.float32(length) / np.float32(size))
    whole = np.floor(position)
    fraction = np.rint((position - whole) * 1024) / 1024  # TensorFlow tabulates 1024 steps
    terms = []
    for step in range(-1, 3):  # beyond the border the outermost pixel repeats
        pixel = np.clip(whole.astype(int) + step, 0, length - 1)
        weight = _cubic(np.abs(fraction.astype(np.float64) - step)).astype(np.float32)
        terms.append(np.take(image, pixel, axis) * weight.reshape([-1] + [1] * (2 - axis)))
    return np.sum(terms, axis=0)


def _cubic(x: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Cubic convolution, 0 ≤ x ≤ 2 (Keys 1981, who prefers a = −0.5; TF1 has −0.75)."""
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, far)
