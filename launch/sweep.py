"""Sweeps settings of a stylization, all those that differ in weights in one compiled call.

    python launch/sweep.py --vary=style_weight=2,4,8 --vary=tv_weight=0.1..10:3 --judge=vgg19.npz
    python launch/sweep.py --vary=style_weight=1..64 --vary=content_weight=0.1..3 --search=64

The first form tries every combination; LOW..HIGH:COUNT are numbers at equal ratios. The second
searches (Optuna's TPE, `pip install 'bnnjax[sweep]'`). The folder gets the pictures, a sheet, a
table, plots, and best.png, which `launch/stylize.py --recipe` takes.
"""

from absl import flags

from bnnjax import assets, cli
from bnnjax.nst.config import OPTIONS, PRESETS, StylizeConfig
from bnnjax.studies import grid, search, sweep
from bnnjax.studies.bench import BENCH, BenchConfig

FLAGS = flags.FLAGS
flags.DEFINE_list("content", None, "paths of photographs, separated by commas")
flags.DEFINE_list("style", None, "paths of paintings, separated by commas")
flags.DEFINE_multi_string("vary", None, "NAME=VALUE,… or NAME=LOW..HIGH[:COUNT]", required=True)
flags.DEFINE_integer("search", None, "number of settings to search; default: the whole grid")
flags.DEFINE_integer("at_once", 8, "number of settings that a search proposes at a time")
flags.DEFINE_enum("preset", None, list(PRESETS), "a named set of options")
cli.define_fields(BenchConfig)
cli.define_fields(StylizeConfig)
cli.define_json()


def main() -> int:
    vary = dict(map(grid.parse, FLAGS.vary))
    pictures = (FLAGS.content, FLAGS.style)
    if not any(pictures):
        pictures = assets.samples()
    options = {"output_dir": "out", "preset": FLAGS.preset, **cli.given((*BENCH, *OPTIONS))}
    if FLAGS.search:
        options |= {"settings": FLAGS.search, "at_once": FLAGS.at_once}
        study = search.search(*pictures, vary=vary, **options)
    else:
        study = sweep.sweep(*pictures, vary=vary, **options)
    files = study.save(options["output_dir"])
    return cli.report(study.table(), study.figures(), *files, study.problems)


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
