"""Pictures on disk, judged beside the photograph and the painting that each was made from."""

from collections.abc import Sequence
from pathlib import Path

from bnnjax import images
from bnnjax.judge import measures
from bnnjax.judge.measures import Features


def judge_file(
    path: Path, content: Path, style: Path, features: Features, *, size: int | None = None
) -> dict[str, float]:
    """The measures of one picture; photograph and painting are brought to its size.

    Args:
      path: of the picture.
      content, style: of the photograph and the painting that it was made from.
      features: the judge.
      size: shorter side to judge at, in pixels; the picture's own if None.
    """
    picture = images.load(path)
    photograph = images.fit(images.load(content), size=min(picture.shape[:2]))
    grid = float(measures.checker(picture))  # of the pixels as they were made: resizing hides it
    size = size or min(picture.shape[:2])
    painting = images.fit(images.load(style), size=size)
    picture, photograph = (images.fit(image, size=size) for image in (picture, photograph))
    return {**measures.judge(picture, photograph, painting, features), "checker": grid}


def pictures_in(names: Sequence[str]) -> list[Path]:
    """Pictures by their paths, or all CONTENT__STYLE.png of a single folder.

    Raises:
      ValueError: there are none.
    """
    paths = [Path(name) for name in names]
    if len(paths) == 1 and paths[0].is_dir():
        paths = sorted(path for path in paths[0].glob("*__*.png") if "." not in path.stem)
    if not paths:
        raise ValueError(f"no pictures in {', '.join(names)}")
    return paths


def original(stem: str, folder: str | Path) -> Path:
    """The one file of this stem in a folder.

    Raises:
      ValueError: there are none or several.
    """
    found = [path for path in sorted(Path(folder).iterdir()) if path.stem == stem]
    if len(found) != 1:
        raise ValueError(f"{folder} has {len(found)} files {stem}.*, needs exactly one")
    return found[0]
