"""Shows what a network's layers stand for.

    python launch/layers.py --kind=style     # the style of each tap alone, without any content
    python launch/layers.py --kind=content   # the content of each tap alone
    python launch/layers.py --kind=cross     # content taps × sets of style taps, cross-validated

The folder gets a picture per tap, a sheet from the stem to the end, a table and plots.
"""

from absl import flags

from bnnjax import assets, cli
from bnnjax.nst.config import OPTIONS, PRESETS, StylizeConfig
from bnnjax.studies import layers, validation
from bnnjax.studies.bench import BENCH, BenchConfig

FLAGS = flags.FLAGS
flags.DEFINE_list("content", None, "paths of photographs, separated by commas")
flags.DEFINE_list("style", None, "paths of paintings, separated by commas")
flags.DEFINE_enum("kind", "style", ["style", "content", "cross"], "what to vary")
flags.DEFINE_list("taps", None, "taps to try; default: all, or in a cross the style taps")
flags.DEFINE_list("style_sets", None, "a cross's sets of style taps, as TAP+TAP,TAP+TAP+TAP")
flags.DEFINE_list("inits", ["matched"], "what styles start from: matched, content, grey, noise")
flags.DEFINE_enum("preset", None, list(PRESETS), "a named set of options")
cli.define_fields(BenchConfig)
cli.define_fields(StylizeConfig)
cli.define_json()


def main() -> int:
    pictures = (FLAGS.content, FLAGS.style)
    if not any(pictures):
        pictures = assets.samples()
    options = {"output_dir": "out", "preset": FLAGS.preset, "taps": FLAGS.taps}
    options |= cli.given((*BENCH, *OPTIONS))
    if FLAGS.kind == "style":
        study = layers.style_layers(*pictures, inits=FLAGS.inits, **options)
    elif FLAGS.kind == "content":
        study = layers.content_layers(*pictures, **options)
    else:
        sets = FLAGS.style_sets and [taps.split("+") for taps in FLAGS.style_sets]
        study = layers.cross_layers(*pictures, style_sets=sets, **options)
    files, figures = study.save(options["output_dir"]), study.figures()
    if FLAGS.kind == "cross" and len(study.of(study.settings[0])) > 1:
        figures["factors"] = validation.factors(study)
        cli.print_table(validation.table(study))
        cli.print_table(validation.factor_table(figures["factors"]))
    return cli.report(study.table(), figures, *files, study.problems)


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
