"""What the page can ask for. Every answer looks only among the visitor's own things."""

import asyncio
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from bnnjax import images
from bnnjax.app import offer, order, receive, settings, uploads
from bnnjax.app.config import AppConfig
from bnnjax.app.line import Line
from bnnjax.app.memory import forget_programs
from bnnjax.app.uploads import Upload
from bnnjax.app.visitors import Visitor, Visitors
from bnnjax.images import FORMATS
from bnnjax.nst.recipe import Recipe

T = TypeVar("T")
PAGE = Path(__file__).parent / "page"
TICK = 0.25  # seconds between two looks at what has changed
QUIET = 10.0  # seconds after which a stream says that it is alive, which shows whether the page is


class Routes:
    """The answers, and what they share.

    Args:
      config: what is offered and allowed.
      folder: receives the pictures of all visitors.

    Attributes:
      closing: whether the server is about to end, so that streams end, too.
    """

    def __init__(self, config: AppConfig, folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.models = offer.networks(config)
        self.samples = uploads.samples(folder / "samples")
        self.line = Line(after=partial(forget_programs, above=config.memory_mib * 2**20))
        self.visitors = Visitors(folder, config, self.line)
        self.closing: Callable[[], bool] = lambda: False
        self._cookie = f"bnnjax-{secrets.token_hex(4)}"  # two servers on one host share cookies
        self._decoding = asyncio.Lock()  # the limit of memory is for all visitors

    def listed(self) -> list[BaseRoute]:
        """All routes."""
        return [
            Route("/", self.index),
            Mount("/page", StaticFiles(directory=PAGE)),
            Route("/offer", self.offer),
            Route("/events", self.events),
            Route("/pictures", self.add_picture, methods=["POST"]),
            Route("/pictures/{id}", self.remove_picture, methods=["DELETE"]),
            Route("/pictures/{id}/thumbnail", self.picture_thumbnail),
            Route("/recipes", self.add_recipe, methods=["POST"]),
            Route("/job", self.begin, methods=["POST"]),
            Route("/job", self.stop, methods=["DELETE"]),
            Route("/job/{id}/{view}", self.job_view),
            Route("/works/{id}", self.remove_work, methods=["DELETE"]),
            Route("/works/{id}/settings", self.work_settings),
            Route("/works/{id}/download", self.download),
            Route("/works/{id}/{view}", self.work_view),
        ]

    # --- who asks --------------------------------------------------------------------------

    def index(self, request: Request) -> Response:
        """The page. Whoever has no secret yet gets one."""
        response = FileResponse(PAGE / "index.html")
        if self.visitors.find(request.cookies.get(self._cookie)) is None:
            secret = self.visitors.admit()
            if secret is None:
                raise HTTPException(503, "Too many people are here; please come back later.")
            response.set_cookie(self._cookie, secret, httponly=True, samesite="strict")
        return response

    def _visitor(self, request: Request) -> Visitor:
        visitor = self.visitors.find(request.cookies.get(self._cookie))
        if visitor is None:
            raise HTTPException(401, "This page is no longer known here; please load it again.")
        return visitor

    def _pictures(self, visitor: Visitor) -> dict[str, Upload]:
        return self.samples | visitor.uploads

    # --- what there is ---------------------------------------------------------------------

    def offer(self, request: Request) -> Response:
        """Samples, networks, limits and defaults."""
        return JSONResponse(offer.describe(self.config, self.samples.values(), self.models))

    async def events(self, request: Request) -> Response:
        """A stream of what changes; while it is open, the visitor is there."""
        reports = self._reports(self._visitor(request))
        return StreamingResponse(
            reports, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
        )

    async def _reports(self, visitor: Visitor) -> AsyncIterator[str]:
        visitor.pages += 1
        last, said = "", time.monotonic()
        try:
            while not self.closing():
                report = json.dumps(visitor.report(self.line))
                if report != last or time.monotonic() - said > QUIET:
                    yield f"data: {report}\n\n"
                    last, said = report, time.monotonic()
                await asyncio.sleep(TICK)
        finally:
            visitor.pages -= 1
            visitor.seen = time.monotonic()

    # --- pictures --------------------------------------------------------------------------

    async def add_picture(self, request: Request) -> Response:
        """Receives a file, the body of the request; ``name`` and ``kind`` are in the query."""
        visitor, kind = self._visitor(request), request.query_params.get("kind")
        if kind not in ("photograph", "painting"):
            raise HTTPException(422, "a picture is a photograph or a painting")
        if len(visitor.uploads) >= self.config.kept:
            raise HTTPException(422, f"{self.config.kept} pictures are kept; remove one first")
        path = await self._received(request, visitor)
        async with self._decoding:
            upload = await run_in_threadpool(uploads.check, path, kind, self.config)
        visitor.uploads[upload.id] = upload
        return JSONResponse({"id": upload.id, "name": upload.path.name, "kind": kind}, 201)

    def picture_thumbnail(self, request: Request) -> Response:
        return FileResponse(_named(self._pictures(self._visitor(request)), request).thumbnail)

    def remove_picture(self, request: Request) -> Response:
        visitor = self._visitor(request)
        _named(visitor.uploads, request).delete()
        del visitor.uploads[request.path_params["id"]]
        return Response(status_code=204)

    async def _received(self, request: Request, visitor: Visitor) -> Path:
        """The file in the body of the request, at a place of its own."""
        path = uploads.place(visitor.folder / "uploads", request.query_params.get("name", ""))
        await receive.into_file(request, path, most=self.config.upload_mib * 2**20)
        return path

    # --- recipes ---------------------------------------------------------------------------

    async def add_recipe(self, request: Request) -> Response:
        """The settings of a picture in the body of the request, which is not kept."""
        visitor = self._visitor(request)
        path = await self._received(request, visitor)
        try:
            async with self._decoding:
                recipe = await run_in_threadpool(self._read_recipe, path)
        finally:
            shutil.rmtree(path.parent, ignore_errors=True)
        return self._settings(visitor, recipe, path.name)

    def _read_recipe(self, path: Path) -> Recipe:
        try:
            uploads.check_header(path, self.config)
            return Recipe.read(path)
        except ValueError as error:
            raise ValueError(str(error).replace(f"{path.parent}/", "")) from None

    def work_settings(self, request: Request) -> Response:
        visitor = self._visitor(request)
        work = _named(visitor.works, request)
        return self._settings(visitor, Recipe.read(work.path), work.name)

    def _settings(self, visitor: Visitor, recipe: Recipe, name: str) -> Response:
        found = settings.describe(
            recipe,
            pictures=self._pictures(visitor).values(),
            models=self.models,
            config=self.config,
        )
        id = visitor.remember(recipe.config, kept=self.config.kept)
        return JSONResponse({"recipe": id, "name": name, **found}, 201)

    # --- painting --------------------------------------------------------------------------

    async def begin(self, request: Request) -> Response:
        """Puts the order in the body of the request, a form as JSON, into the line."""
        visitor = self._visitor(request)
        form = await receive.form(request)
        wanted = order.read(
            form,
            pictures=self._pictures(visitor),
            recipes=visitor.recipes,
            models=self.models,
            config=self.config,
        )
        return JSONResponse({"id": self.visitors.order(visitor, wanted).id}, 202)

    def stop(self, request: Request) -> Response:
        """Ends the visitor's job; the picture so far is kept."""
        job = self._visitor(request).job
        if job is not None and job.active:
            self.line.leave(job, keep=True)
        return Response(status_code=204)

    def job_view(self, request: Request) -> Response:
        """The picture so far ("preview") or the photograph ("before")."""
        job, params = self._visitor(request).job, request.path_params
        if job is None or job.id != params["id"] or params["view"] not in ("preview", "before"):
            raise HTTPException(404, "there is no such picture")
        data = job.preview if params["view"] == "preview" else job.before
        if data is None:
            raise HTTPException(404, "there is no picture yet")
        return Response(data, media_type="image/jpeg")

    # --- finished pictures -----------------------------------------------------------------

    def work_view(self, request: Request) -> Response:
        work = _named(self._visitor(request).works, request)
        views = {"picture": work.path, "before": work.before, "thumbnail": work.thumbnail}
        return FileResponse(_named(views, request, "view"))

    def download(self, request: Request) -> Response:
        """The file with its recipe; ``format`` in the query is one of `FORMATS`."""
        work = _named(self._visitor(request).works, request)
        suffix = FORMATS.get(request.query_params.get("format", "png"))
        if suffix is None:
            raise HTTPException(422, f"a format is one of {', '.join(FORMATS)}")
        path = work.path.with_suffix(suffix)
        if path != work.path:
            recipe = images.read_metadata(work.path)
            images.save_picture(path, images.load(work.path), metadata=recipe, overwrite=True)
        return FileResponse(path, filename=f"{work.name}{suffix}")

    def remove_work(self, request: Request) -> Response:
        visitor = self._visitor(request)
        _named(visitor.works, request).delete()
        del visitor.works[request.path_params["id"]]
        return Response(status_code=204)


def _named(things: Mapping[str, T], request: Request, parameter: str = "id") -> T:
    """The thing that the address names."""
    found = things.get(request.path_params[parameter])
    if found is None:
        raise HTTPException(404, "there is no such picture")
    return found
