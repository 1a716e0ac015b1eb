"""Parameters, memory and multiply-accumulates of a network, counted as Larq counts them.

python launch/summary.py --model=quicknet
"""

from absl import flags

from bnnjax import cli
from bnnjax.models import registry, summary
from bnnjax.models.network import Architecture

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name of the network", required=True)
flags.DEFINE_integer("size", 224, "side of the picture that products are counted for, px")
flags.DEFINE_boolean("top", True, "with the classifier")
cli.define_json()


def main() -> int:
    entry = registry.find(FLAGS.model)
    classes = entry.classes if FLAGS.top else None
    found = summary.summarize(Architecture(entry, False, entry.options, classes), side=FLAGS.size)
    cli.print_table(summary.table(found))
    print()
    cli.print_table(summary.totals(found))
    cli.print_json(
        {
            "model": entry.name,
            "params": found.parameters,
            "params_1bit": found.parameters_of(1),
            "bytes": _whole(found.bytes),
            "bytes_8bit": _whole(found.bytes_8bit),
            "bytes_float32": _whole(found.bytes_float32),
            "macs_1bit": found.macs_of(1),
            "macs_other": found.macs - found.macs_of(1),
        }
    )
    return 0


def _whole(value: float) -> int | float:
    return int(value) if value == int(value) else value


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
