"""Draws what drives single channels of a network: a contact sheet per tap.

python launch/visualize.py --tap=section2,section3 --channel=0,1,2 [--model=quicknet]
"""

from pathlib import Path

from absl import flags

from bnnjax import cli, destination, load_model, visualize
from bnnjax.atlas import VisualizeConfig
from bnnjax.images import save_png
from bnnjax.port.program.preprocessing import PREPROCESSINGS

FLAGS = flags.FLAGS
flags.DEFINE_list("tap", None, "names of taps, separated by commas", required=True)
flags.DEFINE_list("channel", None, "numbers of channels; default: the first 16")
flags.DEFINE_string("output_dir", "channels", "directory for the contact sheets TAP.png")
flags.DEFINE_string("model", None, "name or file of a network; default: inknet")
flags.DEFINE_enum(
    "preprocessing", None, list(PREPROCESSINGS), "pictures of a .tflite/.h5 file; default: imagenet"
)
flags.DEFINE_boolean("overwrite", False, "replace existing contact sheets")
cli.define_fields(VisualizeConfig)
cli.define_json()


def main() -> int:
    network = load_model(FLAGS.model, preprocessing=FLAGS.preprocessing)
    paths = [Path(FLAGS.output_dir) / f"{tap}.png" for tap in FLAGS.tap]
    destination.check(paths, overwrite=FLAGS.overwrite)
    if bad := [number for number in FLAGS.channel or () if not number.isdigit()]:
        raise ValueError(f"--channel holds {bad[0]!r}, needs integers")
    channels = FLAGS.channel and [int(number) for number in FLAGS.channel]
    options = cli.given(VisualizeConfig.__dataclass_fields__)
    figures = {}
    for tap, path in zip(FLAGS.tap, paths, strict=True):
        found = visualize(tap, channels=channels, model=network, **options)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, found.sheet(), overwrite=FLAGS.overwrite)
        figures[tap] = {"channels": len(found.pictures), "own_strongest": found.own_strongest()}
        print(f"{path}: {100 * found.own_strongest():.0f} % of channels respond most to their own")
        if found.minimized.interrupted:
            return 1
    cli.print_json({"taps": figures, **cli.costs(), "files": [str(path) for path in paths]})
    return 0


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
