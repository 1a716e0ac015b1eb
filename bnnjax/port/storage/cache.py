"""The folder that keeps downloads and compiled programs, and locks between processes."""

import os
from pathlib import Path

import platformdirs
from filelock import FileLock


def cache_folder() -> Path:
    """``$BNNJAX_CACHE``, or ``bnnjax`` in the platform's folder for caches."""
    if folder := os.environ.get("BNNJAX_CACHE"):
        return Path(folder)
    return platformdirs.user_cache_path("bnnjax", appauthor=False)


def locked(path: Path) -> FileLock:
    """A context that one process at a time may enter for ``path``, while the others wait.

    The operating system holds the lock, so it ends with its process, however that ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))
