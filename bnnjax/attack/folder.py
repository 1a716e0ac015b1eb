"""An attack into a folder: paths are checked before the work, and a killed run can resume."""

import shutil
from pathlib import Path
from typing import Any

from bnnjax.attack import files
from bnnjax.attack.attack import attack_batch
from bnnjax.attack.result import AttackResult

SNAPSHOTS = ".snapshots"  # a subfolder, removed once the pictures are written


def attack_into(
    directory: str | Path,
    images: Any,
    model: Any = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    **keywords: Any,
) -> tuple[AttackResult, list[Path]]:
    """Runs `attack_batch` and saves its pictures and figures in a folder.

    Args:
      directory: the folder; created if missing.
      images, model: see `attack_batch`.
      overwrite: whether to replace existing files.
      resume: whether to resume an interrupted run of the same pictures and options.
      **keywords: passed on to `attack_batch`.

    Returns:
      The result, and the paths of the files written.

    Raises:
      ValueError: the folder holds an attack already (checked before any work), or see
        `attack_batch`.
    """
    directory, overwrite = Path(directory), overwrite or resume
    files.check(directory, overwrite=overwrite)
    snapshots = directory / SNAPSHOTS
    if not resume:
        shutil.rmtree(snapshots, ignore_errors=True)
    result = attack_batch(images, model, snapshots=snapshots, **keywords)
    paths = result.save(directory, overwrite=overwrite)
    if not result.interrupted:
        shutil.rmtree(snapshots, ignore_errors=True)
    return result, paths
