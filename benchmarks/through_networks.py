"""One photograph and one painting through several networks, side by side.

    python benchmarks/through_networks.py --networks=inknet,my_quicknet,my_vgg19,deployed.tflite \\
        --content=boat.jpg --style=wave.jpg --output=networks.png

Each network makes the picture with its own preset, or all with ``--preset``. The sheet has the
photograph, the painting and the pictures; the table has the milliseconds per step.
"""

from pathlib import Path

from absl import flags

import bnnjax
from bnnjax import cli, images
from bnnjax.nst.config import PRESETS

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", ["inknet"], "names or files of networks")
flags.DEFINE_string("content", None, "the photograph", required=True)
flags.DEFINE_string("style", None, "the painting", required=True)
flags.DEFINE_integer("size", 224, "side of the squares, in pixels")
flags.DEFINE_enum("preset", None, list(PRESETS), "preset for all; default: each network's own")
flags.DEFINE_string("output", "networks.png", "the sheet")
cli.define_json()


def main() -> int:
    content, style = map(square, (FLAGS.content, FLAGS.style))
    shown, rows = {"photograph": content, "painting": style}, {}
    for source in FLAGS.networks:
        network = bnnjax.load_model(source)
        name = Path(source).name
        if name in shown:
            raise ValueError(f"{source}: two networks are called {name}; rename one")
        choices = {"model": network, "size": FLAGS.size, "preset": FLAGS.preset}
        result = bnnjax.stylize_batch(content, style, **choices)
        steps, seconds = result.config.steps, result.minimized.seconds["optimize"]
        shown[name] = result.images[0]
        rows[name] = {"steps": steps, "ms per step": round(1e3 * seconds / steps, 1)}
    sheet = images.contact_sheet([list(shown.values())], labels=[list(shown)])
    images.save_png(Path(FLAGS.output), sheet, overwrite=True)
    cli.print_table(
        [
            ["network", "steps", "ms per step"],
            *([n, *map(str, r.values())] for n, r in rows.items()),
        ]
    )
    cli.print_json(rows)
    return 0


def square(path: str):
    return images.center_crop(images.fit(images.load(path), size=FLAGS.size), size=FLAGS.size)


if __name__ == "__main__":
    cli.run(main)
