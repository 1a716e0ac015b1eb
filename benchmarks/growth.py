"""How the cost of a run grows with pictures and with their size: time and memory.

    python benchmarks/growth.py --weights=my_quicknet [--output=growth.png] [--json]

Each line is a run of its own process on squares of noise, default recipe, few steps: milliseconds
per picture and step, the memory that was estimated before the run began, and the peak that the
process reached (with Python, JAX and the compiler, which alone take some hundred MiB).
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from absl import flags

import bnnjax
from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("weights", None, "directory of a network's checkpoint", required=True)
flags.DEFINE_list("pictures", ["1", "8", "32", "128"], "numbers of pictures of 224 px")
flags.DEFINE_list("sizes", ["224", "320", "512", "768", "1024", "1440", "2048"], "px, one picture")
flags.DEFINE_string("output", "growth.png", "the plot")
flags.DEFINE_string("one", None, "PICTURES,SIZE,STEPS: one line, in this process")
cli.define_json()


def main() -> int:
    if FLAGS.one:
        print(json.dumps(measure(*map(int, FLAGS.one.split(",")))))
        return 0
    runs = [(int(n), 224, 25) for n in FLAGS.pictures]
    runs += [(1, int(size), 25 if int(size) <= 512 else 6) for size in FLAGS.sizes if size != "224"]
    rows = [in_a_process(*run) for run in runs]
    heading = ["pictures", "size, px", "ms a picture and step", "estimated MiB", "peak MiB"]
    cli.print_table([heading, *([f"{value:g}" for value in row.values()] for row in rows)])
    plot(rows)
    cli.print_json({"runs": rows})
    return 0


def in_a_process(*run: int) -> dict[str, float]:
    one = f"--one={','.join(map(str, run))}"
    command = [sys.executable, __file__, f"--weights={FLAGS.weights}", one]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(made.stdout.strip().splitlines()[-1], file=sys.stderr)
    return json.loads(made.stdout.splitlines()[-1])


def measure(pictures: int, size: int, steps: int) -> dict[str, float]:
    """One run: the time between the second sign of life, when all is compiled, and the last."""
    random = np.random.default_rng(0)
    contents = random.random((pictures, size, size, 3), np.float32)
    network = bnnjax.load_model(FLAGS.weights)
    seen: list[tuple[int, float]] = []
    result = bnnjax.stylize_batch(
        list(contents),
        random.random((size, size, 3), np.float32),
        model=network,
        size=size,
        steps=steps,
        progress=False,
        preview=lambda made, *_: seen.append((made, time.perf_counter())),
    )
    (first, began), (last, ended) = seen[0], seen[-1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "pictures": pictures,
        "size": size,
        "ms": round(1e3 * (ended - began) / (last - first) / pictures, 1),
        "estimated_mib": round(result.estimated_memory / 2**20),
        "peak_mib": round(peak),
    }


def plot(rows: list[dict[str, float]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(14, 4))
    by_count = [row for row in rows if row["size"] == 224]
    by_size = [row for row in rows if row["pictures"] == 1]
    axes[0].plot([r["pictures"] for r in by_count], [r["ms"] for r in by_count], marker="o")
    axes[0].set(xscale="log", xlabel="pictures of 224 px", ylabel="ms a picture and step", ylim=0)
    axes[1].loglog([r["size"] for r in by_size], [r["ms"] for r in by_size], marker="o")
    axes[1].set(xlabel="size of one picture, px", ylabel="ms a step")
    for name in ("estimated_mib", "peak_mib"):
        axes[2].loglog([r["size"] for r in by_size], [r[name] for r in by_size], "o-", label=name)
    axes[2].set(xlabel="size of one picture, px", ylabel="MiB")
    axes[2].legend()
    figure.tight_layout()
    figure.savefig(Path(FLAGS.output), dpi=100)


if __name__ == "__main__":
    cli.run(main)
