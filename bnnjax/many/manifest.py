"""What is to be painted: a table of photographs and paintings, or folders of them."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bnnjax.nst.inputs import make_pairs, names_of
from bnnjax.nst.sources import expanded
from bnnjax.options import nearest

COLUMNS = ("content", "style", "name")


class Task(NamedTuple):
    """A picture to paint.

    Attributes:
      name: the name of its file, without the suffix; unique.
      content: the absolute path of the photograph.
      style: the absolute path of the painting, or of several, joined by "+".
    """

    name: str
    content: str
    style: str


def read(manifest: str | Path, styles: Sequence[str] = ()) -> list[Task]:
    """Lists the pictures of a manifest.

    Args:
      manifest: a ``.csv`` with a column ``content``, and if you like ``style`` and ``name``; its
        paths are relative to its folder. Or a photograph, a folder of them, or a pattern such as
        ``photos/**/*.jpg``.
      styles: paintings, in the same forms. Every photograph without a style of its own is painted
        in all of them. By default, pictures are called CONTENT__STYLE.

    Raises:
      ValueError: there is no such file or no picture, a column is unknown or missing, a photograph
        has no style, or two pictures have one name.
    """
    paintings = _listed(styles)
    if Path(manifest).suffix.lower() == ".csv":
        rows = _rows(Path(manifest))
    else:
        rows = [{"content": path} for path in _listed([manifest])]
    wanted = list(_with_styles(manifest, rows, paintings))
    if not wanted:
        raise ValueError(f"{manifest} lists no pictures")
    return _named(manifest, wanted)


def _listed(given: Sequence[str | Path]) -> list[str]:
    """The paths of these pictures; a blend's are joined by "+"."""
    parts = [source if isinstance(source, tuple) else (source,) for source in expanded(given)]
    for path in (path for joined in parts for path in joined):
        if not os.path.exists(path):
            raise ValueError(f"{path}: no such file or folder")
    return ["+".join(map(os.fspath, joined)) for joined in parts]


def _parts(path: str) -> list[str]:
    """The paths that "+" joins; a file with such a name is itself."""
    return [path] if os.path.exists(path) else path.split("+")


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            columns, rows = table.fieldnames or (), [dict(row) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: not a readable table ({error})") from None
    for column in columns:
        if column not in COLUMNS:
            raise ValueError(f"{path}: no column {column!r}{nearest(column, COLUMNS)}")
    if "content" not in columns:
        raise ValueError(f"{path} has no column 'content', which the paths of photographs are in")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not row["content"]:
            raise ValueError(f"{path}: line {line} has other columns than the first line")
        if any("\0" in value for value in row.values()):
            raise ValueError(f"{path}: line {line} holds a NUL, which is in no path")
    return [_beside(path.parent, row) for row in rows]


def _beside(folder: Path, row: Mapping[str, str]) -> dict[str, str]:
    """A row of the table with paths relative to its folder."""
    found = {name: value for name, value in row.items() if value}
    for kind in ("content", "style"):
        if kind in found:
            is_one = os.path.exists(folder / found[kind])  # False for a name that is too long
            parts = [found[kind]] if is_one else found[kind].split("+")
            found[kind] = "+".join(str(folder / part) for part in parts)
    return found


def _with_styles(
    manifest: str | Path, rows: Iterable[Mapping[str, str]], paintings: Sequence[str]
) -> Iterable[Mapping[str, str]]:
    for row in rows:
        if "style" in row:
            yield row
        elif not paintings:
            raise ValueError(f"{manifest}: {row['content']} has no style; give one for all")
        else:
            if "name" in row and len(paintings) > 1:
                raise ValueError(
                    f"{manifest}: {row['name']} is one name for {len(paintings)} paintings"
                )
            yield from ({**row, "style": painting} for painting in paintings)


def _named(manifest: str | Path, rows: Sequence[Mapping[str, str]]) -> list[Task]:
    contents = names_of([row["content"] for row in rows], kind="content")
    styles = names_of([tuple(_parts(row["style"])) for row in rows], kind="style")
    pairs = make_pairs(contents, styles, pairing="zip")
    names = [row.get("name", pair.name) for row, pair in zip(rows, pairs, strict=True)]
    taken: set[str] = set()
    for name in names:
        if name in taken or name != Path(name).name or name.startswith("."):
            fault = "is the name of two pictures" if name in taken else "cannot name a file"
            raise ValueError(f"{manifest}: {name!r} {fault}")
        taken.add(name)
    columns = ([_absolute(row[kind]) for row in rows] for kind in ("content", "style"))
    return [*map(Task, names, *columns)]


def _absolute(path: str) -> str:
    """Workers run in other folders."""
    return "+".join(map(os.path.abspath, _parts(path)))
