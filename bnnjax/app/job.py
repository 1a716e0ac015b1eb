"""A picture on its way: it waits, is painted before the visitor's eyes, and becomes a `Work`."""

import io
import logging
import secrets
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from bnnjax import images
from bnnjax.app.clock import Clock
from bnnjax.app.order import Order
from bnnjax.app.uploads import THUMBNAIL, save_jpeg
from bnnjax.images.png import to_pillow
from bnnjax.nst.files import Writer
from bnnjax.nst.prepare import Prepared
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stages import stages

State = Literal["waiting", "preparing", "painting", "done", "stopped", "failed"]
ACTIVE = ("waiting", "preparing", "painting")
SHOWN = 768  # px, the longer side of a preview


class Work(NamedTuple):
    """A finished picture.

    Attributes:
      id: an unguessable name.
      name: CONTENT__STYLE.
      path: the PNG, with its recipe.
      before: the photograph at the same size, a JPEG.
      thumbnail: a small JPEG.
      size: width and height in pixels.
      notes: what to know about it, such as that it was stopped early.
    """

    id: str
    name: str
    path: Path
    before: Path
    thumbnail: Path
    size: tuple[int, int]
    notes: tuple[str, ...]

    def delete(self) -> None:
        """Removes the files."""
        shutil.rmtree(self.path.parent, ignore_errors=True)


class Job:
    """Paints one order. `run` is called by the thread that paints; others read and `stop`.

    Args:
      order: what to paint.
      folder: receives the files of the work; created when it is finished.
      deliver: called in the painting thread with the work, if there is one.

    Attributes:
      state: see `State`.
      fault: why it failed, a line for the visitor.
      preview, before: the picture so far and the photograph, as JPEG; None until there is one.
      previews: the number of previews so far.
      clock: the progress; None until painting begins.
      work: the finished picture; None unless the state is "done" or "stopped".
    """

    def __init__(self, order: Order, folder: Path, deliver: Callable[[Work], None]) -> None:
        self.id = secrets.token_urlsafe(12)
        self.order = order
        self.folder = folder
        self.deliver = deliver
        self.state: State = "waiting"
        self.fault = ""
        self.preview: bytes | None = None
        self.before: bytes | None = None
        self.previews = 0
        self.clock: Clock | None = None
        self.work: Work | None = None
        self._stop = threading.Event()
        self._keep = True

    @property
    def active(self) -> bool:
        """Whether it waits or is being painted."""
        return self.state in ACTIVE

    def stop(self, *, keep: bool) -> None:
        """Ends the job: at once if it has not begun, else after about a second, or when the program
        is compiled. The picture so far is kept if ``keep``."""
        self._keep = self._keep and keep
        self._stop.set()

    def run(self) -> None:
        """Paints; whatever happens is in the attributes afterwards."""
        try:
            self._paint()
        except Exception as error:  # one visitor's order must not end everybody's page
            if not isinstance(error, ValueError):
                logging.getLogger(__name__).exception("a job failed")
            self.fault = self._told(error)
            self.state = "failed"

    def _paint(self) -> None:
        if self._stop.is_set():
            self.state = "stopped"
            return
        self.state = "preparing"
        prepared = self.order.prepare()
        self.before = _jpeg(prepared.photograph(0).cropped)
        self.clock = Clock(stages(prepared.config))
        result = prepared.run(progress=False, preview=self._show)
        # After a stop that came before the first step, there is nothing to keep.
        if self.preview is not None and (self._keep or not result.interrupted):
            self.work = self._finish(prepared, result)
            self.deliver(self.work)
        self.state = "stopped" if result.interrupted else "done"

    def _show(self, steps: int, names: list[str], pictures: list[np.ndarray]) -> None:
        """Takes the picture so far; `bnnjax.nst.prepare.Preview`."""
        assert self.clock is not None
        self.clock.report(min(pictures[0].shape[:2]), steps, time.monotonic())
        self.preview = _jpeg(pictures[0])
        self.previews += 1
        self.state = "painting"
        if self._stop.is_set():
            raise KeyboardInterrupt  # which ends a run with its best picture so far

    def _finish(self, prepared: Prepared, result: StylizeResult) -> Work:
        self.folder.mkdir(parents=True)
        path, picture = self.folder / "picture.png", result.images[0]
        Writer(prepared, [path]).write(0, picture, unfinished=result.unfinished(0))
        before = save_jpeg(self.folder / "before.jpg", prepared.photograph(0).cropped)
        small = images.fit(picture, size=min(THUMBNAIL, *picture.shape[:2]))
        thumbnail = save_jpeg(self.folder / "thumbnail.jpg", small)
        height, width = picture.shape[:2]
        notes = [result.unfinished(0) or problem for problem in result.problems]
        name = prepared.names[0]
        return Work(self.id, name, path, before, thumbnail, (width, height), tuple(notes))

    def _told(self, error: Exception) -> str:
        """The line for the visitor, without the server's folders."""
        if not isinstance(error, ValueError):
            return "Something went wrong here; the server's log has the details."
        text = str(error)
        for path in (self.order.photograph, *self.order.paintings):
            text = text.replace(f"{path.parent}/", "")
        return text

    def report(self) -> dict[str, Any]:
        """What the page shows, as JSON values."""
        clock = self.clock
        left = None if clock is None or clock.seconds_left is None else round(clock.seconds_left)
        return {
            "id": self.id,
            "state": self.state,
            "fault": self.fault,
            "previews": self.previews,
            "before": self.before is not None,
            "fraction": round(clock.fraction, 3) if clock else 0.0,
            "seconds_left": left,
            "work": self.work.id if self.work else None,
        }


def _jpeg(picture: np.ndarray) -> bytes:
    """A picture [H, W, 3] to be looked at, with a longer side of at most `SHOWN`."""
    small, file = to_pillow(picture), io.BytesIO()
    small.thumbnail((SHOWN, SHOWN), Image.Resampling.BILINEAR)
    small.save(file, "JPEG", quality=88, subsampling=0)
    return file.getvalue()
