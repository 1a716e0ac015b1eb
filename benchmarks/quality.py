"""Compares the pictures of several recipes, judged by independent float networks.

    python benchmarks/quality.py --model=quicknet_v0 --contents_dir=PHOTOS --styles_dir=PAINTINGS \\
        --judges=vgg19.npz,efficientnet-lite0.pth --output_dir=quality

Photographs and paintings are cropped to central squares. Every recipe has a folder of pictures.
Existing pictures are kept, so that a second run resumes an interrupted one. ``--vgg`` adds Gatys'
recipe through VGG-19 itself (minutes per picture), which VGG-19 cannot judge fairly. Pictures of
other methods, in subfolders of ``--output_dir``, are judged as well (see `feed_forward.py`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import judging
from absl import flags

import bnnjax
from bnnjax import Network, cli, images
from bnnjax.port.load import port_file

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "quicknet_v0: its name or file", required=True)
flags.DEFINE_string("contents_dir", None, "folder of the photographs", required=True)
flags.DEFINE_string("styles_dir", None, "folder of the paintings", required=True)
flags.DEFINE_list(
    "judges", None, "weights of judges: VGG-19 .npz, EfficientNet .pth", required=True
)
flags.DEFINE_string("output_dir", "quality", "parent of one folder of pictures per recipe")
flags.DEFINE_list(
    "pairs",
    "architecture__starry_night,city_skyline__great_wave,lion__kandinsky_composition_vii,"
    "turtle__monet_japanese_bridge,portrait__munch_the_scream,boat__klimt_the_kiss",
    "CONTENT__STYLE stems",
)
flags.DEFINE_list("recipes", None, "which recipes to make; by default all")
flags.DEFINE_integer("size", 224, "side of the squares, in pixels")
flags.DEFINE_string("vgg", None, "VGG-19 .npz, to make pictures through it as well")
flags.DEFINE_integer("vgg_steps", 200, "iterations of L-BFGS through VGG-19")
cli.define_json()

SECTIONS = ("section1", "section2", "section3")
# Close to the article: pixels, Gram matrices of the sections, no jitter, no colour term.
PIXELS = {
    "parametrization": "pixels",
    "init": "content",
    "statistics": "gram",
    "style_taps": SECTIONS,
    "jitter": 0,
    "tv_weight": 30,
    "color_weight": 0,
    "content_weight": 0.3,
    "style_weight": 6,
}
PYRAMID = {"init": "content", "statistics": "gram", "style_taps": SECTIONS}
PYRAMID |= {"content_weight": 0.3, "style_weight": 6}
GATYS = {**PIXELS, "optimizer": "lbfgs", "style_taps": None, "tv_weight": 0.1}

# Name → options of `stylize_batch`, and a function that changes the network beforehand.
RECIPES: dict[str, tuple[dict[str, Any], Callable[[Network], Network]]] = {
    "pixels": (PIXELS, lambda network: network),
    "pyramid": (PYRAMID, lambda network: network),
    "default": ({}, lambda network: network),
    "from_the_photograph": ({"init": "content"}, lambda network: network),
    "default_25_steps": ({"steps": 25}, lambda network: network),
    "default_50_steps": ({"steps": 50}, lambda network: network),
    "default_100_steps": ({"steps": 100}, lambda network: network),
    "random_binary_layers": ({}, lambda network: judging.shuffled(network, binary_only=True)),
    "random_network": ({}, lambda network: judging.shuffled(network, binary_only=False)),
}
VGG_RECIPES = {
    "vgg19_strong": {**GATYS, "content_weight": 0.1},
    "vgg19_moderate": {**GATYS, "content_weight": 0.6},
}


def main() -> int:
    pairs = [tuple(name.split("__", 1)) for name in FLAGS.pairs]
    contents = {c: judging.square(FLAGS.contents_dir, c, size=FLAGS.size) for c, _ in pairs}
    styles = {s: judging.square(FLAGS.styles_dir, s, size=FLAGS.size) for _, s in pairs}
    folder = Path(FLAGS.output_dir)
    make_pictures(folder, contents, styles)
    judges = {Path(path).name: judging.judge_of(path) for path in FLAGS.judges}
    made = {"photograph": contents}
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        pictures = {p.stem: images.load(p) for p in path.glob("*.png") if p.stem in FLAGS.pairs}
        if len(pictures) == len(pairs):
            made[path.name] = pictures
    table = {
        row: judging.judged(judges, FLAGS.pairs, pictures, contents, styles)
        for row, pictures in made.items()
    }
    for judge in judges:
        rows = [[name, *(f"{v:.3f}" for v in row[judge].values())] for name, row in table.items()]
        cli.print_table([[judge, "style", "strokes", "content", "checker"], *rows])
    cli.print_json(table)
    return 0


def make_pictures(folder: Path, contents: dict, styles: dict) -> None:
    """Makes the pictures that do not exist yet."""
    network = bnnjax.load_model(FLAGS.model)
    for name in FLAGS.recipes or RECIPES:
        options, change = RECIPES[name]
        judging.make(folder / name, FLAGS.pairs, contents, styles, model=change(network), **options)
    if FLAGS.vgg:
        for name, options in VGG_RECIPES.items():
            vgg = port_file(FLAGS.vgg, model="vgg19")
            options = {"model": vgg, "steps": FLAGS.vgg_steps, **options}
            judging.make(folder / name, FLAGS.pairs, contents, styles, **options)


if __name__ == "__main__":
    cli.run(main)
