"""Painted frames to a film, with the sound of the original."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from bnnjax.film.frames import Film, opened, pyav
from bnnjax.images import load

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
BT709 = 1  # of colour spaces, primaries and transfer functions, in ITU-T H.273
TRIAL = 4  # packets of sound that `check` writes
LIMITED = 1  # the range of luma from 16 to 235


def check(film: Film, output: Path) -> None:
    """Writes a trial of one frame and a little sound; call it before the work.

    Raises:
      ValueError: a film of this name cannot be written, or cannot hold the sound of the original.
    """
    trial, sounds = _part(output), []
    try:
        with opened(film.path) as source, _writing(trial, output) as target:
            sounds = [stream.codec_context.name for stream in source.streams.audio]
            video, audio = _streams(film, source, target)
            grey = np.full((film.height, film.width, 3), 0.5, np.float32)
            target.mux(video.encode(_frame(grey, 0, film.time_base)))
            target.mux(video.encode(None))
            target.mux([*islice(_sound(source, audio), TRIAL)])
    except ValueError as error:
        if not sounds:
            raise
        held = f"or cannot hold the sound of {film.path} ({', '.join(sounds)})"
        raise ValueError(f"{error}, {held}; a name in .mkv suits most sounds") from error
    finally:
        trial.unlink(missing_ok=True)


def encode(film: Film, pictures: Sequence[Path], times: Sequence[int], output: Path) -> None:
    """Writes a film of pictures, with the audio streams of the original, which are copied.

    The file appears complete or not at all. The video is H.264, in a .webm VP9, at a quality where
    losses are hardly visible.

    Args:
      film: the original.
      pictures: the files of the frames.
      times: when each is shown, in units of the film's time base.
      output: the file, whose name ends in .mp4, .mov, .mkv or .webm.

    Raises:
      ValueError: the file cannot be written, or cannot hold the sound.
    """
    part = _part(output)
    try:
        with opened(film.path) as source, _writing(part, output) as target:
            video, audio = _streams(film, source, target)
            sound = _sound(source, audio)
            waiting = next(sound, None)
            for path, pts in zip(pictures, times, strict=True):
                while (
                    waiting is not None and waiting.dts * waiting.time_base <= pts * film.time_base
                ):
                    target.mux(waiting)
                    waiting = next(sound, None)
                target.mux(video.encode(_frame(load(path), pts, film.time_base)))
            target.mux(video.encode(None))
            target.mux([] if waiting is None else [waiting, *sound])
        os.replace(part, output)
    finally:
        part.unlink(missing_ok=True)


def _part(output: Path) -> Path:
    return output.with_name(f".{uuid.uuid4().hex}.part")


@contextmanager
def _writing(part: Path, output: Path) -> Iterator[Any]:
    av = pyav()
    try:
        with av.open(part, "w", format=container_of(output)) as container:
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"{output}: cannot be written ({reason})") from error


def _streams(film: Film, source: Any, target: Any) -> tuple[Any, dict[int, Any]]:
    """The video stream of a new film, and its audio streams by their index in the original."""
    webm = target.format.name == "webm"
    video = target.add_stream("libvpx-vp9" if webm else "libx264", rate=film.rate)
    video.options = {"crf": "24", "b": "0"} if webm else {"crf": "17"}
    video.width, video.height, video.pix_fmt = film.width, film.height, "yuv420p"
    context = video.codec_context
    video.time_base = context.time_base = film.time_base
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
    audio = {}
    for stream in source.streams.audio:
        audio[stream.index] = target.add_stream_from_template(stream)
    return video, audio


def _sound(source: Any, audio: dict[int, Any]) -> Iterator[Any]:
    """The packets of all audio streams as they are, for the streams of the new film."""
    if audio:
        for packet in source.demux(*(source.streams[index] for index in audio)):
            if packet.dts is not None:  # the last of each stream is empty
                packet.stream = audio[packet.stream.index]
                yield packet


def _frame(pixels: np.ndarray, pts: int, time_base: Fraction) -> Any:
    av = pyav()
    levels = np.rint(255 * pixels).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(levels, format="rgb24")
    frame = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
    frame.pts, frame.time_base = pts, time_base
    return frame


def container_of(output: Path) -> str:
    """The format that the name of a film stands for, as FFmpeg calls it.

    Raises:
      ValueError: the suffix is none of `CONTAINERS`.
    """
    if output.suffix.lower() not in CONTAINERS:
        raise ValueError(f"{output}: the name must end in {', '.join(CONTAINERS)}")
    return CONTAINERS[output.suffix.lower()]
