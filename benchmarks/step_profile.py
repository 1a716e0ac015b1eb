"""The parts of our step, compared with the machine's peak and the arithmetic floor.

    python benchmarks/step_profile.py [--network=quicknet_v0] [--json]

Times come from XLA's own trace, operation by operation, and are summed by the part of the step. The
floor is the time that the backward products of all binary convolutions would take at the machine's
peak for products of their dtype, measured in the same run on 2048 × 2048.
"""

import collections
import glob
import gzip
import json
import re
import sys
import tempfile
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from bnnjax import cli
from bnnjax.binary.backend import gradient_dtype
from bnnjax.models import registry, summary
from bnnjax.models.network import Architecture

sys.path.insert(0, str(Path(__file__).parent / "steppers"))
import ours

FLAGS = flags.FLAGS
flags.DEFINE_string("network", "like_others", "as `nst_step` times it, or a network's name")
if __name__ == "__main__":
    cli.define_json()

STEPS = 25
# Parts of the step by XLA's names of operations; the first pattern that matches counts.
PARTS = (
    ("binary forward (xor, popcount)", r"jit\(_sums\)"),
    ("binary backward: product", r"jit\(input_gradient\)/dot"),
    ("binary backward: shifted adds", r"jit\(input_gradient\)"),
    ("stem", r"_stem"),
    ("transitions", r"_transition"),
    ("norms, ReLU, masks", r"_block|_conv_block|QuickNet"),
    ("losses, picture, Adam", r""),
)


def report() -> dict:
    """Prints a table and returns milliseconds per step and part, and peaks in Gflop/s."""
    run = ours.make_step(FLAGS.network, 1, 224)
    run(1)
    spent = min(_seconds(lambda: run(STEPS)) for _ in range(3)) / STEPS
    parts = _parts(run)
    peaks = {
        f"{dtype} product, Gflop/s": _peak(jnp.dtype(dtype)) for dtype in ("float32", "bfloat16")
    }
    floor = _floor(peaks[f"{gradient_dtype()} product, Gflop/s"])
    rows = [["part", "ms per step"], *([name, f"{ms:.2f}"] for name, ms in parts.items())]
    rows += [
        ["whole step, wall clock", f"{1e3 * spent:.2f}"],
        ["floor of its products", f"{floor:.2f}"],
    ]
    rows += [[name, f"{value:.0f}"] for name, value in peaks.items()]
    cli.print_table(rows)
    return {"ms": 1e3 * spent, "parts_ms": parts, "floor_ms": floor, **peaks}


def _seconds(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _parts(run) -> dict[str, float]:
    """Returns milliseconds per step by part; operations that overlap both count."""
    names = _operation_names()
    found = dict.fromkeys((part for part, _ in PARTS), 0.0)
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run(STEPS)
        path = glob.glob(f"{folder}/**/*.trace.json.gz", recursive=True)[0]
        with gzip.open(path) as file:
            events = json.load(file)["traceEvents"]
    durations: collections.Counter[str] = collections.Counter()
    for event in events:
        durations[event.get("name", "")] += event.get("dur", 0)
    for operation, microseconds in durations.items():
        if operation in names:
            part = next(part for part, pattern in PARTS if re.search(pattern, names[operation]))
            found[part] += microseconds / STEPS / 1e3
    return found


def _operation_names() -> dict[str, str]:
    """Maps XLA's operations in the compiled step to where in the program they come from."""
    text = ours.compiled_text(FLAGS.network)
    found = {}
    for line in text.splitlines():
        match = re.match(r"\s*(?:ROOT )?%?([\w.-]+) = .*", line)
        if match:
            origin = re.search(r'op_name="([^"]*)"', line)
            found[match[1]] = origin[1] if origin else ""
    return found


def _peak(dtype: jnp.dtype, side: int = 2048) -> float:
    a = jnp.asarray(np.random.default_rng(0).normal(size=(side, side)), dtype)
    product = jax.jit(lambda a: jnp.dot(a, a, preferred_element_type=jnp.float32))
    product(a).block_until_ready()
    seconds = min(_seconds(lambda: product(a).block_until_ready()) for _ in range(5))
    return 2 * side**3 / seconds / 1e9


def _floor(peak: float) -> float:
    """Returns milliseconds of the backward products of all binary convolutions at the peak."""
    entry = registry.find(ours.NETWORKS.get(FLAGS.network, FLAGS.network))
    counts = summary.summarize(Architecture.published(entry))
    return 2 * counts.macs_of(1) / peak / 1e6


def main() -> int:
    cli.print_json(report())
    return 0


if __name__ == "__main__":
    cli.run(main)
