"""`stylize_film`: takes a film and a painting, writes a painted film."""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from tqdm.auto import tqdm

from bnnjax import destination
from bnnjax.film import encode
from bnnjax.film.flow import opencv
from bnnjax.film.frames import Film, pyav
from bnnjax.film.painter import Painter
from bnnjax.film.temporal import Temporal
from bnnjax.images import load, save_png
from bnnjax.nst.config import StylizeConfig, StylizeOptions, Weight, resolve
from bnnjax.nst.ensemble import Model, load_models
from bnnjax.nst.prepare import Prepared, prepare
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.terms import Term
from bnnjax.options import integer, names_every
from bnnjax.port.storage.download import file_sha256

TEMPORAL_WEIGHT = 200.0
FRAME_STEPS = 4  # the steps of the first frame, divided by those of the others
SETTINGS = "settings.json"  # what the frames in a folder were painted with


@dataclasses.dataclass(frozen=True)
class FilmResult:
    """What a run left.

    Attributes:
      output: the film; it exists unless the run was interrupted.
      folder: the painted frames, 000000.png and so on; removed once the film is written, unless
        they are kept.
      frames: how many frames are painted.
      before: how many of them an earlier run had painted.
      network: the name of the network.
      seconds: the time it took to paint and to encode.
      interrupted: whether Ctrl-C ended the run.
      problems: one line for everything that could not be done.
    """

    output: Path
    folder: Path
    frames: int
    before: int
    network: str
    seconds: float
    interrupted: bool
    problems: list[str]


@names_every(StylizeConfig, StylizeOptions)
def stylize_film(
    film: str | Path,
    style: Any,
    output: str | Path,
    *,
    model: Model = None,
    preprocessing: str | None = None,
    frame_steps: int | None = None,
    temporal_weight: float = TEMPORAL_WEIGHT,
    config: StylizeConfig | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    keep_frames: bool = False,
    progress: bool = True,
    **options: Unpack[StylizeOptions],
) -> FilmResult:
    """Paints a film in the style of a painting, and keeps its sound and its timing.

    The first frame is painted as `stylize_batch` does. Every other one starts from its painted
    predecessor, warped by the optical flow, and is held to it where that can be trusted (Ruder et
    al., *Artistic Style Transfer for Videos*, GCPR 2016). A new scene begins anew. One frame at a
    time is in memory. Frames are kept as files beside the film until it is complete; after a kill
    or Ctrl-C, the same call continues and ends with the same frames.

    Args:
      film: the path of a film, in any format that FFmpeg decodes.
      style: a painting, or several that are blended, see `stylize_batch`.
      output: the path of the painted film; .mp4, .mov, .mkv or .webm.
      model, preprocessing, config, preset: see `stylize_batch`.
      frame_steps: the number of steps of all frames but the first; a quarter of ``steps`` if None.
      temporal_weight: the weight of the `Temporal` term.
      overwrite: whether to replace an existing film, and frames painted with other options.
      keep_frames: whether to keep the folder of painted frames, NAME.frames.
      progress: whether to show a progress bar with the time left.
      **options: fields of `StylizeConfig`; ``size`` is the shorter side and must be even.

    Raises:
      ValueError: an invalid option, an unreadable film or painting, an output that exists or that
        cannot hold the sound, frames of another run, or the extra "video" is not installed.
    """
    pyav(), opencv()
    output = Path(output).expanduser()
    encode.container_of(output)
    destination.check([output], overwrite=overwrite)
    network = load_models(model, preprocessing=preprocessing)
    config = resolve(options, config=config, preset=preset, own=network.style.preset)
    source = Film.open(film, size=config.size)
    default = -(-config.steps // FRAME_STEPS)
    steps = integer("frame_steps", default if frame_steps is None else frame_steps, 1, 10**6)
    work = _prepared(source, style, network, config, temporal_weight)
    folder, began = output.with_name(f"{output.stem}.frames"), time.monotonic()
    with destination.claimed(folder, [SETTINGS]):
        encode.check(source, output)
        _keep_settings(folder, work, source, steps, overwrite=overwrite)
        before = len([*folder.glob("*.png")])
        run = _Run(Painter(work, steps), source, folder)
        with tqdm(total=source.count, unit="frame", initial=before, disable=not progress) as bar:
            for _ in run.paint():
                bar.update()
        if not run.interrupted:
            encode.encode(source, run.files, run.times, output)
    if not run.interrupted and not keep_frames:
        shutil.rmtree(folder)
    spent = time.monotonic() - began
    shown = len(run.files), before, network.name, round(spent, 2)
    return FilmResult(output, folder, *shown, run.interrupted, run.problems())


@dataclasses.dataclass
class _Run:
    """Frames to files, one after the other."""

    painter: Painter
    film: Film
    folder: Path
    files: list[Path] = dataclasses.field(default_factory=list)
    times: list[int] = dataclasses.field(default_factory=list)
    diverged: list[int] = dataclasses.field(default_factory=list)
    interrupted: bool = False

    def paint(self) -> Iterator[Path]:
        """Paints the frames that have no file yet; yields the path of each."""
        before = None
        for number, frame in enumerate(self.film.frames()):
            path = self.folder / f"{number:06}.png"
            if not path.exists():
                result = self._painted(frame.pixels, before)
                if result.interrupted:
                    self.interrupted = True
                    return
                self.diverged += [number] * bool(result.minimized.diverged)
                save_png(path, result.images[0])
                yield path
            self.files.append(path)
            self.times.append(frame.pts)
            before = frame.pixels

    def _painted(self, frame: np.ndarray, before: np.ndarray | None) -> StylizeResult:
        if before is None:
            return self.painter.begin(frame)
        # What an interrupted run would find again: the file, with its 8 bits.
        return self.painter.follow(frame, before, load(self.files[-1]))

    def problems(self) -> list[str]:
        """See `FilmResult`."""
        lines = [
            f"frame {number}: the loss was no longer finite; the best picture before is kept"
            for number in self.diverged
        ]
        if self.interrupted:
            of = f" of {self.film.count}" if self.film.count else ""
            done = f"interrupted: {len(self.files)}{of} frames are painted"
            lines.append(f"{done} and kept in {self.folder}; the same command continues")
        return lines


def _prepared(
    film: Film, style: Any, network: Any, config: StylizeConfig, weight: float
) -> Prepared:
    if config.tile:
        raise ValueError("tile is True; frames have the sides of their film and cannot tile")
    first = next(film.frames()).pixels
    terms: dict[Term, Weight] = {Temporal(): weight}
    work = prepare([first], style, model=network, config=config, extra_terms=terms)
    if len(work.pairs) > 1:
        raise ValueError(f"{len(work.pairs)} paintings, needs a single one, or a tuple to blend")
    return work


def _keep_settings(
    folder: Path, work: Prepared, film: Film, steps: int, *, overwrite: bool
) -> None:
    """Notes what frames are painted with, unless a run with the same settings is to continue.

    Raises:
      ValueError: the folder holds frames with other settings, and ``overwrite`` is off.
    """
    recipe, file = json.loads(work.recipe(0).to_json()), folder / SETTINGS
    settings = {"film": file_sha256(film.path), "frame_steps": steps, "recipe": recipe}
    frames = [*folder.glob("*.png")]
    if frames and not (file.exists() and json.loads(file.read_text("utf-8")) == settings):
        if not overwrite:
            raise ValueError(
                f"{folder} holds frames of another film or with other options; remove it, choose "
                "another output, or set overwrite"
            )
        for frame in frames:
            frame.unlink()
    file.write_text(json.dumps(settings), "utf-8")
