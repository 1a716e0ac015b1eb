"""The cache folder for downloads and compiled programs, and locks between processes."""

import os
from pathlib import Path

import platformdirs
from filelock import FileLock


def cache_folder() -> Path:
    """``$BNNJAX_CACHE``, or ``bnnjax`` in the platform's cache folder."""
    if folder := os.environ.get("BNNJAX_CACHE"):
        return Path(folder)
    return platformdirs.user_cache_path("bnnjax", appauthor=False)


def locked(path: Path) -> FileLock:
    """A context that only one process at a time can enter for ``path``; the others wait.

    The operating system releases the lock when the process ends, for whatever reason.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))
