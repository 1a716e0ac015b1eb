"""Looks for the cause of blocky artefacts: pooling, residual additions, or the optimisation.

    python launch/blocks.py --models=inknet,quicknet.safetensors,vgg19.safetensors

For every network, a folder of its name gets a picture per suspect, a sheet, a table and plots; a
second table has the grid in the pictures by its period, a third that in the first gradients.
"""

from pathlib import Path

from absl import flags

from bnnjax import assets, cli
from bnnjax.nst.config import OPTIONS, PRESETS, StylizeConfig
from bnnjax.options import one_of
from bnnjax.studies import blocks
from bnnjax.studies.bench import BENCH, BenchConfig

FLAGS = flags.FLAGS
flags.DEFINE_list("content", None, "paths of photographs, separated by commas")
flags.DEFINE_list("style", None, "paths of paintings, separated by commas")
flags.DEFINE_list("models", ["inknet"], "names or files of networks")
flags.DEFINE_list("suspects", None, "the suspects to try; default: all")
flags.DEFINE_enum("preset", None, list(PRESETS), "a named set of options")
cli.define_fields(BenchConfig)
cli.define_fields(StylizeConfig)
cli.define_json()


def main() -> int:
    pictures = (FLAGS.content, FLAGS.style)
    if not any(pictures):
        pictures = assets.samples()
    given = {"preset": FLAGS.preset, **cli.given((*BENCH, *OPTIONS))}
    names = FLAGS.suspects or blocks.SUSPECTS
    suspects = {one_of("suspects", n, blocks.SUSPECTS): blocks.SUSPECTS[n] for n in names}
    status = 0
    for model in FLAGS.models:
        directory = Path(given.get("output_dir", "out")) / Path(model).stem
        options = {**given, "model": model, "output_dir": directory}
        study = blocks.blocks(*pictures, suspects=suspects, **options)
        found = blocks.gradient_peaks(*pictures, **options)
        cli.print_table(blocks.peaks_table(study))
        cli.print_table(blocks.gradient_table(found))
        files, figures = study.save(directory), {"model": model, **study.figures()}
        status |= cli.report(study.table(), figures, *files, study.problems)
    return status


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
