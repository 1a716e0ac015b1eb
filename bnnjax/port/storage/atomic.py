"""Files that appear whole or not at all, and never in place of something that is not ours."""

import os
from collections.abc import Callable
from pathlib import Path


def check_target(
    path: Path, *, overwrite: bool, kind: str, is_ours: Callable[[Path], bool]
) -> None:
    """Refuses a path that must not be written to.

    Args:
      path: where a file is about to be written.
      overwrite: whether it may replace a file of the same kind.
      kind: what such a file is called, for the message.
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
    """Writes a file through a temporary one in the same folder, which then takes its name."""
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
