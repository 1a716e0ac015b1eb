"""Compares a step of this working tree with one of an earlier revision, in one interleaved run.

    python benchmarks/before_after.py --before=REVISION [--rounds=5] [--json]

The revision is checked out into a temporary folder and timed by its own
``benchmarks/steppers/ours.py``. Both run in the same environment and take turns. Ratios are before
/ after within a round: above 1, the working tree is faster. The last row replaces the working
tree's eight pictures by one process per core, each pinned to its core and busy with pictures of its
own, for comparison. Nothing else may run at the same time.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from absl import flags
from nst_step import Stepper  # which defines --rounds and --json

from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("before", None, "the revision to compare with", required=True)

ROOT = Path(__file__).parents[1]
# What is timed, by name: the question to the stepper without its steps, and steps per turn.
TURNS = {
    "inknet, 1 picture": ("inknet 1 224", 25),
    "inknet, 8 pictures": ("inknet 8 224", 25),
    "quicknet_v0, 1 picture": ("quicknet_v0 1 224", 25),
    "quicknet_v0, 8 pictures": ("quicknet_v0 8 224", 25),
    "quicknet like Larq's, 1 picture": ("like_others 1 224", 25),
    "quicknet like Larq's, 8 pictures": ("like_others 8 224", 25),
}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
        subprocess.run(["git", "checkout", "--quiet", FLAGS.before], cwd=folder, check=True)
        before, after = (_stepper(Path(root)) for root in (folder, ROOT))
        found = {name: _ratios(before, after, *turn) for name, turn in TURNS.items()}
        found["inknet, 8 pictures; a process per core"] = _ratios(
            before, Pinned(), "inknet 8 224", 25
        )
    heading = ["step of", "before, ms", "after, ms", "ratio: least", "median", "most"]
    cli.print_table([heading, *([name, *map("{:.2f}".format, row)] for name, row in found.items())])
    names = ("before_ms", "after_ms", "least", "median", "most")
    cli.print_json({name: dict(zip(names, row, strict=True)) for name, row in found.items()})
    return 0


def _stepper(root: Path) -> Stepper:
    os.environ["PYTHONPATH"] = str(root)
    return Stepper(sys.executable, root / "benchmarks" / "steppers" / "ours.py")


class Pinned:
    """One stepper per core, which answers for pictures that are divided among them."""

    def __init__(self) -> None:
        self.steppers = []
        for core in os.sched_getaffinity(0):
            self.steppers.append(_stepper(ROOT))
            os.sched_setaffinity(self.steppers[-1].process.pid, {core})  # before it has threads

    def ask(self, question: str) -> float:
        """Returns milliseconds for all pictures: each stepper takes one after the other."""
        network, count, *rest = question.split()
        with ThreadPoolExecutor() as threads:
            times = threads.map(lambda s: s.ask(" ".join([network, "1", *rest])), self.steppers)
            return statistics.mean(times) * int(count) / len(self.steppers)


def _ratios(
    before: Stepper, after: Stepper | Pinned, question: str, steps: int
) -> tuple[float, ...]:
    """Median milliseconds of both, and the ratios of the rounds."""
    pairs = [
        (before.ask(f"{question} {steps}"), after.ask(f"{question} {steps}"))
        for _ in range(FLAGS.rounds)
    ]
    ratios = [old / new for old, new in pairs]
    medians = (statistics.median(times) for times in zip(*pairs, strict=True))
    return (*medians, min(ratios), statistics.median(ratios), max(ratios))


if __name__ == "__main__":
    cli.run(main)
