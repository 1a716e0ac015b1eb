"""Times `stylize_many` with one worker and with more, and says what a million pictures would cost.

    python benchmarks/many_workers.py --pictures=24 --size=224 --steps=100

Every worker has one CPU core. The photographs are pieces of the package's sample, all of one shape.
The time of a run is that of its pictures, from the first batch that a worker finishes on: starting
Ray and compiling are paid once, and are listed by themselves.
"""

import csv
import tempfile
import time
from pathlib import Path

import numpy as np
from absl import app, flags

from bnnjax import assets, images
from bnnjax.many import Workers, stylize_many

FLAGS = flags.FLAGS
flags.DEFINE_integer("pictures", 24, "pictures per run", lower_bound=4)
flags.DEFINE_list("workers", ["1", "2"], "numbers of workers to compare")
flags.DEFINE_integer("size", 224, "side of a picture in px")
flags.DEFINE_integer("steps", 100, "steps per picture")
flags.DEFINE_integer("batch", 2, "pictures that a worker paints side by side")
MILLION = 10**6


def main(argv: list[str]) -> None:
    del argv
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        painting = _pictures(Path(folder))
        for count in map(int, FLAGS.workers):
            rates[count], start = _rate(Path(folder), painting, count)
            print(f"{count} workers: {rates[count]:.3f} pictures/s after {start:.0f} s of starting")
    first = min(rates)
    for count, rate in rates.items():
        scaling = rate / rates[first] / (count / first)
        hours = MILLION / rate * count / 3600
        print(f"{count} workers: efficiency {scaling:.2f}; a million: {hours:,.0f} core hours")


def _pictures(folder: Path) -> Path:
    """Writes the photographs, and returns the path of a painting."""
    (photograph, *_), (painting, *_) = assets.samples()
    pixels = images.fit(images.load(photograph), size=2 * FLAGS.size)
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(FLAGS.pictures):
        y, x = (int(rng.integers(side - FLAGS.size + 1)) for side in pixels.shape[:2])
        piece = pixels[y : y + FLAGS.size, x : x + FLAGS.size]
        images.save_png(folder / "photos" / f"{number}.png", piece)
    return Path(painting)


def _rate(folder: Path, painting: Path, count: int) -> tuple[float, float]:
    """Pictures per second, and the seconds until every worker has finished a batch."""
    out, began = folder / f"out{count}", time.time()
    options = {"size": FLAGS.size, "steps": FLAGS.steps, "batch": FLAGS.batch, "progress": False}
    workers = Workers(count, cpus=1)
    styles = [str(painting)]
    stylize_many(folder / "photos", styles=styles, output_dir=out, workers=workers, **options)
    with open(out / "results.csv", newline="", encoding="utf-8") as file:
        worker_of = {row["name"]: row["worker"] for row in csv.DictReader(file)}
    written = sorted((path.stat().st_mtime, worker_of[path.stem]) for path in out.glob("*.png"))
    firsts = [next(at for at, worker in written if worker == w) for w in {*worker_of.values()}]
    start = max(firsts)
    later = [at for at, _ in written if at > start]
    return len(later) / (later[-1] - start), start - began


if __name__ == "__main__":
    app.run(main)
