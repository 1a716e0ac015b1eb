"""The process that reads damaged files, one after the other, and says at which it is."""

import itertools
import os
import resource
import shutil
import traceback
import warnings
import zlib
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil

from bnnjax import cli
from fuzzing import damage
from fuzzing.readers import READERS, Reader

OUTCOMES = ("read", "refused", "other errors", "crashes", "over memory", "too slow")
READ, REFUSED, OTHER, CRASH, MEMORY, SLOW = OUTCOMES
HEADROOM = 4  # address space, in multiples of the limit of memory: not all of it is used


def work(name: str, seed: int, first: int, folder: Path, limit: int, pipe: Connection) -> None:
    """Sends the number of each file before it is read, then the outcome and what was raised.

    Args:
      name: of the reader.
      seed, first: which files: the numbers from ``first`` on are damaged in other ways.
      folder: for the files.
      limit: the memory that a file may take, in bytes.
      pipe: where the results go.
    """
    warnings.simplefilter("ignore")
    reader = READERS[name]
    samples = _samples(reader, folder / name / "valid")
    place = folder / name / "damaged"
    for sample in samples:
        reader.read(_copied(sample, place, reader))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries in C complain there
    address = psutil.Process().memory_info().vms + HEADROOM * limit
    resource.setrlimit(resource.RLIMIT_AS, (address, address))
    pipe.send(("ready", 0, None))
    for number in itertools.count(first):
        rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
        path = _copied(samples[rng.integers(len(samples))], place, reader)
        _damage(rng, reader, place)
        pipe.send(("begin", number, str(path)))
        outcome = _attempt(reader, path, limit)
        if outcome[0] not in (READ, REFUSED):
            keep(path, number)
        pipe.send(("end", number, outcome))


def keep(path: Path, number: int) -> Path:
    """A copy of the input with this number, for a look at it."""
    folder = path if path.is_dir() else path.parent
    kept = folder.with_name(f"{number}")
    if not kept.exists():
        shutil.copytree(folder, kept)
    return kept


def _samples(reader: Reader, folder: Path) -> list[Path]:
    """The folders of valid files, each of them one input of the reader."""
    if not folder.exists():
        draft = folder.with_name("draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        reader.make(draft)
        draft.rename(folder)
    return sorted(folder.iterdir())


def _copied(sample: Path, place: Path, reader: Reader) -> Path:
    """A copy of a valid input, of which the reader takes the path."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(sample, place)
    if reader.takes_folder:
        return place
    return min(place.glob("main.*"), key=lambda path: path.suffix == ".json")


def _damage(rng: np.random.Generator, reader: Reader, place: Path) -> None:
    files = sorted(path for path in place.rglob("*") if path.is_file() and path.stem != "other")
    file = files[rng.integers(len(files))]
    edit = reader.edits.get(file.suffix) if rng.random() < 0.6 else None
    file.write_bytes((edit or damage.of_bytes)(rng, file.read_bytes()))


def _attempt(reader: Reader, path: Path, limit: int) -> tuple[str, str]:
    """The outcome, and the error's line or traceback."""
    before, peak = psutil.Process().memory_info().rss, _peak()
    try:
        reader.read(path)
        found = READ, ""
    except MemoryError:
        found = MEMORY, traceback.format_exc()
    except Exception as error:
        line, shown = cli.one_line(error), "".join(traceback.format_exception(error))
        told = isinstance(error, ValueError) and line and (reader.any_name or path.name in line)
        found = (REFUSED, line) if told else (OTHER, shown)
        if _ran_out(error):
            found = MEMORY, shown
    taken = _peak() - before if _peak() > peak else 0
    return (MEMORY, f"{taken / 2**20:.0f} MiB; {found[1]}") if taken > limit else found


def _peak() -> int:
    """The most memory that this process has ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _ran_out(error: BaseException | None) -> bool:
    """Whether memory was missing behind an error that says something else."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False
