"""Visitors: each has a folder of their own, and whatever they may see is found only there."""

import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from bnnjax.app.config import AppConfig
from bnnjax.app.job import Job, Work
from bnnjax.app.line import Line
from bnnjax.app.order import Order
from bnnjax.app.uploads import Upload
from bnnjax.nst.config import StylizeConfig

FLEETING = 30.0  # seconds after which someone is forgotten who never did anything


class Visitor:
    """Someone with an open page, known by a secret in a cookie.

    Attributes:
      folder: their own.
      uploads: their pictures, by id.
      recipes: the options of recipes that they dropped, by id.
      works: their finished pictures, by id, oldest first.
      job: the one that waits, is being painted, or was the last.
      pages: the number of open pages.
      seen: when there last was one, by `time.monotonic`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uploads: dict[str, Upload] = {}
        self.recipes: dict[str, StylizeConfig] = {}
        self.works: dict[str, Work] = {}
        self.job: Job | None = None
        self.pages = 0
        self.seen = time.monotonic()

    def absent(self) -> float:
        """The seconds since there was an open page."""
        return 0.0 if self.pages else time.monotonic() - self.seen

    def take(self, work: Work, *, kept: int) -> None:
        """Adds a finished picture; beyond ``kept``, the oldest is deleted."""
        self.works[work.id] = work
        while len(self.works) > kept:
            self.works.pop(next(iter(self.works))).delete()

    def remember(self, options: StylizeConfig, *, kept: int) -> str:
        """Keeps the options of a recipe, and returns their id; beyond ``kept``, the oldest go."""
        id = secrets.token_urlsafe(12)
        self.recipes[id] = options
        while len(self.recipes) > kept:
            del self.recipes[next(iter(self.recipes))]
        return id

    def report(self, line: Line) -> dict[str, Any]:
        """What the page shows, as JSON values."""
        job = None if self.job is None else self.job.report()
        if self.job is not None and job is not None:
            job["before_it"] = line.before(self.job)
        return {
            "job": job,
            "works": [
                {"id": work.id, "name": work.name, "size": work.size, "notes": work.notes}
                for work in list(self.works.values())  # a copy: the painter may add one
            ],
            "pictures": [
                {"id": upload.id, "name": upload.path.name, "kind": upload.kind}
                for upload in list(self.uploads.values())
            ],
        }


class Visitors:
    """All visitors, by their secrets.

    Args:
      folder: where their folders are.
      config: how many there may be, and how long they are remembered.
      line: where their jobs wait.
    """

    def __init__(self, folder: Path, config: AppConfig, line: Line) -> None:
        self._folder = folder
        self._config = config
        self._line = line
        self._known: dict[str, Visitor] = {}

    def find(self, secret: str | None) -> Visitor | None:
        """The visitor with this secret."""
        return self._known.get(secret or "")

    def admit(self) -> str | None:
        """The secret of a new visitor, or None if there are too many."""
        if len(self._known) >= self._config.visitors:
            return None
        secret = secrets.token_urlsafe(24)
        self._known[secret] = Visitor(self._folder / secrets.token_urlsafe(12))
        return secret

    def order(self, visitor: Visitor, order: Order) -> Job:
        """Puts an order into the line.

        Raises:
          ValueError: the visitor has a job in it already.
        """
        if visitor.job is not None and visitor.job.active:
            raise ValueError("your last picture is still being painted; wait, or stop it")
        folder = visitor.folder / "works" / secrets.token_urlsafe(12)
        visitor.job = Job(order, folder, lambda work: self._deliver(visitor, work))
        self._line.join(visitor.job)
        return visitor.job

    def _deliver(self, visitor: Visitor, work: Work) -> None:
        """Hands a finished picture to the visitor who ordered it, if still there."""
        if visitor in self._known.values():
            visitor.take(work, kept=self._config.kept)
        else:
            work.delete()

    def sweep(self) -> None:
        """Ends the jobs of visitors who left, and forgets those who have been away for long."""
        for secret, visitor in list(self._known.items()):
            absent, job = visitor.absent(), visitor.job
            if job is not None and job.active and absent > self._config.patience_seconds:
                self._line.leave(job, keep=False)
            empty = not (visitor.uploads or visitor.works or job)
            if absent > (FLEETING if empty else 60 * self._config.idle_minutes):
                del self._known[secret]
                shutil.rmtree(visitor.folder, ignore_errors=True)
