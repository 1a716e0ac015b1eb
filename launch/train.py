"""Trains a binary network on labelled photographs.

    python launch/train.py --data_dir=photographs --workdir=~/inknet [--teacher=quicknet_v0]

The folder holds ``train-*.tar*`` and ``val-*.tar*``. The work folder gets checkpoints, curves and,
after every epoch, the frozen network. Run again, it goes on where it was stopped.
"""

from pathlib import Path

from absl import flags

import bnnjax
from bnnjax import cli
from bnnjax.models import registry
from bnnjax.models.network import Architecture
from bnnjax.port import checkpoint, load
from bnnjax.train import curves, loop
from bnnjax.train.photo_task import PhotoTask, Recipe
from bnnjax.train.photographs import load_shards

FLAGS = flags.FLAGS
if __name__ == "__main__":
    flags.DEFINE_string("data_dir", None, "folder of the tar shards", required=True)
    flags.DEFINE_string("workdir", None, "folder for everything the run writes", required=True)
    flags.DEFINE_string("model", "inknet", "network of the registry")
    flags.DEFINE_string("teacher", None, "checkpoint or name of a network to learn from")
    cli.define_fields(Recipe)
    cli.define_json()


def main() -> int:
    import dataclasses
    recipe = Recipe(**{f.name: FLAGS[f.name].value for f in dataclasses.fields(Recipe) if FLAGS[f.name].present})
    recipe = dataclasses.replace(recipe, sides=tuple(map(int, recipe.sides)))
    data = Path(FLAGS.data_dir).expanduser()
    photographs = load_shards(sorted(data.glob("train-*.tar*")))
    validation = load_shards(sorted(data.glob("val-*.tar*")))
    entry = registry.find(FLAGS.model)
    architecture = Architecture(entry, False, entry.options)
    teacher = load.load_model(FLAGS.teacher) if FLAGS.teacher else None
    task = PhotoTask(architecture, photographs, validation, recipe, teacher)
    workdir = Path(FLAGS.workdir).expanduser()

    def keep(state, epoch, figures):
        curves.draw(workdir)
        checkpoint.save(bnnjax.freeze(task.network(state)), workdir / "network", overwrite=True)

    loop.train(task, workdir, after_epoch=keep)
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
