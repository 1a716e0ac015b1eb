"""The cost of a step of style transfer through each network of the registry.

    python benchmarks/zoo_steps.py [--networks=quicknet,vgg19] [--size=224] [--json]

One picture, the default recipe, and random weights, on which speed does not depend. Each network
takes turns with QuickNet v0.2 in a process of its own; ratios are network / QuickNet v0.2 within
that process. ``peak`` is the peak memory of the process, which includes both networks, Python, JAX
and the compiler. Nothing else should run meanwhile.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

from absl import flags

from bnnjax import cli
from bnnjax.models import registry

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", list(registry.REGISTRY), "names of networks")
flags.DEFINE_integer("size", 224, "side of the picture, in pixels")
flags.DEFINE_integer("rounds", 3, "turns that both networks take")
cli.define_json()

STEPPER = Path(__file__).parent / "steppers" / "ours.py"
REFERENCE = "quicknet_v0"


def main() -> int:
    rows = {}
    for name in FLAGS.networks:
        rows[name] = measure(name)
        print(name, rows[name], file=sys.stderr)
    cells = [[name, *(f"{value:.1f}" for value in row.values())] for name, row in rows.items()]
    cli.print_table([["network", "ms per step", f"times {REFERENCE}", "peak MiB"], *cells])
    cli.print_json(rows)
    return 0


def measure(name: str) -> dict[str, float]:
    """Milliseconds per step, their ratio to the reference's, and MiB."""
    questions = [f"{registry.find(each).name} 1 {FLAGS.size} " for each in (name, REFERENCE)]
    lines = [f"{q}1" for q in questions] + [f"{q}5" for q in questions] * FLAGS.rounds
    process = subprocess.Popen(
        [sys.executable, STEPPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(lines) + "\n")
    process.stdin.close()
    _, *answers = process.stdout.read().split()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise ValueError(f"{name}: {STEPPER.name} exited with status {status}")
    spent, others = ([float(a) for a in answers[2:][n::2]] for n in (0, 1))
    ratios = [ours / other for ours, other in zip(spent, others, strict=True)]
    return {
        "ms": statistics.median(spent),
        "ratio": statistics.median(ratios),
        "peak_mib": usage.ru_maxrss / 1024,
    }


if __name__ == "__main__":
    cli.run(main)
