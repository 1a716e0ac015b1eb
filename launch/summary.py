"""Parameters, memory and multiply-accumulates of a network, counted as Larq counts them.

    python launch/summary.py --model=quicknet

or accuracy, parameters and memory of all networks, as published, beside VGG-19's:

    python launch/summary.py --compare
"""

from absl import flags

from bnnjax import cli
from bnnjax.models import compare, registry, summary
from bnnjax.models.network import Architecture

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name of the network; with --compare vgg19 if not given")
flags.DEFINE_boolean("compare", False, "all networks, their memory in ratio to that of --model")
flags.DEFINE_integer("size", 224, "side of the picture that products are counted for, px")
flags.DEFINE_boolean("top", True, "with the classifier")
cli.define_json()


def main() -> int:
    if FLAGS.compare:
        return print_comparison()
    if FLAGS.model is None:
        raise ValueError("no network was given; name one with --model=NAME, or give --compare")
    entry = registry.find(FLAGS.model)
    without = {} if FLAGS.top else {"num_classes": None}
    found = summary.summarize(Architecture.published(entry, **without), side=FLAGS.size)
    cli.print_table(summary.table(found))
    print()
    cli.print_table(summary.totals(found))
    cli.print_json({"model": entry.name, **summary.figures(found)})
    return 0


def print_comparison() -> int:
    rows = compare.compare(FLAGS.model or "vgg19")
    cli.print_table(compare.table(rows))
    cli.print_json({row.name: row._asdict() for row in rows})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
