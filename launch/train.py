"""Trains a binarized network on labelled photographs.

    python launch/train.py --data_dir=photographs --workdir=inknet --teacher=quicknet_v0
    python launch/train.py --data_dir=photographs --workdir=mine --init=own.h5 --preprocessing=unit

The photographs are read from the folders train/CLASS and val/CLASS, from the shards train-*.tar*
and val-*.tar*, or from folders CLASS, of which every tenth picture is for validation. The working
directory receives checkpoints, curves, and the frozen network after every epoch. An interrupted run
resumes when the command is repeated.
"""

from pathlib import Path

from absl import flags

from bnnjax import cli
from bnnjax.port.program.preprocessing import PREPROCESSINGS
from bnnjax.port.storage import network_file
from bnnjax.train import curves
from bnnjax.train import run as training
from bnnjax.train.config import TrainConfig

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "directory of the photographs", required=True)
flags.DEFINE_string("workdir", None, "directory for everything the run writes", required=True)
flags.DEFINE_string("model", None, "name of the network to train; default: inknet")
flags.DEFINE_string("init", None, "name or file of a network to train further; default: none")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of an init in .h5; default: imagenet"
)
flags.DEFINE_list("classes", None, "names of the classes to train on, in order; default: all")
flags.DEFINE_string(
    "teacher", None, "name or file of a network to learn from, or several; default: none"
)
cli.define_fields(TrainConfig)
cli.define_json()
CHOICES = ("model", "init", "preprocessing", "classes", "teacher")


def main() -> int:
    config = TrainConfig(**cli.given(TrainConfig.__dataclass_fields__))
    options = {name: FLAGS[name].value for name in CHOICES}
    training.train_on_photographs(FLAGS.data_dir, FLAGS.workdir, config=config, **options)
    workdir = Path(FLAGS.workdir).expanduser()
    columns = curves.read(workdir / curves.VALIDATION)
    metrics = {name: values[-1] for name, values in columns.items()}
    network = str(network_file.with_suffix(workdir / training.NETWORK))
    cli.print_json({**metrics, **cli.costs(), "network": network})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
