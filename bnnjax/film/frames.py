"""Films as streams of frames: what a file holds, and its frames one at a time."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from bnnjax import images


class Frame(NamedTuple):
    """One frame of a film.

    Attributes:
      pts: when it is shown, in units of the film's ``time_base``.
      pixels: upright, float32 [H, W, 3], sRGB in [0, 1].
    """

    pts: int
    pixels: np.ndarray


@dataclasses.dataclass(frozen=True)
class Film:
    """What is known of a film before it is decoded.

    Attributes:
      path: its file.
      height, width: of its frames, upright and with square pixels, at the requested size; even,
        because most players need that.
      count: the number of frames, by the file's header, which may be wrong; None if it has none.
      rate: the average number of frames per second.
      time_base: the unit of timestamps, in seconds.
    """

    path: Path
    height: int
    width: int
    count: int | None
    rate: Fraction
    time_base: Fraction

    @classmethod
    def open(cls, path: str | Path, *, size: int) -> "Film":
        """Reads the header of a file and its first frame.

        Args:
          path: the file, in any format that FFmpeg decodes.
          size: the shorter side of the frames, in pixels, an even number.

        Raises:
          ValueError: it is no film, or cannot be read; an odd size; PyAV is not installed.
        """
        if size % 2:
            raise ValueError(f"size is {size}, needs an even number: players of films need one")
        path = Path(path).expanduser()
        with opened(path) as container:
            stream = _stream(container, path)
            first = next(container.decode(stream), None)
            if first is None:
                raise ValueError(f"{path}: holds no frames, needs a film")
            height, width = _even(*_shape(first, stream), size)
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            return cls(path, height, width, stream.frames or None, rate, stream.time_base)

    def frames(self) -> Iterator[Frame]:
        """Decodes the frames one at a time.

        Raises:
          ValueError: a frame cannot be decoded.
        """
        with opened(self.path) as container:
            stream = _stream(container, self.path)
            for number, frame in enumerate(container.decode(stream)):
                regular = round(number / self.rate / self.time_base)
                pts = regular if frame.pts is None else frame.pts
                yield Frame(pts, self._pixels(frame))

    def _pixels(self, frame: Any) -> np.ndarray:
        upright = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
        return images.resize(images.load(upright), height=self.height, width=self.width)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A container of PyAV, whose errors become a line.

    Raises:
      ValueError: PyAV is not installed, or the file cannot be read.
    """
    av = pyav()
    try:
        with av.open(path) as container:
            yield container
    except av.FFmpegError as error:
        reason = error.strerror or str(error)
        raise ValueError(f"{path}: cannot be read as a film ({reason})") from error


def pyav() -> ModuleType:
    """The module ``av``, an extra.

    Raises:
      ValueError: it is not installed.
    """
    try:
        import av
    except ImportError:
        needed = "films need the extra 'video' (PyAV): pip install 'bnnjax[video]'"
        raise ValueError(needed) from None
    return av


def _stream(container: Any, path: Path) -> Any:
    """The first video stream that is not a cover."""
    if container.format.name.endswith("_pipe") or container.format.name == "image2":
        raise ValueError(f"{path}: is a picture, needs a film; launch/stylize.py paints pictures")
    for stream in container.streams.video:
        if not int(stream.disposition) & int(pyav().stream.Disposition.attached_pic):
            stream.thread_type = "AUTO"
            return stream
    raise ValueError(f"{path}: has no video stream, needs a film")


def _shape(frame: Any, stream: Any) -> tuple[Fraction, Fraction]:
    """Height and width of a frame as it is shown."""
    across = Fraction(frame.width) * (stream.sample_aspect_ratio or 1)
    down = Fraction(frame.height)
    return (across, down) if frame.rotation % 180 else (down, across)


def _even(height: Fraction, width: Fraction, size: int) -> tuple[int, int]:
    shorter = min(height, width)
    down, across = (2 * max(round(side * size / shorter / 2), 1) for side in (height, width))
    return down, across
