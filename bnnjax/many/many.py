"""`stylize_many`: paints a manifest with several workers, and can be repeated until all is done."""

import contextlib
import dataclasses
import logging
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
from bnnjax.nst.config import StylizeConfig, StylizeOptions, resolve
from bnnjax.nst.ensemble import load_models
from bnnjax.nst.recipe import plain
from bnnjax.options import names_every

MOST_BLOCKS = 10_000  # of rows, which Ray schedules one by one
STORE = 100 * 2**20  # bytes of Ray's object store on this machine: tasks and rows are small


@dataclasses.dataclass(frozen=True)
class Workers:
    """Who paints.

    Attributes:
      count: the number of workers, each a process of its own.
      cpus, gpus, tpus: what each of them needs. By default, the workers share this machine's cores.
      address: of a Ray cluster, or "auto"; None starts Ray on this machine.

    Raises:
      ValueError: a number is too small.
    """

    count: int = 1
    cpus: int | None = None
    gpus: float = 0
    tpus: float = 0
    address: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("cpus", 1), ("gpus", 0), ("tpus", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"{name} of workers is {value}, needs at least {least}")

    @property
    def cores(self) -> int:
        """The number of CPU cores for each."""
        return self.cpus or max((os.cpu_count() or 1) // self.count, 1)


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
      config, preset: see `stylize_batch`.
      progress: whether to show a progress bar with the time left.
      **options: fields of `StylizeConfig`; they take precedence over ``preset`` and ``config``.

    Returns:
      The rows of this manifest's pictures in the table.

    Raises:
      ValueError: bad options, a bad manifest, or a folder with pictures of other options or another
        network. Photographs and paintings that cannot be read fail alone, in the table.
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
        given = {"model": _absolute(model), "config": config, "output_format": output_format}
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
    with _ray(workers) as ray:
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


@contextlib.contextmanager
def _ray(workers: Workers) -> Iterator[Any]:
    """Ray, connected to a cluster or started on this machine, and quiet."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; pip install 'bnnjax[cluster]'") from None
    settings: dict[str, Any] = {"address": workers.address}
    if workers.address is None:
        cores = workers.count * workers.cores
        settings = {"address": "local", "num_cpus": cores, "object_store_memory": STORE}
        settings["include_dashboard"] = False
    ray.init(log_to_driver=False, logging_level=logging.ERROR, **settings)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        yield ray
    finally:
        ray.shutdown()
