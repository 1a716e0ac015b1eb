"""Paints photographs in the manner of paintings.

python launch/stylize.py --content=boat.jpg --style=wave.jpg [--model=quicknet] [--output_dir=out]

Without pictures, those that ship with the package are painted.
"""

import shutil
from pathlib import Path

from absl import flags

from bnnjax import Recipe, assets, cli, stylize_batch
from bnnjax.nst import files, inputs, report
from bnnjax.nst.config import OPTIONS, PRESETS, StylizeConfig
from bnnjax.port.graph_network import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_list("content", None, "photographs: paths, separated by commas")
flags.DEFINE_list("style", None, "paintings: paths, separated by commas")
flags.DEFINE_string("output_dir", "out", "directory for the pictures CONTENT__STYLE.png")
flags.DEFINE_string("model", None, "a network's name or file; by default the one inside")
flags.DEFINE_enum("preprocessing", None, list(PREPROCESSINGS), "of a .tflite file; imagenet")
flags.DEFINE_enum("pairing", "zip", inputs.PAIRINGS, "which photograph goes with which painting")
flags.DEFINE_enum("preset", None, list(PRESETS), "a bundle of options")
flags.DEFINE_string("recipe", None, "a picture made before: what is not given comes from it")
flags.DEFINE_boolean("keep_paths", False, "write the paths of the inputs into the pictures")
flags.DEFINE_boolean("overwrite", False, "replace pictures that exist")
flags.DEFINE_boolean("previews", False, "keep NAME.preview.png of the pictures under way")
flags.DEFINE_boolean("resume", False, "go on with a run into output_dir that was cut off")
cli.define_fields(StylizeConfig)
cli.define_json()


def main() -> int:
    recipe = Recipe.read(FLAGS.recipe) if FLAGS.recipe else None
    contents, styles = FLAGS.content, FLAGS.style
    if recipe is not None:
        contents, styles = recipe.sources(contents, styles)
    elif not (contents or styles):
        contents, styles = assets.samples()
    directory, overwrite = Path(FLAGS.output_dir), FLAGS.overwrite or FLAGS.resume
    names = [pair.name for pair in inputs.pair_up(contents, styles, pairing=FLAGS.pairing)]
    files.picture_paths(names, directory, overwrite=overwrite)
    snapshots = directory / ".snapshots"
    if not FLAGS.resume:
        shutil.rmtree(snapshots, ignore_errors=True)
    result = stylize_batch(
        contents,
        styles,
        model=FLAGS.model or (recipe and recipe.network()),
        preprocessing=FLAGS.preprocessing,
        pairing=FLAGS.pairing,
        config=recipe and recipe.config,
        preset=FLAGS.preset,
        preview=report.previewer(directory) if FLAGS.previews else None,
        snapshots=snapshots,
        **cli.given(OPTIONS),
    )
    paths = result.save(directory, overwrite=overwrite, keep_paths=FLAGS.keep_paths)
    if not result.interrupted:
        shutil.rmtree(snapshots, ignore_errors=True)
    cli.print_table(report.table(result, paths))
    costs = cli.costs()
    print(f"{report.summary(result)}; {costs['total_seconds']} s, {costs['peak_memory_mib']} MiB")
    cli.print_problems(result.problems)
    written = [str(path) for path in paths]
    cli.print_json({**result.run, **costs, "files": written, "problems": result.problems})
    return 1 if result.problems else 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
