"""Pictures by every recipe worth comparing, judged by float networks that none was made through.

    python benchmarks/quality.py --weights=quicknet --contents_dir=PHOTOS --styles_dir=PAINTINGS \\
        --judges=vgg19.npz,efficientnet-lite0.pth --output_dir=quality

Photographs and paintings are cut to central squares. Every recipe gets a folder of pictures, and
what lies there is not made again: a second run goes on where the first was stopped. ``--vgg`` adds
Gatys' recipe through VGG-19 itself (minutes a picture), which VGG-19 cannot judge fairly. Pictures
made by something else, in a folder of their own below ``--output_dir``, are judged with the rest
(`feed_forward.py` makes some).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import efficientnet_lite0
import jax
import numpy as np
from absl import flags

import bnnjax
from bnnjax import Network, cli, images, png
from bnnjax.nst import metrics
from bnnjax.port.load import port_file

FLAGS = flags.FLAGS
flags.DEFINE_string("weights", None, "checkpoint of quicknet_v0", required=True)
flags.DEFINE_string("contents_dir", None, "folder of the photographs", required=True)
flags.DEFINE_string("styles_dir", None, "folder of the paintings", required=True)
flags.DEFINE_list(
    "judges", None, "weights of judges: VGG-19 .npz, EfficientNet .pth", required=True
)
flags.DEFINE_string("output_dir", "quality", "folder for a folder of pictures a recipe")
flags.DEFINE_list(
    "pairs",
    "architecture__starry_night,city_skyline__great_wave,lion__kandinsky_composition_vii,"
    "turtle__monet_japanese_bridge,portrait__munch_the_scream,boat__klimt_the_kiss",
    "CONTENT__STYLE stems",
)
flags.DEFINE_list("recipes", None, "which recipes; all")
flags.DEFINE_integer("size", 224, "side of the squares, in pixels")
flags.DEFINE_string("vgg", None, "VGG-19 .npz to make pictures through as well")
flags.DEFINE_integer("vgg_steps", 200, "iterations of L-BFGS through VGG-19")
cli.define_json()

SECTIONS = ("section1", "section2", "section3")
# Near the article's way: pixels, Gram matrices of the sections, no shifts, no colour term.
PIXELS = {
    "parametrization": "pixels",
    "init": "content",
    "statistics": "gram",
    "style_taps": SECTIONS,
    "shift": 0,
    "tv_weight": 30,
    "color_weight": 0,
    "content_weight": 0.3,
    "style_weight": 6,
}
PYRAMID = {"init": "content", "statistics": "gram", "style_taps": SECTIONS}
PYRAMID |= {"content_weight": 0.3, "style_weight": 6}
GATYS = {**PIXELS, "optimizer": "lbfgs", "style_taps": None, "tv_weight": 0.1}

# Name → choices of `stylize_batch`, and what becomes of the network before.
RECIPES: dict[str, tuple[dict[str, Any], Callable[[Network], Network]]] = {
    "pixels": (PIXELS, lambda network: network),
    "pyramid": (PYRAMID, lambda network: network),
    "default": ({}, lambda network: network),
    "from_the_photograph": ({"init": "content"}, lambda network: network),
    "default_25_steps": ({"steps": 25}, lambda network: network),
    "default_50_steps": ({"steps": 50}, lambda network: network),
    "default_100_steps": ({"steps": 100}, lambda network: network),
    "random_binary_layers": ({}, lambda network: shuffled(network, binary_only=True)),
    "random_network": ({}, lambda network: shuffled(network, binary_only=False)),
}
VGG_RECIPES = {
    "vgg19_strong": {**GATYS, "content_weight": 0.1},
    "vgg19_moderate": {**GATYS, "content_weight": 0.6},
}


def main() -> int:
    pairs = [tuple(name.split("__", 1)) for name in FLAGS.pairs]
    contents = {c: square(Path(FLAGS.contents_dir), c) for c, _ in pairs}
    styles = {s: square(Path(FLAGS.styles_dir), s) for _, s in pairs}
    folder = Path(FLAGS.output_dir)
    make_pictures(folder, contents, styles)
    judges = {Path(path).name: judge_of(path) for path in FLAGS.judges}
    table = {"photograph": {n: judged(j, contents, contents, styles) for n, j in judges.items()}}
    for made in sorted(path for path in folder.iterdir() if path.is_dir()):
        pictures = {p.stem: images.load(p) for p in made.glob("*.png") if p.stem in FLAGS.pairs}
        if len(pictures) == len(pairs):
            table[made.name] = {n: judged(j, pictures, contents, styles) for n, j in judges.items()}
    for judge in judges:
        rows = [[name, *(f"{v:.3f}" for v in row[judge].values())] for name, row in table.items()]
        cli.print_table([[judge, "style", "strokes", "content", "checker"], *rows])
    cli.print_json(table)
    return 0


def square(folder: Path, stem: str) -> np.ndarray:
    """The central square of the picture of this stem, at the size of the flags."""
    fitted = images.fit(images.load(next(folder.glob(f"{stem}.*"))), size=FLAGS.size)
    return images.center_crop(fitted, size=FLAGS.size)


def make_pictures(folder: Path, contents: dict, styles: dict) -> None:
    """Makes what is missing."""
    network = bnnjax.load_model(FLAGS.weights)
    for name in FLAGS.recipes or RECIPES:
        choices, change = RECIPES[name]
        make(folder / name, contents, styles, model=change(network), **choices)
    if FLAGS.vgg:
        for name, choices in VGG_RECIPES.items():
            vgg = port_file(FLAGS.vgg, model="vgg19")
            make(folder / name, contents, styles, model=vgg, steps=FLAGS.vgg_steps, **choices)


def make(folder: Path, contents: dict, styles: dict, **choices: Any) -> None:
    """One recipe's pictures."""
    missing = [name for name in FLAGS.pairs if not (folder / f"{name}.png").exists()]
    if not missing:
        return
    print(folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    sources = [name.split("__", 1) for name in missing]
    result = bnnjax.stylize_batch(
        [contents[c] for c, _ in sources],
        [styles[s] for _, s in sources],
        size=FLAGS.size,
        **choices,
    )
    for name, image in zip(missing, result.images, strict=True):
        png.save_png(folder / f"{name}.png", image)


def shuffled(network: Network, *, binary_only: bool) -> Network:
    """The network with the bits of its binary kernels, or all its weights, in random order: as
    large, as many of each value, and nothing learned."""
    generator = np.random.default_rng(0)

    def shuffle(path: tuple, leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        if array.dtype == np.uint32:
            return generator.integers(0, 2**32, array.shape, np.uint32)
        return array if binary_only else generator.permutation(array.ravel()).reshape(array.shape)

    variables = jax.tree_util.tree_map_with_path(shuffle, network.variables)
    return Network(network.architecture, variables, {"source": "random"})


def judge_of(path: str) -> metrics.Features:
    """The judging network of a weights file."""
    if path.endswith(".npz"):
        return metrics.vgg_features(path)
    return efficientnet_lite0.load_features(path)


def judged(judge: metrics.Features, pictures: dict, contents: dict, styles: dict) -> dict:
    """Mean measures of pictures by CONTENT__STYLE, or of the photographs themselves by CONTENT."""
    rows = []
    for name in FLAGS.pairs:
        content, style = name.split("__", 1)
        picture = pictures[name] if name in pictures else pictures[content]
        rows.append(metrics.judge(picture, contents[content], styles[style], judge))
    return {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}


if __name__ == "__main__":
    cli.run(main)
