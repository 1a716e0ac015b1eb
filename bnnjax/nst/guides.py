"""What else guides a stylization: masks, and pictures to start from."""

from collections.abc import Sequence
from typing import Any

from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.inputs import Pair, Picture, as_list, read_pictures


def with_masks(
    pictures: Sequence[Picture], masks: Any, *, kind: str, size: int, stride: int
) -> list[Picture]:
    """Photographs or paintings with their masks.

    Args:
      pictures: the pictures on their canvases.
      masks: see `stylize_batch`; None for none.
      kind: "content_mask" or "style_mask".
      size, stride: see `read_pictures`.

    Raises:
      ValueError: a mask cannot be read, or their number does not fit.
    """
    if masks is None:
        return list(pictures)
    read = _one_each(pictures, masks, kind=kind, size=size, stride=stride)
    add = _to_photograph if kind == "content_mask" else _to_paintings
    return [add(*item) for item in zip(pictures, read, strict=True)]


def with_start(
    photographs: Sequence[Picture], start: Any, *, size: int, stride: int
) -> list[Picture]:
    """Photographs with the pictures to start from.

    Raises:
      ValueError: a picture cannot be read, or their number does not fit.
    """
    if start is None:
        return list(photographs)
    read = _one_each(photographs, start, kind="start", size=size, stride=stride)
    return [p._replace(start=first) for p, first in zip(photographs, read, strict=True)]


def check(
    pairs: Sequence[Pair],
    photographs: Sequence[Picture],
    paintings: Sequence[Picture],
    config: StylizeConfig,
) -> None:
    """Raises a ValueError unless every pair has as many paintings as shares and regions."""
    for pair in pairs:
        count = len(paintings[pair.style].paintings)
        shares, regions = config.style_blend, len(photographs[pair.content].masks)
        if shares is not None and len(shares) != count:
            raise ValueError(f"{pair.name}: style_blend has {len(shares)} shares, needs {count}")
        if regions not in (0, 1, count):
            raise ValueError(
                f"{pair.name}: {regions} content masks for {count} paintings, needs 1 or {count}"
            )


def _one_each(
    pictures: Sequence[Picture], sources: Any, *, kind: str, size: int, stride: int
) -> list[Picture]:
    read = read_pictures(as_list(sources, kind=kind), kind=kind, size=size, stride=stride)
    if len(read) not in (1, len(pictures)):
        raise ValueError(f"{len(read)} {kind} for {len(pictures)} pictures, needs 1 or as many")
    return read * len(pictures) if len(read) == 1 else read


def _to_photograph(photograph: Picture, mask: Picture) -> Picture:
    return photograph._replace(masks=tuple(_on(photograph, m) for m in mask.paintings))


def _to_paintings(painting: Picture, mask: Picture) -> Picture:
    count, given = len(painting.paintings), len(mask.paintings)
    if given != count:
        raise ValueError(f"{painting.name}: {given} style masks for {count} paintings")
    first, *others = (
        own._replace(masks=(_on(own, m),))
        for own, m in zip(painting.paintings, mask.paintings, strict=True)
    )
    return first._replace(others=tuple(others))


def _on(picture: Picture, mask: Picture) -> Picture:
    """The mask on the canvas of its picture."""
    pixels = picture.place(mask.cropped)
    return mask._replace(pixels=pixels, rows=picture.rows, columns=picture.columns, others=())
