"""The server: the routes with their safeguards, run until Ctrl-C."""

import asyncio
import contextlib
import ipaddress
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bnnjax.app.config import AppConfig
from bnnjax.app.routes import Routes

SWEEP = 1.0  # seconds between two looks at who has left
# Nothing is loaded from elsewhere, and the browser sees to it.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LOCAL = ["127.0.0.1", "localhost"]


class Safeguards:
    """Refuses what another website sends in a visitor's name, and adds the `HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        origin = Headers(scope=scope).get("sec-fetch-site", "same-origin")
        if scope["method"] != "GET" and origin not in ("same-origin", "none"):
            refusal = JSONResponse({"fault": "only this page may send anything here"}, 403)
            await refusal(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_safely)


def build(routes: Routes, *, local: bool) -> Starlette:
    """The application.

    Args:
      routes: its answers.
      local: whether only this machine is served. Then other host names are refused: a website could
        make its own name stand for this machine.
    """

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP)
            routes.visitors.sweep()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        sweeper = asyncio.create_task(sweep())
        yield
        sweeper.cancel()
        routes.line.close()
        shutil.rmtree(routes.folder, ignore_errors=True)  # a signal may end the process after this

    safeguards = [Middleware(Safeguards)]
    if local:
        safeguards.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=LOCAL))
    return Starlette(
        routes=routes.listed(),
        middleware=safeguards,
        lifespan=lifespan,
        exception_handlers={HTTPException: _refuse, ValueError: _refuse},
    )


def _refuse(request: Request, error: Exception) -> Response:
    """A fault as the page shows it."""
    if isinstance(error, HTTPException):
        return JSONResponse({"fault": error.detail}, error.status_code, error.headers)
    return JSONResponse({"fault": str(error)}, 422)


def serve(
    config: AppConfig, *, host: str, port: int, announce: Callable[[str], None] = print
) -> None:
    """Runs the page until Ctrl-C, and deletes all visitors' pictures in the end.

    Args:
      config: what the page offers and allows.
      host: the address to listen at; "127.0.0.1" serves only this machine.
      port: the port, or 0 for a free one.
      announce: called with the page's address once it can be opened.

    Raises:
      OSError: the address is taken, or not this machine's.
      ValueError: a network that cannot be loaded.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        folder = Path(tempfile.mkdtemp(prefix="bnnjax-app-"))
        try:
            server = make(config, folder, local=is_local(host))
            announce(f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}")
            server.run([listener])
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def make(config: AppConfig, folder: Path, *, local: bool = True) -> uvicorn.Server:
    """A server that keeps visitors' pictures in ``folder`` and deletes it in the end."""
    routes = Routes(config, folder)
    server = uvicorn.Server(
        uvicorn.Config(
            build(routes, local=local),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=20 * config.visitors,
            # Longer than a client pauses: one that is closed just as a request arrives loses it.
            timeout_keep_alive=75,
            timeout_graceful_shutdown=3,
        )
    )
    routes.closing = lambda: server.should_exit
    return server


def is_local(host: str) -> bool:
    """Whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
