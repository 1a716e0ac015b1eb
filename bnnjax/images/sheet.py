"""Contact sheets, to look at many pictures at once."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont

from bnnjax.images.decode import load
from bnnjax.images.png import to_pillow
from bnnjax.images.sizes import positive, resize

_GAP = 8
_CAPTION = 20  # height of a line of labels
_FONT_SIZE = 14


def contact_sheet(
    rows: Sequence[Sequence[ArrayLike]],
    *,
    labels: Sequence[Sequence[str]] | None = None,
    cell: SupportsIndex = 224,
) -> np.ndarray:
    """Arranges pictures in a grid on white: float32 [H, W, 3] of 8-bit values in [0, 1].

    With R rows of at most C pictures, H = 8 + R (cell + 8), plus 20 per row with labels, and
    W = 8 + C (cell + 8).

    Args:
      rows: pictures, any arrays that `load` takes; rows may differ in length. Each picture is
        scaled to fit into a square of side ``cell``.
      labels: nested like ``rows`` and best in ASCII, which is all that Pillow's own font has.
        They are written below the pictures and shortened where they are too wide.
      cell: in pixels.

    Raises:
      ValueError: there is no picture, ``cell`` or a picture is invalid, or labels do not match.
    """
    cell, columns = positive("cell", cell), max(map(len, rows), default=0)
    if not columns:
        raise ValueError("contact sheet: at least one picture is needed")
    if labels is not None and [len(row) for row in labels] != [len(row) for row in rows]:
        raise ValueError("contact sheet: labels must be nested like rows, one per picture")
    wide = cell + _GAP
    high = wide + (0 if labels is None else _CAPTION)
    sheet = Image.new("RGB", (_GAP + columns * wide, _GAP + len(rows) * high), "white")
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            left, top = _GAP + j * wide, _GAP + i * high
            picture = _scaled(image, cell)
            margins = (cell - picture.width) // 2, (cell - picture.height) // 2
            sheet.paste(picture, (left + margins[0], top + margins[1]))
            if labels is not None:
                sheet.paste(_caption(labels[i][j], cell), (left, top + cell))
    return load(sheet)


def _scaled(image: ArrayLike, cell: int) -> Image.Image:
    # ImageOps.contain would round to 8 bits twice, and lose pictures that are very long.
    image = load(image)
    longer = max(image.shape[:2])
    height, width = (max(1, round(side * cell / longer)) for side in image.shape[:2])
    return to_pillow(resize(image, height=height, width=width))


def _caption(text: str, width: int) -> Image.Image:
    """One line of black on white."""
    strip = Image.new("L", (width, _CAPTION), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(_FONT_SIZE)
    text = " ".join(text.split())
    while len(text) > 1 and draw.textlength(text, font) > width:
        text = text.rstrip("…")[:-1] + "…"
    draw.text((width / 2, _CAPTION / 2), text, "black", font, anchor="mm")
    return strip
