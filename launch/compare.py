"""Compares networks: each paints the same pairs, and a judge measures the pictures.

python launch/compare.py --models=inknet,random:inknet,net.safetensors \
    --content=boat.jpg --style=wave.jpg --judge=vgg19

Without pictures, it paints the samples that ship with the package.
"""

from absl import flags

from bnnjax import assets, cli, judge
from bnnjax.nst import inputs
from bnnjax.nst.config import OPTIONS, StylizeConfig
from bnnjax.studies import comparison
from bnnjax.studies.compare import compare

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "models", None, "names or files of networks; random:NAME has random weights", required=True
)
flags.DEFINE_list("content", None, "paths of photographs, separated by commas")
flags.DEFINE_list("style", None, "paths of paintings, separated by commas")
flags.DEFINE_enum("pairing", "zip", inputs.PAIRINGS, "how photographs and paintings are paired")
flags.DEFINE_string("judge", None, "vgg19 (a download), or a file of its weights", required=True)
flags.DEFINE_string("output_dir", "out/compare", "directory for the pictures, table, plot, sheet")
flags.DEFINE_boolean("overwrite", False, "make pictures again that are there")
cli.define_fields(StylizeConfig)
cli.define_json()


def main() -> int:
    pictures = (FLAGS.content or [], FLAGS.style or [])
    if not any(pictures):
        pictures = assets.samples()
    entrants = compare(
        FLAGS.models,
        *pictures,
        FLAGS.output_dir,
        judge=judge.vgg_features(FLAGS.judge),
        **cli.given(("pairing", "overwrite", *OPTIONS)),
    )
    cli.print_table(comparison.table(entrants))
    costs = cli.costs()
    print(f"{FLAGS.output_dir}: {costs['total_seconds']} s, {costs['peak_memory_mib']} MiB")
    networks = {e.name: {**e.figures, "pictures": e.rows, "note": e.note} for e in entrants}
    cli.print_json({"networks": networks, **costs})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
