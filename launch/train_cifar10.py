"""Trains BinaryNet on CIFAR-10, as in Larq's tutorial.

python launch/train_cifar10.py --data_dir=cifar-10-batches-bin --workdir=~/binarynet

The working directory receives checkpoints, training.csv, validation.csv (accuracy on the test
pictures after every epoch) and curves.png. An interrupted run resumes when the command is repeated.
"""

from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from bnnjax import cli
from bnnjax.models import binarynet, summary
from bnnjax.train import cifar10, curves, loop
from bnnjax.train.cifar10_task import Cifar10Task
from bnnjax.train.config import Cifar10Config

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "directory of CIFAR-10's files", required=True)
flags.DEFINE_string("workdir", None, "directory for everything the run writes", required=True)
cli.define_fields(Cifar10Config)
cli.define_json()


def main() -> int:
    config = Cifar10Config(**cli.given(Cifar10Config.__dataclass_fields__))
    size = summary.summarize_module(binarynet.BinaryNet(), side=binarynet.SIDE)
    print(
        f"{size.parameters:,} parameters: {size.bytes_float32 / 1e6:.1f} MB as float32, "
        f"{size.bytes / 1e6:.2f} MB with packed binary kernels, "
        f"{size.bytes_float32 / size.bytes:.1f} times smaller"
    )
    workdir = Path(FLAGS.workdir).expanduser()
    task = Cifar10Task(*cifar10.load(FLAGS.data_dir), config)

    def report(state: Any, epoch: int, metrics: dict[str, float]) -> None:
        tqdm.write(f"epoch {epoch}: accuracy {metrics['top1']:.2f} %")
        curves.plot(workdir)

    loop.train(task, workdir, after_epoch=report)
    accuracy = curves.read(workdir / curves.VALIDATION).get("top1", [])
    if accuracy:
        print(f"accuracy on the test pictures: {accuracy[-1]:.2f} %, at best {max(accuracy):.2f} %")
    figures = {"accuracy": accuracy, "bytes": size.bytes, "bytes_float32": size.bytes_float32}
    cli.print_json({**figures, **cli.costs()})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
