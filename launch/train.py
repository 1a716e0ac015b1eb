"""Trains a binary network on labelled photographs.

python launch/train.py --data_dir=photographs --workdir=inknet --teacher=quicknet_v0

The data are the shards ``train-*.tar*`` and ``val-*.tar*``. The work folder gets checkpoints, the
curves and, after every epoch, the frozen network. Run again, it goes on where it was stopped.
"""

from pathlib import Path
from typing import Any

from absl import flags

import bnnjax
from bnnjax import cli
from bnnjax.models import registry
from bnnjax.models.network import Architecture
from bnnjax.port.storage import network_file
from bnnjax.train import curves, loop
from bnnjax.train.photo_task import PhotoTask
from bnnjax.train.photographs import load_split
from bnnjax.train.recipe import Recipe

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "folder of the shards", required=True)
flags.DEFINE_string("workdir", None, "folder for all that the run writes", required=True)
flags.DEFINE_string("model", "inknet", "name of the network to train")
flags.DEFINE_string("teacher", None, "name or checkpoint of a network to learn from")
cli.define_fields(Recipe)
cli.define_json()


def main() -> int:
    recipe = Recipe(**cli.given(Recipe.__dataclass_fields__))
    entry = registry.find(FLAGS.model)
    workdir = Path(FLAGS.workdir).expanduser()
    teacher = bnnjax.load_model(FLAGS.teacher) if FLAGS.teacher else None
    photographs, validation = (load_split(FLAGS.data_dir, split) for split in ("train", "val"))
    architecture = Architecture.published(entry)
    task = PhotoTask(architecture, photographs, validation, recipe, teacher)
    measured: dict[str, float] = {}

    def keep(state: Any, epoch: int, figures: dict[str, float]) -> None:
        measured.update(figures, epoch=epoch)
        network = bnnjax.freeze(task.network(state))
        network_file.save(network, workdir / "network", overwrite=True)
        curves.draw(workdir)

    loop.train(task, workdir, after_epoch=keep)
    network = str(network_file.with_suffix(workdir / "network"))
    cli.print_json({**measured, **cli.costs(), "network": network})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
