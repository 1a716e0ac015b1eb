"""One step of style transfer: ours, Larq's on TensorFlow and VGG-19's on PyTorch, interleaved.

    python benchmarks/nst_step.py [--rounds=5] [--json]

A step consists of the forward pass, the losses, the backward pass, Adam and clipping to the gamut;
pixels are optimised. QuickNet of zoo 2.x has style (Gram) after the second block of each section
and content after the third block of section 3; VGG-19 has relu1_1 … relu5_1 and relu4_2. All have
the same losses and threads. Each runs in its own process and environment, which this script creates
once (this takes minutes). They take turns while the others sleep. Larq runs with jit_compile on and
off, and the faster one counts. ``--profile`` adds the parts of our step and the machine's peak.

Nothing else may run at the same time. Ratios are other / ours within a round.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

import step_profile
from absl import flags

from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_integer("rounds", 5, "how often each takes its turn")
flags.DEFINE_boolean("profile", True, "measure the parts of our step and the machine's peak")
flags.DEFINE_boolean("large", True, "also time 512 px, for ours and VGG-19")
cli.define_json()

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("BNNJAX_CACHE") or Path.home() / ".cache" / "bnnjax")
# What is timed, by name: the stepper, the question to it (without its steps), steps per turn.
TURNS = {
    "ours_b1": ("ours", "like_others 1 224", 25),
    "larq_b1": ("larq", "1 224 0", 10),
    "larq_xla_b1": ("larq", "1 224 1", 10),
    "ours_b8": ("ours", "like_others 8 224", 25),
    "larq_b8": ("larq", "8 224 0", 3),
    "larq_xla_b8": ("larq", "8 224 1", 3),
    "torch_vgg19_b1": ("torch", "1 224", 2),
    "ours_v0_default_b1": ("ours", "quicknet_v0 1 224", 25),
}
LARGE = {
    "ours_512_b1": ("ours", "like_others 1 512", 10),
    "torch_vgg19_512_b1": ("torch", "1 512", 1),
}


class Stepper:
    """A process that answers questions with milliseconds and sleeps in between."""

    def __init__(self, python: str, script: str | Path) -> None:
        # Idle threads must not spin while another process has its turn.
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.process = subprocess.Popen(
            [python, HERE / "steppers" / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self._read()

    def ask(self, question: str) -> float:
        """Returns milliseconds."""
        assert self.process.stdin is not None
        print(question, file=self.process.stdin, flush=True)
        return float(self._read())

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ValueError(f"{self.process.args[1]} ended with {self.process.wait()}")
        return line


def steppers() -> dict[str, Stepper]:
    """Starts all of them in their environments."""
    script = HERE.parent / "tests" / "reference" / "make_environment.sh"
    made = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True)
    return {
        "ours": Stepper(sys.executable, "ours.py"),
        "larq": Stepper(made.stdout.split()[-1], "larq_quicknet.py"),
        "torch": Stepper(torch_python(), "torch_vgg19.py"),
    }


def torch_python() -> str:
    """Returns the interpreter of an environment with PyTorch, which is made on first use."""
    folder = CACHE / "torch-env"
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "torch", "numpy"], check=True)
    return str(python)


def ratio(others: list[float], ours: list[float]) -> dict[str, float]:
    """Compares other / ours, round by round."""
    ratios = [other / own for other, own in zip(others, ours, strict=True)]
    return {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)}


def main() -> int:
    turns = TURNS | (LARGE if FLAGS.large else {})
    processes = steppers()
    for stepper, question, _ in turns.values():  # compiles
        processes[stepper].ask(f"{question} 1")
    rounds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(FLAGS.rounds):
        for name, (stepper, question, steps) in turns.items():
            rounds[name].append(processes[stepper].ask(f"{question} {steps}"))
        print(f"round {number + 1} of {FLAGS.rounds}", file=sys.stderr)
    for stepper in processes.values():
        stepper.process.kill()
    cli.print_table([["step", "ms (median)", "min", "max"], *map(row, rounds.items())])
    figures = summary(rounds)
    if FLAGS.profile:
        figures["profile"] = step_profile.report()
    cli.print_json(figures)
    return 0


def row(item: tuple[str, list[float]]) -> list[str]:
    name, spent = item
    return [name, *(f"{f(spent):.1f}" for f in (statistics.median, min, max))]


def summary(rounds: dict[str, list[float]]) -> dict:
    """Returns medians in milliseconds (per picture at batch 8) and ratios."""
    median = {name: statistics.median(spent) for name, spent in rounds.items()}
    larq = {n: min((f"larq_b{n}", f"larq_xla_b{n}"), key=lambda name: median[name]) for n in (1, 8)}
    figures = {
        "ours_ms_b1": median["ours_b1"],
        "ours_ms_per_image_b8": median["ours_b8"] / 8,
        "larq_ms_b1": median[larq[1]],
        "larq_ms_per_image_b8": median[larq[8]] / 8,
        "torch_vgg19_ms_b1": median["torch_vgg19_b1"],
        "ours_v0_default_ms_b1": median["ours_v0_default_b1"],
        "ratio_larq_b1": ratio(rounds[larq[1]], rounds["ours_b1"]),
        "ratio_larq_b8": ratio(rounds[larq[8]], rounds["ours_b8"]),
        "ratio_vgg19_b1": ratio(rounds["torch_vgg19_b1"], rounds["ours_b1"]),
    }
    if "ours_512_b1" in rounds:
        figures["ours_512_ms_b1"] = median["ours_512_b1"]
        figures["torch_vgg19_512_ms_b1"] = median["torch_vgg19_512_b1"]
        figures["ratio_vgg19_512_b1"] = ratio(rounds["torch_vgg19_512_b1"], rounds["ours_512_b1"])
    return figures


if __name__ == "__main__":
    cli.run(main)
