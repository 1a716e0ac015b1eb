"""How the time and memory of a run grow with the number and the size of pictures.

    python benchmarks/growth.py --model=my_quicknet [--output=growth.png] [--json]

Each row is a run in its own process on squares of noise, with the default recipe and few steps:
milliseconds per picture and step, the memory estimated before the run, and the peak memory of the
process (including Python, JAX and the compiler, which take a few hundred MiB).
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from absl import flags

import bnnjax
from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name or file of a network", required=True)
flags.DEFINE_list("pictures", ["1", "8", "32", "128"], "how many pictures of 224 px")
flags.DEFINE_list(
    "sizes",
    ["224", "320", "512", "768", "1024", "1440", "2048"],
    "sides of a single picture, in pixels",
)
flags.DEFINE_string("output", "growth.png", "the plot")
flags.DEFINE_string("one", None, "PICTURES,SIZE,STEPS: run only this, in this process")
cli.define_json()


def main() -> int:
    if FLAGS.one:
        print(json.dumps(measure(*map(int, FLAGS.one.split(",")))))
        return 0
    runs = [(int(n), 224, 25) for n in FLAGS.pictures]
    runs += [(1, int(size), 25 if int(size) <= 512 else 6) for size in FLAGS.sizes if size != "224"]
    rows = [in_a_process(*run) for run in runs]
    heading = ["pictures", "size, px", "ms per picture and step", "estimated MiB", "peak MiB"]
    cli.print_table([heading, *([f"{value:g}" for value in row.values()] for row in rows)])
    plot(rows)
    cli.print_json({"runs": rows})
    return 0


def in_a_process(*run: int) -> dict[str, float | None]:
    one = f"--one={','.join(map(str, run))}"
    command = [sys.executable, __file__, f"--model={FLAGS.model}", one]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    print(made.stdout.strip().splitlines()[-1], file=sys.stderr)
    return json.loads(made.stdout.splitlines()[-1])


def measure(pictures: int, size: int, steps: int) -> dict[str, float | None]:
    """Times one run, excluding compilation."""
    random = np.random.default_rng(0)
    contents = random.random((pictures, size, size, 3), np.float32)
    network = bnnjax.load_model(FLAGS.model)
    result = bnnjax.stylize_batch(
        list(contents),
        random.random((size, size, 3), np.float32),
        model=network,
        size=size,
        steps=steps,
        progress=False,
    ).minimized
    return {
        "pictures": pictures,
        "size": size,
        "ms": round(1e3 * result.seconds["optimize"] / steps / pictures, 1),
        "estimated_mib": round(result.estimated_memory / 2**20),
        "peak_mib": cli.costs()["peak_memory_mib"],
    }


def plot(rows: list[dict[str, float | None]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(14, 4))
    by_count = [row for row in rows if row["size"] == 224]
    by_size = [row for row in rows if row["pictures"] == 1]
    axes[0].plot([r["pictures"] for r in by_count], [r["ms"] for r in by_count], marker="o")
    axes[0].set(xscale="log", xlabel="pictures of 224 px", ylabel="ms per picture and step", ylim=0)
    axes[1].loglog([r["size"] for r in by_size], [r["ms"] for r in by_size], marker="o")
    axes[1].set(xlabel="size of one picture, px", ylabel="ms per step")
    for name in ("estimated_mib", "peak_mib"):
        axes[2].loglog([r["size"] for r in by_size], [r[name] for r in by_size], "o-", label=name)
    axes[2].set(xlabel="size of one picture, px", ylabel="MiB")
    axes[2].legend()
    figure.tight_layout()
    figure.savefig(Path(FLAGS.output), dpi=100)


if __name__ == "__main__":
    cli.run(main)
