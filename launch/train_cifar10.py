"""Trains BinaryNet on CIFAR-10, as Larq's tutorial does.

    python launch/train_cifar10.py --data_dir=cifar-10-batches-bin --workdir=~/binarynet

The work folder gets checkpoints, training.csv, validation.csv (accuracy on the test pictures after
every epoch) and curves.png. Run again, it goes on where it was stopped.
"""

from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from bnnjax import cli
from bnnjax.models import binarynet, summary
from bnnjax.train import cifar10, curves, loop
from bnnjax.train.cifar10_task import Cifar10Task, Recipe

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "folder of CIFAR-10's binary files", required=True)
flags.DEFINE_string("workdir", None, "folder for everything the run writes", required=True)
cli.define_fields(Recipe)
cli.define_json()


def main() -> int:
    recipe = Recipe(**cli.given(Recipe.__dataclass_fields__))
    size = summary.summarize_module(binarynet.BinaryNet(), side=binarynet.SIDE)
    ratio = size.bytes_float32 / size.bytes
    print(
        f"{size.parameters:,} parameters: {size.bytes_float32 / 1e6:.1f} MB as float32, "
        f"{size.bytes / 1e6:.2f} MB with binary kernels as bits, {ratio:.1f} times less"
    )
    workdir = Path(FLAGS.workdir).expanduser()
    task = Cifar10Task(*cifar10.load(FLAGS.data_dir), recipe)

    def tell(state: Any, epoch: int, figures: dict[str, float]) -> None:
        tqdm.write(f"epoch {epoch}: accuracy {figures['accuracy']:.2f} %")
        curves.draw(workdir)

    loop.train(task, workdir, after_epoch=tell)
    accuracies = curves.read(workdir / loop.VALIDATION).get("accuracy", [])
    if accuracies:
        best = max(accuracies)
        print(f"accuracy on the test pictures: {accuracies[-1]:.2f} %, at best {best:.2f} %")
    figures = {"accuracy": accuracies, "bytes": size.bytes, "bytes_float32": size.bytes_float32}
    cli.print_json({**figures, **cli.costs()})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
