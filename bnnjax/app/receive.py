"""Bodies of requests, of limited size however much is sent."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

FORM = 2**16  # bytes, the largest form


async def into_file(request: Request, path: Path, *, most: int) -> None:
    """Writes the body to a file, alone in its folder, which is deleted if that fails.

    Raises:
      HTTPException: 413, the body has more than ``most`` bytes.
    """
    size = 0
    try:
        with open(path, "wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise _too_large(f"{path.name}: is larger than {most / 2**20:g} MiB")
                file.write(chunk)
    except BaseException:  # the visitor may also leave in the middle
        shutil.rmtree(path.parent, ignore_errors=True)
        raise


async def form(request: Request) -> Mapping[str, Any]:
    """The JSON object in the body.

    Raises:
      HTTPException: 413, it is too large, or 422, it is something else.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM:
            raise _too_large("the form is too large")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise HTTPException(422, "the form needs to be a JSON object")
    return found


def _too_large(fault: str) -> HTTPException:
    """A refusal that closes the connection, so that the rest is not sent."""
    return HTTPException(413, fault, {"Connection": "close"})
