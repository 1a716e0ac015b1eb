"""Paints photographs in the style of paintings.

python launch/stylize.py --content=boat.jpg --style=wave.jpg [--model=quicknet]

Without pictures, it paints the samples that ship with the package.
"""

from absl import flags

from bnnjax import Recipe, assets, cli
from bnnjax.images import FORMATS
from bnnjax.nst import folder, inputs, report, sources
from bnnjax.nst.config import OPTIONS, PRESETS, StylizeConfig
from bnnjax.port.program.preprocessing import PREPROCESSINGS

FLAGS = flags.FLAGS
WHAT = "files, folders or patterns such as 'x/*.jpg', separated by commas; may be repeated"
flags.DEFINE_multi_string("content", None, f"photographs: {WHAT}")
flags.DEFINE_multi_string("style", None, f"paintings: {WHAT}; '+' blends two or more")
GREY = "greyscale pictures, white where"
flags.DEFINE_multi_string("content_mask", None, f"{GREY} photographs are painted, black where kept")
flags.DEFINE_multi_string("style_mask", None, f"{GREY} paintings are measured")
flags.DEFINE_multi_string("start", None, "pictures to start from in place of the photographs")
flags.DEFINE_integer("variations", None, "make each picture in 1 to 6 settings to choose from")
flags.DEFINE_string("output_dir", "out", "directory for the pictures CONTENT__STYLE.png")
flags.DEFINE_string("output", None, "file for a single picture: .png, .jpg or .webp")
flags.DEFINE_enum("output_format", "png", list(FORMATS), "format of the pictures in output_dir")
flags.DEFINE_boolean("keep_metadata", False, "keep the time of exposure; embed an sRGB profile")
flags.DEFINE_boolean("keep_alpha", False, "make pictures as transparent as their photographs")
flags.DEFINE_string("model", None, "name or file of a network, or several; default: inknet")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of a .tflite/.h5 file; default: imagenet"
)
flags.DEFINE_enum("pairing", "zip", inputs.PAIRINGS, "how photographs and paintings are paired")
flags.DEFINE_enum("preset", None, list(PRESETS), "a named set of options")
flags.DEFINE_string("recipe", None, "a picture by bnnjax, whose recipe supplies what is not given")
flags.DEFINE_boolean("keep_paths", False, "write the paths of the inputs into the pictures")
flags.DEFINE_boolean("overwrite", False, "replace existing pictures")
flags.DEFINE_boolean("previews", False, "keep a NAME.preview.png of every picture up to date")
flags.DEFINE_boolean("resume", False, "resume an interrupted run into output_dir")
cli.define_fields(StylizeConfig)
cli.define_json()
SAME = ("preprocessing", "pairing", "preset", "overwrite", "resume", "keep_paths", "previews")
GUIDES = ("content_mask", "style_mask", "start")
SAME += ("variations", "output", "output_format", "keep_metadata", "keep_alpha")


def main() -> int:
    recipe = Recipe.read(FLAGS.recipe) if FLAGS.recipe else None
    pictures, model = (sources.listed(FLAGS.content), sources.listed(FLAGS.style)), FLAGS.model
    guides: dict[str, object] = {}
    if recipe is not None:
        recipe.check_terms()
        guides = recipe.guides(*pictures)
        pictures, model = recipe.sources(*pictures), model or recipe.network()
    elif not any(pictures):
        pictures = assets.samples()
    config, options = recipe and recipe.config, {name: FLAGS[name].value for name in SAME}
    given = {name: sources.listed(value) for name, value in cli.given(GUIDES).items()}
    options |= {"model": model, "config": config, **guides, **given, **cli.given(OPTIONS)}
    result, written = folder.stylize_into(FLAGS.output_dir, *pictures, **options)
    cli.print_table(report.table(result, written.pictures))
    costs = cli.costs()
    print(f"{report.summary(result)}; {costs['total_seconds']} s, {costs['peak_memory_mib']} MiB")
    cli.print_problems(result.problems)
    cli.print_json({**result.run, **costs, "files": written.all(), "problems": result.problems})
    return 1 if result.problems else 0


def run() -> None:
    cli.run(main, leave_at_once=True)


if __name__ == "__main__":
    run()
