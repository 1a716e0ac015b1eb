"""Trains a binarized network on labelled photographs.

    python launch/train.py --data_dir=photographs --workdir=inknet --teacher=quicknet_v0
    python launch/train.py --data_dir=photographs --workdir=mine --init=own.h5 --preprocessing=unit

The photographs are read from the folders train/CLASS and val/CLASS, from the shards train-*.tar*
and val-*.tar*, or from folders CLASS, of which every tenth picture is for validation. The working
directory receives checkpoints, curves, and the frozen network after every epoch. An interrupted run
resumes when the command is repeated.
"""

from pathlib import Path
from typing import Any

from absl import flags

import bnnjax
from bnnjax import cli
from bnnjax.models import registry
from bnnjax.port.load import load_latent
from bnnjax.port.program.preprocessing import PREPROCESSINGS
from bnnjax.port.storage import network_file
from bnnjax.train import curves, loop
from bnnjax.train.config import TrainConfig
from bnnjax.train.photo_task import PhotoTask
from bnnjax.train.photographs import load_split

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "directory of the photographs", required=True)
flags.DEFINE_string("workdir", None, "directory for everything the run writes", required=True)
flags.DEFINE_string("model", None, "name of the network to train; default: inknet")
flags.DEFINE_string("init", None, "name or file of a network to train further; default: none")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of an init in .h5; default: imagenet"
)
flags.DEFINE_list("classes", None, "names of the classes to train on, in order; default: all")
flags.DEFINE_string("teacher", None, "name or file of a network to learn from; default: none")
cli.define_fields(TrainConfig)
cli.define_json()


def main() -> int:
    config = TrainConfig(**cli.given(TrainConfig.__dataclass_fields__))
    init = _init()
    entry = init.entry if init else registry.find(FLAGS.model or "inknet")
    workdir = Path(FLAGS.workdir).expanduser()
    teacher = bnnjax.load_model(FLAGS.teacher) if FLAGS.teacher else None
    photographs, validation = (
        load_split(FLAGS.data_dir, split, classes=FLAGS.classes) for split in ("train", "val")
    )
    task = PhotoTask(entry, photographs, validation, config, teacher, init)

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


def _init() -> bnnjax.Network | None:
    """The network to train further."""
    if FLAGS.init is None:
        if FLAGS.preprocessing is not None:
            raise ValueError("preprocessing is that of --init; give both")
        return None
    if FLAGS.model is not None:
        raise ValueError("--init is itself the network to train; leave --model out")
    return load_latent(FLAGS.init, preprocessing=FLAGS.preprocessing)


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
