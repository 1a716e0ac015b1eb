"""Atlases in folders: a picture, a page, the layout as JSON; a killed run can resume."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnnjax import destination
from bnnjax.atlas import page
from bnnjax.atlas.atlas import Atlas, activation_atlas
from bnnjax.images import save_png
from bnnjax.port.storage import atomic

NAMES = ("atlas.png", "atlas.html", "atlas.json")
ACTIVATIONS = ".activations"  # a subfolder, kept for other layouts and grids
SNAPSHOTS = ".snapshots"  # a subfolder, removed once the files are written


def atlas_into(
    directory: str | Path,
    photographs: str | Path | Sequence[str | Path],
    *,
    overwrite: bool = False,
    resume: bool = False,
    **keywords: Any,
) -> tuple[Atlas, list[Path]]:
    """Runs `activation_atlas` and saves the atlas in a folder.

    Args:
      directory: the folder; created if missing.
      photographs: see `activation_atlas`.
      overwrite: whether to replace an existing atlas.
      resume: whether to resume an interrupted run, or to make another atlas of its activations.
      **keywords: passed on to `activation_atlas`.

    Returns:
      The atlas, and the paths of the files written.

    Raises:
      ValueError: an atlas exists already (checked before any work), or see `activation_atlas`.
    """
    directory = Path(directory).expanduser()
    paths(directory, overwrite=overwrite or resume)
    activations, snapshots = directory / ACTIVATIONS, directory / SNAPSHOTS
    if not resume:
        for folder in (activations, snapshots):
            shutil.rmtree(folder, ignore_errors=True)
    atlas = activation_atlas(photographs, activations=activations, snapshots=snapshots, **keywords)
    written = save(atlas, directory, overwrite=overwrite or resume)
    if not atlas.interrupted:
        shutil.rmtree(snapshots, ignore_errors=True)
    return atlas, written


def paths(directory: Path, *, overwrite: bool) -> list[Path]:
    """The paths of an atlas's files. Call it before the work starts, so that no result is lost.

    Raises:
      ValueError: some files exist (unless ``overwrite``), or the directory is a file.
    """
    found = [directory / name for name in NAMES]
    destination.check(found, overwrite=overwrite)
    return found


def save(atlas: Atlas, directory: str | Path, *, overwrite: bool = False) -> list[Path]:
    """Writes atlas.png, atlas.html and atlas.json; raises what `paths` raises."""
    directory = Path(directory).expanduser()
    picture, web, layout = found = paths(directory, overwrite=overwrite)
    directory.mkdir(parents=True, exist_ok=True)
    save_png(picture, atlas.picture(), overwrite=overwrite)
    atomic.write(web, page.render(atlas).encode())
    atomic.write(layout, json.dumps(_layout(atlas), indent=1).encode())
    return found


def _layout(atlas: Atlas) -> dict[str, Any]:
    """The atlas in numbers: every activation's place, every cell's members and classes."""
    samples = atlas.samples
    config = {name: value for name, value in vars(atlas.config).items() if name != "layout"}
    points = [
        {
            "photograph": str(atlas.paths[samples.pictures[number]]),
            "place": samples.places[number].round(4).tolist(),
            "point": atlas.points[number].round(4).tolist(),
            "cell": atlas.assigned[number].tolist(),
        }
        for number in range(len(atlas.points))
    ]
    cells = [
        {
            "cell": [cell.row, cell.column],
            "members": cell.members.tolist(),
            "cosine": round(cell.cosine, 4),
            "classes": cell.classes,
            "seen": cell.seen,
        }
        for cell in atlas.cells
    ]
    header = {"network": atlas.network.name, **config, "tap": atlas.tap, "layout": atlas.layout}
    return {**header, "figures": atlas.figures(), "cells": cells, "activations": points}
