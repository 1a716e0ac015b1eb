"""Stylization into a folder: paths are checked before the work, and a killed run can resume."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnnjax.images import save_png
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.files import picture_paths
from bnnjax.nst.inputs import pair_up
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stylize import Preview, stylize_batch
from bnnjax.nst.sweep import spread

SNAPSHOTS = ".snapshots"  # a subfolder, removed once the pictures are written


def stylize_into(
    directory: str | Path,
    contents: Any,
    styles: Any,
    *,
    overwrite: bool = False,
    resume: bool = False,
    keep_paths: bool = False,
    previews: bool = False,
    **keywords: Any,
) -> tuple[StylizeResult, list[Path]]:
    """Runs `stylize_batch` and saves its pictures and figures in a folder.

    Args:
      directory: the folder; created if missing.
      contents, styles: see `stylize_batch`.
      overwrite: whether to replace existing pictures.
      resume: whether to resume an interrupted run of the same pictures and options.
      keep_paths: whether to store the paths of the inputs in the pictures.
      previews: whether to keep a NAME.preview.png of every picture up to date.
      **keywords: passed on to `stylize_batch`.

    Returns:
      The result, and the paths of the files written, pictures first.

    Raises:
      ValueError: pictures exist already (checked before any work), or see `stylize_batch`.
    """
    directory, overwrite = Path(directory), overwrite or resume
    pairs = pair_up(contents, styles, pairing=keywords.get("pairing", "zip"))
    pairs, _ = spread(pairs, StylizeConfig(), keywords.get("sweep") or {})
    picture_paths([pair.name for pair in pairs], directory, overwrite=overwrite)
    snapshots = directory / SNAPSHOTS
    if not resume:
        shutil.rmtree(snapshots, ignore_errors=True)
    preview = previewer(directory) if previews else None
    result = stylize_batch(contents, styles, preview=preview, snapshots=snapshots, **keywords)
    paths = result.save(directory, overwrite=overwrite, keep_paths=keep_paths)
    if not result.interrupted:
        shutil.rmtree(snapshots, ignore_errors=True)
    return result, paths


def previewer(directory: Path) -> Preview:
    """A ``preview`` of `stylize_batch` that keeps NAME.preview.png of every picture up to date."""

    def write(_: int, names: Sequence[str], pictures: Sequence[np.ndarray]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, pictures, strict=True):
            save_png(directory / f"{name}.preview.png", picture, overwrite=True)

    return write
