"""The parts of a PNG file: pixels of 8 bits, and chunks of text."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bnnjax.images.decode import load

# PNG specification (third edition, 11.3.3.2): printable Latin-1 without outer or double spaces.
_KEYWORD = re.compile("[!-~¡-ÿ]+( [!-~¡-ÿ]+)*")
_USURPED = ("bbox", "interlace")  # Pillow would read text of these names as the pixels' layout.
_PERCEPTUAL = b"\0"  # rendering intent


def to_pillow(image: ArrayLike) -> Image.Image:
    """Returns an array that `load` takes as an RGB image, rounded to the nearest of 0..255."""
    return Image.fromarray(np.rint(load(image) * 255).astype(np.uint8))


def chunks(metadata: Mapping[str, str], path: Path, *, srgb: bool) -> PngInfo:
    """The chunks of a file: these texts, and unless a profile says so, that it is sRGB.

    Raises:
      ValueError: a keyword or a text that a PNG cannot hold.
    """
    info = PngInfo()
    if srgb:  # PNG specification, 11.3.2.5: not together with a profile
        info.add(b"sRGB", _PERCEPTUAL)
    for keyword, text in metadata.items():
        if not _KEYWORD.fullmatch(keyword) or len(keyword) > 79 or keyword in _USURPED:
            raise ValueError(f"{path}: {keyword!r} cannot be a keyword of PNG metadata")
        if not isinstance(text, str) or "\0" in text:
            raise ValueError(f"{path}: metadata {keyword!r} must be text without NUL, got {text!r}")
        info.add_itxt(keyword, text)
    return info
