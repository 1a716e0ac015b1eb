"""`stylize_many`: paints a manifest with several workers, and can be repeated until all is done."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

from tqdm.auto import tqdm

from bnnjax import destination
from bnnjax.images import FORMATS
from bnnjax.many import manifest
from bnnjax.many.manifest import Task
from bnnjax.many.painter import Painter
from bnnjax.many.results import Results, Row
from bnnjax.many.workers import Workers, connected
from bnnjax.nst.config import StylizeConfig, StylizeOptions, resolve
from bnnjax.nst.ensemble import load_models
from bnnjax.nst.recipe import plain
from bnnjax.options import names_every

MOST_BLOCKS = 10_000  # of rows, which Ray schedules one by one


@names_every(StylizeConfig, StylizeOptions)
def stylize_many(
    pictures: str | Path,
    *,
    styles: Sequence[str] = (),
    output_dir: str | Path,
    model: str | None = None,
    workers: int | Workers = 1,
    batch: int = 8,
    output_format: str = "png",
    imports: Sequence[str] = (),
    config: StylizeConfig | None = None,
    preset: str | None = None,
    progress: bool = True,
    **options: Unpack[StylizeOptions],
) -> list[Row]:
    """Paints all pictures of a manifest, by workers of Ray (the extra ``cluster``).

    Every picture is written when it is finished, and ``results.csv`` says what became of each. A
    second call skips what is done and tries again what failed. If a worker dies, another one goes
    on with its batch.

    Args:
      pictures, styles: see `manifest.read`.
      output_dir: a folder that all workers see.
      model: see `stylize_batch`; a file must be one that all workers see.
      workers: how many there are, and what each needs.
      batch: the number of pictures that a worker paints side by side.
      output_format: "png", "jpeg" or "webp".
      imports: modules that each worker imports first, such as one that registers your network; they
        are found in Python's path and in the working directory.
      config, preset: see `stylize_batch`.
      progress: whether to show a progress bar with the time left.
      **options: fields of `StylizeConfig`; they take precedence over ``preset`` and ``config``.

    Returns:
      The rows of this manifest's pictures in the table.

    Raises:
      ValueError: bad options, a bad manifest, a folder with pictures of other options or another
        network, no connection to Ray, or no machine that has what a worker needs. Photographs and
        paintings that cannot be read fail alone, in the table.
      ModuleNotFoundError: Ray is missing.
    """
    workers = Workers(workers) if isinstance(workers, int) else workers
    _check(batch, output_format)
    resolve(options, config=config, preset=preset)  # before the network is loaded
    tasks = manifest.read(pictures, styles)
    network = load_models(model)
    config = resolve(options, config=config, preset=preset, own=network.style.preset)
    directory = Path(output_dir).expanduser().absolute()
    run = {"model": network.source, "provenance": dict(network.provenance)}
    run |= {"options": plain(config), "output_format": output_format}
    with destination.claimed(directory, [f"{task.name}{FORMATS[output_format]}" for task in tasks]):
        results = Results(directory, run)
        paths = {task: directory / f"{task.name}{FORMATS[output_format]}" for task in tasks}
        missing = [t for t in tasks if not (results.is_done(t) and paths[t].exists())]
        given: dict[str, Any] = {"model": _absolute(model), "output_format": output_format}
        given |= {"config": config, "imports": tuple(imports), "folder": os.getcwd()}
        with tqdm(total=len(tasks), unit="picture", disable=not progress) as bar:
            bar.update(len(tasks) - len(missing))
            for rows in _painted(missing, directory, workers, batch, given):
                results.add(rows)
                bar.update(len(rows))
        return results.finish(tasks)


def _absolute(model: str | None) -> str | None:
    """The same networks; workers run in other folders."""
    if model is None:
        return None
    names = model.split(",")
    return ",".join(os.path.abspath(name) if os.path.exists(name) else name for name in names)


def problems(rows: Sequence[Row]) -> list[str]:
    """A line for every picture with which something is wrong."""
    return [f"{row.name}: {row.error}" for row in rows if row.error]


def _check(batch: int, output_format: str) -> None:
    if batch < 1:
        raise ValueError(f"batch is {batch}, needs at least 1")
    if output_format not in FORMATS:
        raise ValueError(f"output_format is {output_format!r}, needs one of {', '.join(FORMATS)}")


def _painted(
    tasks: Sequence[Task], directory: Path, workers: Workers, batch: int, given: dict[str, Any]
) -> Iterator[list[Row]]:
    """The rows of these pictures, a batch at a time, in the order in which they are finished.

    Ray Data restarts workers that die, and repeats their batches, as often as it takes.
    """
    if not tasks:
        return
    with connected(workers) as ray:
        blocks = min(math.ceil(len(tasks) / batch), MOST_BLOCKS)
        rows = ray.data.from_items([task._asdict() for task in tasks], override_num_blocks=blocks)
        painted = rows.map_batches(
            Painter,
            fn_constructor_args=(directory,),
            fn_constructor_kwargs={**given, "cpus": workers.cores},
            batch_size=batch,
            compute=ray.data.ActorPoolStrategy(size=min(workers.count, blocks)),
            num_cpus=workers.cores,
            num_gpus=workers.gpus,
            resources={"TPU": workers.tpus} if workers.tpus else None,
        )
        for columns in painted.iter_batches(batch_size=None, prefetch_batches=0):
            values = (columns[name].tolist() for name in Row._fields)
            yield [Row(*row) for row in zip(*values, strict=True)]
