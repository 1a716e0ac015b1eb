"""Trains a binarized network on labelled photographs.

python launch/train.py --data_dir=photographs --workdir=inknet --teacher=quicknet_v0

The photographs are read from the folders train/CLASS and val/CLASS, or from the shards train-*.tar*
and val-*.tar*. The working directory receives checkpoints, curves, and the frozen network after
every epoch. An interrupted run resumes when the command is repeated.
"""

from pathlib import Path
from typing import Any

from absl import flags

import bnnjax
from bnnjax import cli
from bnnjax.models import registry
from bnnjax.port.storage import network_file
from bnnjax.train import curves, loop
from bnnjax.train.config import TrainConfig
from bnnjax.train.photo_task import PhotoTask
from bnnjax.train.photographs import load_split

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "directory of the photographs", required=True)
flags.DEFINE_string("workdir", None, "directory for everything the run writes", required=True)
flags.DEFINE_string("model", "inknet", "name of the network to train")
flags.DEFINE_string("teacher", None, "name or file of a network to learn from; default: none")
cli.define_fields(TrainConfig)
cli.define_json()


def main() -> int:
    config = TrainConfig(**cli.given(TrainConfig.__dataclass_fields__))
    entry = registry.find(FLAGS.model)
    workdir = Path(FLAGS.workdir).expanduser()
    teacher = bnnjax.load_model(FLAGS.teacher) if FLAGS.teacher else None
    photographs, validation = (load_split(FLAGS.data_dir, split) for split in ("train", "val"))
    task = PhotoTask(entry, photographs, validation, config, teacher)

    def save(state: Any, epoch: int, metrics: dict[str, float]) -> None:
        network = bnnjax.freeze(task.network(state))
        network_file.save(network, workdir / "network", overwrite=True)
        curves.plot(workdir)

    loop.train(task, workdir, after_epoch=save)
    columns = curves.read(workdir / curves.VALIDATION)
    metrics = {name: values[-1] for name, values in columns.items()}
    network = str(network_file.with_suffix(workdir / "network"))
    cli.print_json({**metrics, **cli.costs(), "network": network})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
