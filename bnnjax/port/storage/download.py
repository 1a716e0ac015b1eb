"""Downloads that are verified, resumed after an interruption, and atomic."""

import errno
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from bnnjax.models.entry import KerasFile, ReleaseFile

RELEASES = "https://github.com/larq/zoo/releases/download"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
CHUNK = 1 << 16  # bytes
TIMEOUT = 30  # seconds without receiving a byte
_UNITS: dict[str, Any] = {"unit": "B", "unit_scale": True}
_BROKEN = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)


def file_url(file: ReleaseFile | KerasFile) -> str:
    """The address of a file, below ``$BNNJAX_ZOO_URL`` (Larq Zoo) or ``$BNNJAX_KERAS_URL`` if that
    names a mirror."""
    if isinstance(file, KerasFile):
        return f"{os.environ.get('BNNJAX_KERAS_URL') or KERAS}/{file.folder}/{file.name}"
    return f"{os.environ.get('BNNJAX_ZOO_URL') or RELEASES}/{file.release}/{file.name}"


def download(url: str, path: Path, *, checksum: tuple[str, str], progress: bool = True) -> Path:
    """Downloads a file to ``path``, which appears only after its checksum has been verified.

    An interrupted download is kept at ``path`` with ``.part`` appended and resumed from there.

    Args:
      url: the address of the file.
      path: where to write it.
      checksum: "sha256" or "md5", and the expected value (hexadecimal).
      progress: whether to show a progress bar.

    Raises:
      ValueError: no connection, an unexpected response, another checksum, or a full disk.
    """
    kind, needed = checksum
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        resumed = part.exists()
        _receive(url, part, progress)
        if resumed and file_hash(part, kind) != needed:  # perhaps of another file: start over
            part.unlink()
            _receive(url, part, progress)
    except urllib.error.HTTPError as error:
        raise ValueError(f"{url}: the server answers {error.code} {error.reason}") from None
    except _BROKEN as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(
            f"{url}: cannot be downloaded ({reason}); run again when there is a connection"
        ) from None
    except OSError as error:
        raise ValueError(_disk_fault(error, path, part)) from None
    found = file_hash(part, kind)
    if found != needed:
        part.unlink()
        raise ValueError(f"{url}: has {kind} {found}, needs {needed}; nothing was kept")
    part.replace(path)
    return path


def _disk_fault(error: OSError, path: Path, part: Path) -> str:
    """The message for a disk error; also deletes the partial file if the disk is full."""
    fault = f"{path}: {error.strerror or error}"
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return fault
    part.unlink(missing_ok=True)
    return f"{fault}; nothing was kept"


def _receive(url: str, part: Path, progress: bool) -> None:
    """Appends what is missing, or fetches the whole file if the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing; the hash is checked next
        raise
    with answer:
        have = have if answer.status == http.HTTPStatus.PARTIAL_CONTENT else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = tqdm(desc=part.stem, total=total, initial=have, disable=not progress, **_UNITS)
        with bar, open(part, "ab" if have else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and part.stat().st_size < total:
        raise ConnectionError(
            f"the connection broke off after {part.stat().st_size} of {total} bytes"
        )


def file_sha256(path: str | Path) -> str:
    """The hexadecimal sha256 of a file."""
    return file_hash(path, "sha256")


def file_hash(path: str | Path, kind: str) -> str:
    """The hexadecimal hash of a file; ``kind`` is a name in `hashlib`, "sha256" or "md5"."""
    empty = partial(hashlib.new, kind, usedforsecurity=False)  # which some systems need for md5
    with open(path, "rb") as file:
        return hashlib.file_digest(file, empty).hexdigest()
