"""Stylization into a folder: nothing is lost, whenever and however the run ends."""

import contextlib
import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bnnjax import destination
from bnnjax.images import format_of, load, read_metadata, save_png
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.files import FIGURES, Writer, picture_paths, read_losses
from bnnjax.nst.inputs import pair_up
from bnnjax.nst.prepare import Preview, prepare
from bnnjax.nst.recipe import KEYWORD, UNFINISHED
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.sweep import spread

SNAPSHOTS = ".snapshots"  # a subfolder, removed once the pictures are written
PREVIEW = ".preview.png"


class Written(NamedTuple):
    """What a run left in its folder: pictures by their indices, and figures."""

    pictures: dict[int, Path]
    figures: list[Path]

    def all(self) -> list[str]:
        """All paths, pictures first."""
        return [str(path) for path in (*self.pictures.values(), *self.figures)]


def stylize_into(
    directory: str | Path,
    contents: Any,
    styles: Any,
    *,
    output: str | Path | None = None,
    output_format: str = "png",
    overwrite: bool = False,
    resume: bool = False,
    keep_paths: bool = False,
    keep_metadata: bool = False,
    keep_alpha: bool = False,
    previews: bool = False,
    progress: bool = True,
    **keywords: Any,
) -> tuple[StylizeResult, Written]:
    """Runs `stylize_batch`, and saves each picture when it is finished, and figures in the end.

    Before the work, the folder is created, tried and claimed: of two runs into one folder, the
    second is refused. A picture that cannot be written is tried again in the end.

    Args:
      directory: the folder; created if missing.
      contents, styles: see `stylize_batch`.
      output: a path for a single picture, which takes the place of the folder; its suffix decides
        on the format, and there are no figures.
      output_format, keep_paths, keep_metadata, keep_alpha: see `StylizeResult.save`.
      overwrite: whether to replace existing pictures.
      resume: whether to resume an interrupted run of the same pictures and options. Pictures that
        it finished are not painted again.
      previews: whether to keep a NAME.preview.png of every picture up to date.
      progress: whether to show a progress bar with the time left.
      **keywords: passed on to `stylize_batch`.

    Returns:
      The result, and the paths of the files written.

    Raises:
      ValueError: pictures exist already or cannot be written (both are tried before any work), with
        ``resume`` a picture was made in another way, or see `stylize_batch`.
    """
    pairs = pair_up(contents, styles, pairing=keywords.get("pairing", "zip"))
    sweep, count = keywords.get("sweep") or {}, keywords.get("variations")
    pairs, _ = spread(pairs, StylizeConfig(), sweep, count=count)
    names = [pair.name for pair in pairs]
    directory, hidden = Path(directory).expanduser(), ""
    if output is not None:
        paths = [Path(output).expanduser()]
        directory, hidden = paths[0].parent, f".{paths[0].name}"
        format_of(paths[0])
        if len(names) > 1:
            raise ValueError(f"{output} is one file for {len(names)} pictures; use output_dir")
        destination.check(paths, overwrite=overwrite or resume)
    else:
        paths = picture_paths(
            names, directory, overwrite=overwrite or resume, output_format=output_format
        )
    snapshots = directory / f"{hidden}{SNAPSHOTS}"
    longest = [*(path.name for path in paths), *(f"{name}{PREVIEW}" for name in names)]
    with destination.claimed(directory, [*longest, names[0] + FIGURES[0]], lock=f"{hidden}.lock"):
        if not resume:
            shutil.rmtree(snapshots, ignore_errors=True)
        work = prepare(contents, styles, **keywords)
        writer = Writer(work, paths, keep_paths, keep_metadata, keep_alpha)
        writer.check()
        done = finished_before(writer, overwrite=overwrite) if resume else {}
        preview = previewer(directory) if previews else None
        saver = Saver(writer)
        result = work.run(
            progress=progress, preview=preview, finished=saver, done=done, snapshots=snapshots
        )
        written = saver.finish(result, done)
        figures = [] if output is not None else _figures(directory, result, done)
        if not result.interrupted:
            shutil.rmtree(snapshots, ignore_errors=True)
    return result, Written(written, figures)


class Saver:
    """Saves pictures when they are finished."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._written: dict[int, Path] = {}

    def __call__(self, number: int, picture: np.ndarray) -> None:
        try:
            self._written[number] = self._writer.write(number, picture)
        except ValueError as error:  # The run goes on: there may be room in the end.
            warnings.warn(f"{error}; this is tried again in the end", stacklevel=2)

    def finish(self, result: StylizeResult, done: Mapping[int, np.ndarray]) -> dict[int, Path]:
        """Writes what is left, and returns the paths of all pictures that there are.

        After an interruption, these are the pictures that have begun.

        Raises:
          ValueError: pictures cannot be written.
        """
        found = {number: self._writer.paths[number] for number in done} | self._written
        faults = []
        for number, losses in enumerate(result.losses):
            if number not in found and (losses or not result.interrupted):
                try:
                    found[number] = self._writer.write(
                        number, result.images[number], unfinished=result.unfinished(number)
                    )
                except ValueError as error:
                    faults.append(str(error))
        if faults:
            raise ValueError("; ".join(faults))
        return dict(sorted(found.items()))


def finished_before(writer: Writer, *, overwrite: bool = False) -> dict[int, np.ndarray]:
    """The pictures that an earlier run finished, by their indices.

    Raises:
      ValueError: a file was not made by such a run, and ``overwrite`` is off.
    """
    found = {}
    for number, path in enumerate(writer.paths):
        if not path.exists():
            continue
        texts: dict[str, str] = {}
        with contextlib.suppress(ValueError):  # no picture, and so without a recipe
            texts = read_metadata(path)
        same = _comparable(texts.get(KEYWORD)) == _comparable(writer.work.recipe(number).to_json())
        if not same and not overwrite:
            raise ValueError(
                f"{path} was made from other pictures, by another network or with other options; "
                "choose another directory, or set overwrite"
            )
        if same and UNFINISHED not in texts:
            found[number] = load(path)
    return found


def _comparable(recipe: str | None) -> Any:
    """What decides on the pixels in a recipe; None if it is none."""
    try:
        values = json.loads(recipe or "")
        values = {name: value for name, value in values.items() if name != "bnnjax"}
        for kind in ("content", "style"):
            values[kind] = values[kind]["sha256"]
        files = values.get("files", {}).items()
        values["files"] = {name: [source["sha256"] for source in listed] for name, listed in files}
        return values
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _figures(directory: Path, result: StylizeResult, done: Mapping[int, np.ndarray]) -> list[Path]:
    """Writes the figures of a run that painted anything."""
    if len(done) == len(result.names):
        return []
    before = read_losses(directory, result.names) if done else {}
    for number in done:
        result.losses[number].update(before.get(result.names[number], {}))
    return result.save_figures(directory)


def previewer(directory: Path) -> Preview:
    """A ``preview`` of `stylize_batch` that keeps NAME.preview.png of every picture up to date.

    A preview that cannot be written costs a warning, and no picture.
    """

    def write(_: int, names: Sequence[str], pictures: Sequence[np.ndarray]) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name, picture in zip(names, pictures, strict=True):
                save_png(directory / f"{name}{PREVIEW}", picture, overwrite=True)
        except (OSError, ValueError) as error:
            if not failed:
                warnings.warn(f"no previews: {error}", stacklevel=2)
            failed.append(error)

    failed: list[Exception] = []
    return write
