"""Stylization into a folder: whatever could spoil it is checked first, and a killed run resumes."""

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

SNAPSHOTS = ".snapshots"  # below the folder, until its pictures are written


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
    """`stylize_batch` whose pictures and figures are saved in a folder.

    Args:
      directory: made if there is none.
      contents, styles: see `stylize_batch`.
      overwrite: whether pictures that exist are replaced.
      resume: go on with a run of the same pictures and options that was cut off.
      keep_paths: whether the pictures hold the paths of their inputs.
      previews: whether NAME.preview.png of every picture is kept up to date.
      **keywords: of `stylize_batch`.

    Returns:
      The result, and the files written, the pictures first.

    Raises:
      ValueError: pictures exist, before any work; or see `stylize_batch`.
    """
    directory, overwrite = Path(directory), overwrite or resume
    pairs = pair_up(contents, styles, pairing=keywords.get("pairing", "zip"))
    pairs, _ = spread(pairs, StylizeConfig(), keywords.get("sweep") or {})
    picture_paths([pair.name for pair in pairs], directory, overwrite=overwrite)
    snapshots = directory / SNAPSHOTS
    if not resume:
        shutil.rmtree(snapshots, ignore_errors=True)
    preview = _previewer(directory) if previews else None
    result = stylize_batch(contents, styles, preview=preview, snapshots=snapshots, **keywords)
    paths = result.save(directory, overwrite=overwrite, keep_paths=keep_paths)
    if not result.interrupted:
        shutil.rmtree(snapshots, ignore_errors=True)
    return result, paths


def _previewer(directory: Path) -> Preview:
    def write(_: int, names: Sequence[str], pictures: Sequence[np.ndarray]) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, pictures, strict=True):
            save_png(directory / f"{name}.preview.png", picture, overwrite=True)

    return write
