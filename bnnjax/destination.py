"""Where a run writes: checked, tried and claimed before the work, so that no result is lost."""

import contextlib
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

_PROBE = 64 * 1024  # bytes that must fit on the disk


def check(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Checks the paths of files that will be written.

    Raises:
      ValueError: some exist (unless ``overwrite``), or one of their folders is a file.
    """
    for folder in {parent: None for path in paths for parent in path.parents}:
        if os.path.exists(folder) and not os.path.isdir(folder):
            raise ValueError(f"{folder} is a file, needs to be a directory")
    existing = [str(path) for path in paths if os.path.lexists(path)]
    if existing and not overwrite:
        more = f" and {len(existing) - 4} more" if len(existing) > 4 else ""
        raise ValueError(
            f"{', '.join(existing[:4])}{more}: exists already; choose another directory, or set "
            "overwrite (--overwrite on the command line)"
        )


@contextlib.contextmanager
def claimed(directory: Path, names: Iterable[str], *, lock: str = ".lock") -> Iterator[None]:
    """Creates a folder, tries it, and keeps other runs out of it while the context lasts.

    Args:
      directory: the folder; removed in the end if it is new and nothing was written.
      names: the names of the files that will be written.
      lock: the name of the file that is locked; runs with different ones do not exclude each other.

    Raises:
      ValueError: another run has claimed the folder, or the files cannot be written (a folder that
        is read-only, a full disk, a name that is too long).
    """
    claim, new = FileLock(directory / lock, timeout=0), not os.path.exists(directory)
    try:
        with _failures(directory):
            directory.mkdir(parents=True, exist_ok=True)
            claim.acquire()
            _try(directory, names)
        yield
    finally:
        with contextlib.suppress(OSError):
            if claim.is_locked:
                os.unlink(claim.lock_file)
            claim.release()
            if new:
                directory.rmdir()  # only if it is empty


@contextlib.contextmanager
def _failures(directory: Path) -> Iterator[None]:
    try:
        yield
    except Timeout:
        raise ValueError(
            f"{directory}: another run is writing into this directory; wait for it, or choose "
            "another directory"
        ) from None
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or directory}"
        raise ValueError(f"{directory}: cannot be written to ({reason})") from None


def _try(directory: Path, names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            os.lstat(directory / name)  # fails if the name is too long
    for abandoned in directory.glob(".*.part"):  # by a killed run
        abandoned.unlink()
    probe = directory / f".{uuid.uuid4().hex}.part"
    try:
        probe.write_bytes(bytes(_PROBE))
    finally:
        probe.unlink(missing_ok=True)
