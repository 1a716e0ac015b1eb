"""Which pictures a caller means: files, folders, patterns, and lists of them."""

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bnnjax.images import HEIC, SUFFIXES


def expanded(sources: Iterable[Any]) -> list[Any]:
    """The same pictures, with folders and patterns replaced by the files that they stand for.

    A folder stands for the pictures directly in it, and a pattern such as ``photos/**/*.jpg`` for
    those that it matches, both in the order of their paths. Hidden files are left out. Paths joined
    by "+" become a tuple.

    Raises:
      ValueError: a folder holds no picture, or a pattern matches none.
    """
    found: list[Any] = []
    for source in sources:
        found += _files(source) if isinstance(source, str | os.PathLike) else [source]
    return found


def _together(source: str | os.PathLike[str]) -> Any:
    """The paths that "+" joins, as a tuple; a file with such a name is itself."""
    parts = os.fspath(source).split("+")
    return source if len(parts) == 1 or os.path.exists(source) else tuple(parts)


def _files(source: str | os.PathLike[str]) -> Sequence[Any]:
    if os.path.isdir(source):
        pattern, fault = os.path.join(glob.escape(os.fspath(source)), "*"), "holds no pictures"
    elif glob.has_magic(os.fspath(source)) and not os.path.exists(source):
        pattern, fault = os.fspath(source), "matches no pictures"
    else:
        return [_together(source)]
    matches = sorted(glob.glob(os.path.expanduser(pattern), recursive=True))
    if not (found := [path for path in matches if _is_picture(path)]):
        raise ValueError(f"{source}: {fault} ({', '.join(sorted(SUFFIXES | HEIC))})")
    return found


def _is_picture(path: str) -> bool:
    return Path(path).suffix.lower() in SUFFIXES | HEIC and os.path.isfile(path)


def listed(values: Iterable[str] | None) -> list[str] | None:
    """The paths in the values of a flag that may be repeated.

    A value that exists is one path, whatever its name; in others, commas separate paths.
    """
    if values is None:
        return None
    paths: list[str] = []
    for value in values:
        paths += [value] if os.path.exists(value) else [part.strip() for part in value.split(",")]
    return [path for path in paths if path]
