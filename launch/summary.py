"""Parameters, memory and multiply-accumulates of a network, counted as Larq counts them.

python launch/summary.py --model=quicknet
python launch/summary.py --compare  # all networks, as published, beside VGG-19
"""

import dataclasses

from absl import flags

from bnnjax import cli, load_model
from bnnjax.models import compare, registry, summary
from bnnjax.models.network import Architecture

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name of a network or network file; with --compare, vgg19")
flags.DEFINE_boolean("compare", False, "all networks, with their memory relative to --model's")
flags.DEFINE_integer("size", 224, "side of the picture that products are counted for, px")
flags.DEFINE_boolean("top", True, "with the classifier")
cli.define_json()


def main() -> int:
    if FLAGS.compare:
        return print_comparison()
    if FLAGS.model is None:
        raise ValueError("no network was given; name one with --model, or give --compare")
    architecture = architecture_of(FLAGS.model)
    if not FLAGS.top:
        architecture = dataclasses.replace(architecture, num_classes=None)
    found = summary.summarize(architecture, side=FLAGS.size)
    cli.print_table(summary.table(found))
    print()
    cli.print_table(summary.totals(found))
    cli.print_json({"model": architecture.entry.name, **summary.figures(found)})
    return 0


def architecture_of(model: str) -> Architecture:
    """The architecture of a network; one of the registry needs no weights for that."""
    if model not in registry.REGISTRY:
        return load_model(model).architecture
    entry = registry.find(model)
    return Architecture.published(entry)


def print_comparison() -> int:
    rows = compare.compare(FLAGS.model or "vgg19")
    cli.print_table(compare.table(rows))
    cli.print_json({row.name: row._asdict() for row in rows})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
