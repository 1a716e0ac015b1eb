"""Judges picture files by the photograph and the painting that each was made from."""

from collections.abc import Sequence
from pathlib import Path

from bnnjax import images
from bnnjax.judge import measures
from bnnjax.judge.measures import Features


def judge_file(
    path: Path, content: Path, style: Path, features: Features, *, size: int | None = None
) -> dict[str, float]:
    """The measures of one picture; photograph and painting are resized to its size.

    Args:
      path: the file of the picture.
      content, style: the files of the photograph and the painting that it was made from.
      features: the judge.
      size: the shorter side at which to judge, in pixels; the picture's own if None.

    Raises:
      ValueError: a file cannot be read, or see `measures.judge`.
    """
    picture = images.load(path)
    photograph = images.fit(images.load(content), size=min(picture.shape[:2]))
    grid = float(measures.checker(picture))  # before resizing, which hides the grid
    size = size or min(picture.shape[:2])
    painting = images.fit(images.load(style), size=size)
    picture, photograph = (images.fit(image, size=size) for image in (picture, photograph))
    return {**measures.judge(picture, photograph, painting, features), "checker": grid}


def pictures_in(names: Sequence[str]) -> list[Path]:
    """The paths of the pictures: the given ones, or all CONTENT__STYLE.png in a single folder.

    Raises:
      ValueError: the folder has no such pictures.
    """
    paths = [Path(name) for name in names]
    if len(paths) == 1 and paths[0].is_dir():
        paths = sorted(path for path in paths[0].glob("*__*.png") if "." not in path.stem)
    if not paths:
        raise ValueError(f"no pictures in {', '.join(names)}")
    return paths


def original(stem: str, folder: str | Path) -> Path:
    """The only file with this stem in a folder.

    Raises:
      ValueError: no file or several files have this stem.
    """
    found = [path for path in sorted(Path(folder).iterdir()) if path.stem == stem]
    if len(found) != 1:
        raise ValueError(f"{folder} has {len(found)} files {stem}.*, needs exactly one")
    return found[0]
