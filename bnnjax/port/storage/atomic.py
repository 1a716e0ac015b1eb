"""Atomic writes that never replace a file of another kind."""

import os
from collections.abc import Callable
from pathlib import Path


def check_target(
    path: Path, *, overwrite: bool, kind: str, is_ours: Callable[[Path], bool]
) -> None:
    """Checks that a path may be written to.

    Args:
      path: where a file is about to be written.
      overwrite: whether it may replace a file of the same kind.
      kind: the name of that kind, for the message.
      is_ours: whether an existing file is of that kind.

    Raises:
      ValueError: the path is a directory or a file of another kind, whatever ``overwrite`` says,
        or it exists and ``overwrite`` is False.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a directory; choose another name")
    if path.exists() and not is_ours(path):
        raise ValueError(f"{path} exists and is not {kind}, so it is never replaced")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; choose another name or allow overwriting")


def write(path: Path, content: bytes) -> None:
    """Writes a temporary file in the same folder and renames it to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(draft, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
