"""Paints photographs in the manner of paintings.

python launch/stylize.py --content=boat.jpg --style=wave.jpg [--weights=quicknet] [--output_dir=out]

Without pictures, those that ship with the package are painted.
"""

from pathlib import Path

from absl import flags

from bnnjax import assets, cli
from bnnjax.assets import PAINTINGS, PHOTOGRAPHS
from bnnjax.nst import files, inputs
from bnnjax.nst.config import PRESETS
from bnnjax.nst.stylize import stylize_batch
from bnnjax.port.tflite.network import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_list("content", None, "photographs: paths, separated by commas")
flags.DEFINE_list("style", None, "paintings: paths, separated by commas")
flags.DEFINE_string("output_dir", "out", "directory for the pictures CONTENT__STYLE.png")
flags.DEFINE_string("weights", None, "a network's checkpoint (see port_larq.py) or .tflite file")
flags.DEFINE_enum("preprocessing", None, list(PREPROCESSINGS), "of a .tflite file; imagenet")
flags.DEFINE_string("model", None, "name of a network")
flags.DEFINE_enum("pairing", "zip", inputs.PAIRINGS, "which photograph goes with which painting")
flags.DEFINE_enum("preset", None, list(PRESETS), "bundle of choices; the network's own, or default")
flags.DEFINE_string("recipe", None, "a picture made before: its choices, where none are given")
flags.DEFINE_boolean("overwrite", False, "replace pictures that exist")
flags.DEFINE_boolean("previews", False, "keep NAME.preview.png of the pictures under way")
cli.define_choices()
cli.define_json()


def main() -> int:
    recipe = files.read_recipe(FLAGS.recipe) if FLAGS.recipe else {}
    contents, styles = (FLAGS[k].value or recipe.get(k) or [] for k in ("content", "style"))
    if not (contents or styles):
        paths = assets.samples()
        contents, styles = ([paths[n] for n in kind] for kind in (PHOTOGRAPHS, PAINTINGS))
    contents = inputs.as_list(contents, kind="content")
    styles = inputs.as_list(styles, kind="style")
    names = [inputs.names_of(contents, kind="content"), inputs.names_of(styles, kind="style")]
    pairs = inputs.make_pairs(*names, pairing=FLAGS.pairing)
    directory = Path(FLAGS.output_dir)
    files.picture_paths([p.name for p in pairs], directory, overwrite=FLAGS.overwrite)
    # The recipe's network is one of a piece: none of it goes with another.
    kept = {} if FLAGS.model or FLAGS.weights else recipe
    weights = FLAGS.weights or kept.get("weights")
    result = stylize_batch(
        contents,
        styles,
        model=FLAGS.model or (None if weights else kept.get("network")),
        weights=weights,
        preprocessing=FLAGS.preprocessing or kept.get("provenance", {}).get("preprocessing"),
        pairing=FLAGS.pairing,
        preset=FLAGS.preset,
        preview=files.previewer(directory) if FLAGS.previews else None,
        **{**files.choices_of(recipe), **cli.chosen()},
    )
    paths = files.save(result, directory, overwrite=FLAGS.overwrite)
    cli.print_table(files.table(result, paths))
    costs = cli.costs()
    print(f"{files.summary(result)}; {costs['total_seconds']} s, {costs['peak_memory_mib']} MiB")
    cli.print_problems(result.problems)
    names = [str(path) for path in paths]
    cli.print_json({**result.run, **costs, "files": names, "problems": result.problems})
    return 1 if result.problems else 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
