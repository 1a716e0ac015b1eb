"""Reads thousands of damaged files with every reader of outside files, and counts what happens.

    python benchmarks/fuzz.py [--readers=pictures,tflite] [--seconds=60] [--seed=1]

Each reader has small valid files, which are damaged at random: bits, lengths, blocks, and values of
another type in their JSON. A child process reads them with a limit of memory and of time. A damaged
file may be read, if the damage does not show, or be refused by a ValueError of one line; anything
else is a mistake, whose file is kept in --output_dir and repeated by --first=NUMBER --count=1. The
exit status is 0 only if there was none.
"""

import multiprocessing
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from absl import flags
from fuzzing.child import CRASH, OTHER, OUTCOMES, READ, REFUSED, SLOW, keep, work
from fuzzing.readers import READERS

from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_list("readers", list(READERS), "names of readers")
flags.DEFINE_float("seconds", 60, "time for each reader, in seconds", 0)
flags.DEFINE_integer("seed", 1, "another one damages files in other ways", 0)
flags.DEFINE_integer("first", 0, "number of the first file", 0)
flags.DEFINE_integer(
    "count", None, "files for each reader; default: as many as there is time for", 1
)
flags.DEFINE_integer("memory_mib", 1024, "memory that one file may take, in MiB", 1)
flags.DEFINE_float("limit", 30, "time that one file may take, in seconds", 1)
flags.DEFINE_string("output_dir", "out/fuzz", "directory for the files, which is emptied")
cli.define_json()
LONGEST = 300  # characters of a line that are shown
START = 300  # seconds in which a child process makes and reads the valid files


def main() -> int:
    for name in FLAGS.readers:
        if name not in READERS:
            raise ValueError(f"no reader {name!r}; there are {', '.join(READERS)}")
    folder = Path(FLAGS.output_dir).absolute()
    counts = {name: fuzzed(name, folder) for name in FLAGS.readers}
    rows = [
        [name, *(f"{found[outcome]}" for outcome in OUTCOMES)] for name, found in counts.items()
    ]
    cli.print_table([["reader", *OUTCOMES], *rows])
    cli.print_json(counts)
    wrong = sum(sum(found.values()) - found[READ] - found[REFUSED] for found in counts.values())
    return 1 if wrong else 0


def fuzzed(name: str, folder: Path) -> Counter[str]:
    """How many files of a reader had each outcome."""
    shutil.rmtree(folder / name, ignore_errors=True)
    found: Counter[str] = Counter()
    number, left = FLAGS.first, FLAGS.seconds
    last = None if FLAGS.count is None else FLAGS.first + FLAGS.count
    while left > 0 and (last is None or number < last):
        number, took = child(name, folder, number, last, left, found)
        left -= took
    return found


def child(
    name: str, folder: Path, first: int, last: int | None, seconds: float, found: Counter[str]
) -> tuple[int, float]:
    """Lets one child process read files until time is up or it fails.

    Returns:
      The number to go on with, and the seconds since the child was ready.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    limit = FLAGS.memory_mib * 2**20
    process = context.Process(target=work, args=(name, FLAGS.seed, first, folder, limit, theirs))
    process.start()
    theirs.close()
    number, path, outcome = first, None, ("", "")
    began = time.monotonic()
    try:
        while last is None or number < last:
            if not ours.poll(FLAGS.limit if path else START):
                outcome = SLOW, f"more than {FLAGS.limit} s"
            else:
                what, number, detail = ours.recv()
                if what == "begin":
                    path = detail
                    continue
                if what == "ready":
                    began = time.monotonic()
                    continue
                outcome = detail
            found[outcome[0]] += 1
            report(name, number, outcome, path)
            number += 1
            if outcome[0] not in (READ, REFUSED, OTHER) or time.monotonic() > began + seconds:
                break
    except EOFError:
        process.join(10)
        if path is None:
            raise ValueError(f"{name}: the valid files cannot be read") from None
        found[CRASH] += 1
        report(name, number, (CRASH, f"exit status {process.exitcode}"), path)
        number += 1
    finally:
        process.kill()
        process.join()
    return number, time.monotonic() - began


def report(name: str, number: int, outcome: tuple[str, str], path: str | None) -> None:
    """Tells what went wrong and which file it was."""
    if outcome[0] in (READ, REFUSED) or path is None:
        return
    place = keep(Path(path), number)
    told = "\n".join(line[:LONGEST] for line in outcome[1].splitlines())
    print(f"{name} {number}: {outcome[0]}, {place}\n{told}\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli.run(main)
