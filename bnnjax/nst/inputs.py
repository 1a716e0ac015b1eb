"""From what a user hands over to named pictures, pairs and canvases."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from bnnjax import images

PAIRINGS = ("zip", "product")
_LONGEST = 8  # times the shorter side; beyond, a canvas is all length


class Picture(NamedTuple):
    """A picture with the name that results are called by; ``path`` is None for what is no file."""

    name: str
    path: str | None
    pixels: np.ndarray  # float32 [H, W, 3], sRGB in [0, 1]


class Pair(NamedTuple):
    """A photograph and the painting that it is to look like, by their places in the inputs."""

    content: int
    style: int
    name: str


class Canvas(NamedTuple):
    """A picture surrounded by its own mirror image, so that both sides suit a network."""

    pixels: np.ndarray  # [h, w, 3]
    rows: slice  # where the picture itself lies
    columns: slice


def as_list(sources: Any, *, kind: str) -> list[Any]:
    """One or many pictures as a list of single ones.

    Args:
      sources: a path, PIL image or array [H, W] or [H, W, 3]; a sequence of such; or an array
        [N, H, W, 3].
      kind: "content" or "style", for the message.

    Raises:
      ValueError: none at all.
    """
    single = isinstance(sources, (str, os.PathLike, Image.Image))
    single |= hasattr(sources, "ndim") and sources.ndim in (2, 3)
    if not single and not isinstance(sources, Iterable):
        raise ValueError(f"{kind} is {sources!r}, needs pictures: paths, PIL images or arrays")
    listed = [sources] if single else list(sources)
    if not listed:
        raise ValueError(f"no {kind} pictures were given")
    return listed


def as_pictures(sources: Sequence[Any], *, kind: str) -> list[Picture]:
    """Paths, PIL images or arrays as pictures with names that differ.

    Raises:
      ValueError: one that cannot be read, or is many times longer than wide.
    """
    names = names_of(sources, kind=kind)
    return [
        Picture(name, str(source) if _is_path(source) else None, _load(source, name))
        for source, name in zip(sources, names, strict=True)
    ]


def _is_path(source: Any) -> bool:
    return isinstance(source, (str, os.PathLike))


def _load(source: Any, name: str) -> np.ndarray:
    if _is_path(source):
        pixels = images.load(source)
    else:
        try:
            pixels = images.load(source if isinstance(source, Image.Image) else np.asarray(source))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    short, long = sorted(pixels.shape[:2])
    if long > _LONGEST * short:
        raise ValueError(f"{name}: {long}×{short} px is longer than {_LONGEST}:1; crop it")
    return pixels


def names_of(sources: Sequence[Any], *, kind: str) -> list[str]:
    """File stems, or the kind and a number; the same file has one name, other files another."""
    taken: dict[str, str] = {}  # name → what it stands for
    names = []
    for number, source in enumerate(sources, start=1):
        what = os.path.realpath(source) if _is_path(source) else f"#{number}"
        stem = Path(source).stem if _is_path(source) else f"{kind}{number}"
        name = unused(stem, partial(_stands_for, taken, what))
        taken[name] = what
        names.append(name)
    return names


def _stands_for(taken: Mapping[str, str], what: str, name: str) -> bool:
    return taken.get(name, what) == what


def unused(stem: str, accept: Callable[[str], bool]) -> str:
    """The first of ``stem``, ``stem-2``, ``stem-3`` … that is accepted."""
    name, number = stem, 1
    while not accept(name):
        number += 1
        name = f"{stem}-{number}"
    return name


def make_pairs(contents: Sequence[str], styles: Sequence[str], *, pairing: str) -> list[Pair]:
    """Pairs of names, called CONTENT__STYLE.

    "zip" takes the first with the first and so on, a single one with all; "product" takes every
    photograph with every painting.

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
            f"{n} contents and {m} styles do not zip; give as many of both, one of either, or "
            "pairing='product'"
        )
    taken: set[str] = set()
    pairs = []
    for i, j in indices:
        stem = f"{contents[i]}__{styles[j]}"
        name = unused(stem, lambda name: name not in taken)
        taken.add(name)
        pairs.append(Pair(i, j, name))
    return pairs


def put_on_canvas(pixels: np.ndarray, *, size: int, stride: int) -> Canvas:
    """The picture with shorter side ``size``, mirrored outwards to multiples of ``stride``.

    The aspect ratio is kept to the pixel, and canvases take few different shapes.
    """
    fitted = images.fit(pixels, size=size)
    margins = [-side % stride for side in fitted.shape[:2]]
    edges = [(margin // 2, margin - margin // 2) for margin in margins]
    padded = np.pad(fitted, (*edges, (0, 0)), mode="symmetric")
    rows, columns = (
        slice(before, before + side)
        for (before, _), side in zip(edges, fitted.shape[:2], strict=True)
    )
    return Canvas(padded, rows, columns)
