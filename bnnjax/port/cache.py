"""The folder where downloads and compiled programs are kept, and locks between processes."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def cache_folder() -> Path:
    """``$BNNJAX_CACHE``, or ``bnnjax`` in the place that the platform has for caches."""
    if folder := os.environ.get("BNNJAX_CACHE"):
        return Path(folder)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bnnjax"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local or Path.home() / "AppData" / "Local") / "bnnjax" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bnnjax"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time for what ``path`` stands for; the others wait.

    The lock is the system's: it ends with its process, however that ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f"{path.name}.lock"), "a+b") as file:
        _lock(file)
        yield


def _lock(file: IO[bytes]) -> None:
    if sys.platform == "win32":
        import msvcrt

        held = False
        while not held:
            file.seek(0)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                held = True
            except OSError as error:
                if error.errno != errno.EDEADLK:  # with which it gives up after ten seconds
                    raise
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
