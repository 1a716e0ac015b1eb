"""Parameters, memory and multiply-accumulates of a network, counted as in Larq.

python launch/summary.py --model=quicknet
python launch/summary.py --compare  # published figures of all networks, relative to VGG-19
"""

import dataclasses

from absl import flags

from bnnjax import cli, load_model
from bnnjax.models import compare, registry, summary
from bnnjax.models.network import Architecture

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name or file of a network; default with --compare: vgg19")
flags.DEFINE_boolean("compare", False, "compare the memory of all networks with --model's")
flags.DEFINE_integer("size", 224, "side of the picture for which MACs are counted, in pixels")
flags.DEFINE_boolean("top", True, "whether to include the classifier")
cli.define_json()


def main() -> int:
    if FLAGS.compare:
        return print_comparison()
    if FLAGS.model is None:
        raise ValueError("no network was given; use --model or --compare")
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
    """The architecture of a network; no weights are loaded for a registered one."""
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
