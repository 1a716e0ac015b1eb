"""Turns a caller's inputs into named pictures on canvases, and into pairs of them."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bnnjax import images
from bnnjax.nst import color, tiles
from bnnjax.nst.sources import expanded
from bnnjax.port.storage.download import file_sha256

PAIRINGS = ("zip", "product")


class Picture(NamedTuple):
    """A photograph or painting, resized and placed on a canvas.

    Attributes:
      name: used in the names of the results.
      path: the path of its file; None for an array or PIL image.
      sha256: the hash of the file, or else of the float32 pixels [H, W, 3] in [0, 1].
      pixels: float32 [h, w, 3], sRGB in [0, 1]: resized to the requested size and extended by its
        own mirror image, so that both sides suit the network.
      rows, columns: the position of the picture itself within ``pixels``.
      alpha: its opacity, float32 [height, width] in [0, 1] at any size; None if it is opaque.
      masks: where a photograph is painted, or what a painting is measured by, on the same canvas;
        none for everywhere.
      others: the further paintings of a blend.
      start: what the optimisation starts from in place of a photograph, on any canvas.
    """

    name: str
    path: str | None
    sha256: str
    pixels: np.ndarray
    rows: slice
    columns: slice
    alpha: np.ndarray | None = None
    masks: tuple["Picture", ...] = ()
    others: tuple["Picture", ...] = ()
    start: "Picture | None" = None

    @property
    def paintings(self) -> tuple["Picture", ...]:
        """All paintings of a blend, this one first."""
        return (self, *self.others)

    @property
    def grey(self) -> np.ndarray:
        """The luma, float32 [h, w]."""
        return self.pixels @ np.asarray(color.LUMA, np.float32)

    @property
    def cropped(self) -> np.ndarray:
        """The picture without its margins, float32 [H, W, 3]."""
        return self.crop(self.pixels)

    def crop(self, pixels: np.ndarray) -> np.ndarray:
        """Cuts the margins off a picture [h, w, 3] on this one's canvas."""
        return pixels[self.rows, self.columns]

    def resized(self, size: int, stride: int, *, tile: bool = False) -> "Picture":
        """This picture with a shorter side of ``size``, on a canvas for the stride, with its masks
        and the others of the blend. If it is to ``tile``, it fills its canvas."""
        place = tiles.fill_canvas if tile else put_on_canvas
        pixels, rows, columns = place(self.cropped, size=size, stride=stride)
        masks, others = (
            tuple(picture.resized(size, stride, tile=tile) for picture in pictures)
            for pictures in (self.masks, self.others)
        )
        return self._replace(pixels=pixels, rows=rows, columns=columns, masks=masks, others=others)

    def wrapped(self, *, size: int, stride: int) -> "Picture":
        """This picture and its masks with edges that meet, see `tiles.wrapped`."""
        pixels = tiles.wrapped(self.cropped, size=size, stride=stride)
        whole = [slice(0, side) for side in pixels.shape[:2]]
        masks = tuple(mask.wrapped(size=size, stride=stride) for mask in self.masks)
        return self._replace(pixels=pixels, rows=whole[0], columns=whole[1], masks=masks)

    def place(self, picture: np.ndarray) -> np.ndarray:
        """Resizes a picture [h, w, 3] to this one's size and mirrors it into the margins."""
        height, width = self.cropped.shape[:2]
        fitted = images.resize(picture, height=height, width=width)
        spans = zip((self.rows, self.columns), self.pixels.shape[:2], strict=True)
        margins = [(span.start, side - span.stop) for span, side in spans]
        return np.pad(fitted, (*margins, (0, 0)), mode="symmetric")


class Pair(NamedTuple):
    """A photograph and a painting, by their indices in the inputs, and in a sweep also the label of
    the ``setting``."""

    content: int
    style: int
    name: str
    setting: str = ""


def as_list(sources: Any, *, kind: str) -> list[Any]:
    """One or more pictures as a list.

    Args:
      sources: a path, PIL image or array [H, W] or [H, W, 3]; a sequence of these or of tuples of
        these; or an array [N, H, W, 3]. A folder or a pattern stands for its pictures, and "+"
        between paths for a tuple, see `sources.expanded`.
      kind: "content" or "style", for the message.

    Raises:
      ValueError: no pictures were given, or a folder or pattern has none.
    """
    single = isinstance(sources, (str, os.PathLike, Image.Image))
    single |= hasattr(sources, "ndim") and sources.ndim in (2, 3)
    if not single and not isinstance(sources, Iterable):
        raise ValueError(f"{kind} is {sources!r}, needs pictures: paths, PIL images or arrays")
    listed = expanded([sources] if single else sources)
    if not listed:
        raise ValueError(f"no {kind} pictures were given")
    return listed


def read_pictures(sources: Sequence[Any], *, kind: str, size: int, stride: int) -> list[Picture]:
    """Reads paths, PIL images or arrays as pictures with unique names.

    Args:
      sources: see `as_list`.
      kind: "content" or "style", the name of pictures without a file.
      size: the shorter side that they are resized to, in pixels.
      stride: both sides of a canvas are multiples of it.

    Raises:
      ValueError: a picture cannot be read.
    """
    names = names_of(sources, kind=kind)
    return [_read(source, n, size, stride) for source, n in zip(sources, names, strict=True)]


def _is_path(source: Any) -> bool:
    return isinstance(source, (str, os.PathLike))


def _read(source: Any, name: str, size: int, stride: int) -> Picture:
    if isinstance(source, tuple):
        names = names_of(source, kind=name)
        first, *others = (_read(*part, size, stride) for part in zip(source, names, strict=True))
        return first._replace(name=name, others=tuple(others))
    pixels, alpha = _load(source, name, size)
    path = os.fspath(source) if _is_path(source) else None
    sha256 = file_sha256(path) if path else hashlib.sha256(pixels.tobytes()).hexdigest()
    canvas = put_on_canvas(pixels, size=size, stride=stride)
    return Picture(name, path, sha256, *canvas, alpha)


def _load(source: Any, name: str, size: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The pixels and the opacity, of files at the size already."""
    if _is_path(source):
        pixels, alpha = images.load_fitted(source, size=size), images.load_alpha(source)
        if alpha is not None:
            height, width = pixels.shape[:2]
            alpha = images.resize_channel(alpha, height=height, width=width)
        return pixels, alpha
    picture = source if isinstance(source, Image.Image) else np.asarray(source)
    try:
        return images.load(picture), images.load_alpha(picture)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def names_of(sources: Sequence[Any], *, kind: str) -> list[str]:
    """Unique names: file stems, or the kind and a number. The same file always has one name."""
    named: dict[tuple[str, str], str] = {}
    free, names = FreeNames(), []
    for number, source in enumerate(sources, start=1):
        parts = source if isinstance(source, tuple) else (source,)
        files = all(map(_is_path, parts))
        what = "+".join(map(os.path.realpath, parts)) if files else f"#{number}"
        stem = "+".join(Path(part).stem for part in parts) if files else f"{kind}{number}"
        if (stem, what) not in named:
            named[stem, what] = free.take(stem)
        names.append(named[stem, what])
    return names


class FreeNames:
    """Gives every name once: ``stem``, ``stem-2``, ``stem-3`` … without trying them all again."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._last: dict[str, int] = {}

    def take(self, stem: str) -> str:
        """The first of these names that is free; it is no longer free then."""
        number = self._last.get(stem, 0) + 1
        while (name := stem if number == 1 else f"{stem}-{number}") in self._taken:
            number += 1
        self._last[stem] = number
        self._taken.add(name)
        return name


def pair_up(contents: Any, styles: Any, *, pairing: str) -> list[Pair]:
    """`make_pairs` for pictures in any form that `as_list` takes."""
    names = [
        names_of(as_list(sources, kind=kind), kind=kind)
        for sources, kind in ((contents, "content"), (styles, "style"))
    ]
    return make_pairs(*names, pairing=pairing)


def make_pairs(contents: Sequence[str], styles: Sequence[str], *, pairing: str) -> list[Pair]:
    """Pairs of photographs and paintings, named CONTENT__STYLE.

    "zip" pairs the first with the first and so on, and a single picture with all; "product" pairs
    every photograph with every painting.

    Raises:
      ValueError: an unknown pairing, or numbers that do not zip.
    """
    if pairing not in PAIRINGS:
        raise ValueError(f"pairing is {pairing!r}, needs one of {PAIRINGS}")
    n, m = len(contents), len(styles)
    if pairing == "product":
        indices = [(i, j) for i in range(n) for j in range(m)]
    elif n == m or 1 in (n, m):
        indices = [(i % n, i % m) for i in range(max(n, m))]
    else:
        raise ValueError(
            f"{n} contents and {m} styles do not zip; give equal numbers, a single one of either, "
            "or pairing='product'"
        )
    free = FreeNames()
    return [Pair(i, j, free.take(f"{contents[i]}__{styles[j]}")) for i, j in indices]


def put_on_canvas(pixels: np.ndarray, *, size: int, stride: int) -> tuple[np.ndarray, slice, slice]:
    """Resizes a picture to a shorter side of ``size`` and mirrors it to multiples of ``stride``.

    The aspect ratio is preserved to the pixel, and canvases have few different shapes.

    Returns:
      The canvas, and the rows and columns that the picture occupies in it.
    """
    fitted = images.fit(pixels, size=size)
    margins = [-side % stride for side in fitted.shape[:2]]
    edges = [(margin // 2, margin - margin // 2) for margin in margins]
    canvas = np.pad(fitted, (*edges, (0, 0)), mode="symmetric")
    rows, columns = (
        slice(before, before + side)
        for (before, _), side in zip(edges, fitted.shape[:2], strict=True)
    )
    return canvas, rows, columns
