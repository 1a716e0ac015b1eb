"""Paints a film in the style of a painting; the sound is kept.

python launch/stylize_video.py --film=walk.mp4 --style=wave.jpg [--model=quicknet]

A run that was interrupted or killed continues where it was if it is started again.
"""

from pathlib import Path

from absl import flags

from bnnjax import cli
from bnnjax.film import stylize_film
from bnnjax.film.stylize import TEMPORAL_WEIGHT
from bnnjax.nst import sources
from bnnjax.nst.config import OPTIONS, PRESETS, StylizeConfig
from bnnjax.port.program.preprocessing import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_string("film", None, "the film, in any format that FFmpeg decodes", required=True)
flags.DEFINE_string("style", None, "the painting; '+' blends two or more", required=True)
flags.DEFINE_string("output", None, "the painted film; default: FILM__STYLE.mp4 in output_dir")
flags.DEFINE_string("output_dir", "out", "directory for the painted film")
flags.DEFINE_string("model", None, "name or file of a network, or several; default: inknet")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of a .tflite/.h5 file; default: imagenet"
)
flags.DEFINE_enum("preset", None, list(PRESETS), "a named set of options")
flags.DEFINE_integer(
    "frame_steps", None, "steps of all frames but the first; default: a quarter of steps"
)
flags.DEFINE_float(
    "temporal_weight", TEMPORAL_WEIGHT, "weight of the difference to the frame before"
)
flags.DEFINE_boolean("overwrite", False, "replace an existing film and frames with other options")
flags.DEFINE_boolean("keep_frames", False, "keep the folder of painted frames, NAME.frames")
cli.define_fields(StylizeConfig)
cli.define_json()
SAME = ("model", "preprocessing", "preset", "frame_steps", "temporal_weight", "overwrite")


def main() -> int:
    options = {name: FLAGS[name].value for name in (*SAME, "keep_frames")}
    style, options = sources.listed([FLAGS.style]), options | cli.given(OPTIONS)
    result = stylize_film(FLAGS.film, style, _output(), **options)
    painted = result.frames - result.before
    pace = f"{result.seconds / painted:.1f} s per frame" if painted else "none were left to paint"
    where = result.folder if result.interrupted else result.output
    print(f"{where}: {result.frames} frames by {result.network}; {pace}")
    cli.print_problems(result.problems)
    figures = {"frames": result.frames, "before": result.before, "network": result.network}
    cli.print_json({**figures, **cli.costs(), "files": [str(where)], "problems": result.problems})
    return 1 if result.problems else 0


def _output() -> Path:
    if FLAGS.output:
        return Path(FLAGS.output)
    name = f"{Path(FLAGS.film).stem}__{'+'.join(Path(p).stem for p in FLAGS.style.split('+'))}.mp4"
    return Path(FLAGS.output_dir) / name


def run() -> None:
    cli.run(main, leave_at_once=True)


if __name__ == "__main__":
    run()
