"""Style at equal content: compares networks where their pictures preserve the photograph equally.

    python benchmarks/equal_content.py --networks=quicknet_v0=my_quicknet,inknet=workdir/network \\
        --contents_dir=PHOTOS --styles_dir=PAINTINGS --judges=vgg19.npz --output_dir=equal_content

Style and content are in conflict, so each network makes every pair with its default recipe at three
content weights. Its style and strokes are then interpolated linearly to the content distance
``--content``, or taken from the nearest of the three if that lies outside. The network named
``--worse`` is added in two degraded versions: with random bits in its binary layers (and its own
stem), and with all its weights shuffled. In both, batch norms are recalibrated per channel to the
means and deviations of the real network on the photographs and paintings. Existing pictures in
``--output_dir`` are kept; a sheet of all networks side by side is written there.
"""

from pathlib import Path

import judging
import numpy as np
from absl import flags

from bnnjax import Network, cli, images
from bnnjax.nst.ensemble import Ensemble, load_models
from bnnjax.train.recalibrate import recalibrate

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "networks", None, "NAME=MODEL, or NAME=MODEL+MODEL for several in one loss", required=True
)
flags.DEFINE_string("worse", None, "NAME of the network to degrade as well")
flags.DEFINE_string("contents_dir", None, "folder of the photographs", required=True)
flags.DEFINE_string("styles_dir", None, "folder of the paintings", required=True)
flags.DEFINE_list("judges", None, "weights: VGG-19 .npz, EfficientNet .pth", required=True)
flags.DEFINE_string("output_dir", "equal_content", "folder for the pictures")
flags.DEFINE_list(
    "pairs",
    "bridge__starry_night,cat__klee_castle_and_sun,dog__delaunay_metzinger,"
    "flower__stained_glass_rose,landscape__seurat_grande_jatte,still_life__great_wave",
    "CONTENT__STYLE stems",
)
flags.DEFINE_list("content_weights", ["0.15", "0.3", "0.6"], "three or more, in ascending order")
flags.DEFINE_float("content", 1.0, "distance to the photograph at which to compare")
flags.DEFINE_integer("size", 224, "side of the squares, in pixels")
if __name__ == "__main__":
    cli.define_json()


def main() -> int:
    pairs = [tuple(name.split("__", 1)) for name in FLAGS.pairs]
    contents = {c: judging.square(FLAGS.contents_dir, c, size=FLAGS.size) for c, _ in pairs}
    styles = {s: judging.square(FLAGS.styles_dir, s, size=FLAGS.size) for _, s in pairs}
    judges = {Path(path).name: judging.judge_of(path) for path in FLAGS.judges}
    inputs = np.stack([*contents.values(), *styles.values()])
    table: dict[str, dict] = {}
    made: dict[str, dict] = {}
    for name, network in networks(inputs).items():
        rows = []
        for weight in FLAGS.content_weights:
            folder = Path(FLAGS.output_dir, f"{name}_{weight}")
            choices = {"model": network, "content_weight": float(weight)}
            pictures = judging.make(folder, FLAGS.pairs, contents, styles, **choices)
            rows.append(judging.judged(judges, FLAGS.pairs, pictures, contents, styles))
            made.setdefault(name, {})[weight] = pictures
        table[name] = {judge: at_content([row[judge] for row in rows]) for judge in judges}
    for judge in judges:
        rows = [[name, *(f"{v:.3f}" for v in row[judge].values())] for name, row in table.items()]
        cli.print_table([[judge, *next(iter(table.values()))[judge]], *rows])
    write_sheet(made, contents, styles)
    cli.print_json(table)
    return 0


def networks(inputs: np.ndarray) -> dict[str, Network | Ensemble]:
    """Loads the networks of the flags and makes the two degraded ones."""
    given = dict(pair.split("=", 1) for pair in FLAGS.networks)
    found = {name: load_models(source.replace("+", ",")) for name, source in given.items()}
    if FLAGS.worse:
        if FLAGS.worse not in found:
            raise ValueError(f"worse is {FLAGS.worse!r}, needs one of {', '.join(found)}")
        good = found[FLAGS.worse]
        for name, binary_only in (("random binary layers", True), ("random", False)):
            worse = judging.shuffled(good, binary_only=binary_only)
            found[name] = recalibrate(worse, like=good, images=inputs)
    return found


def at_content(rows: list[dict[str, float]]) -> dict[str, float]:
    """Interpolates style and strokes to the flag's content; the rows themselves follow."""
    rows = sorted(rows, key=lambda row: row["content"])
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    read = {
        name: float(np.interp(FLAGS.content, columns["content"], columns[name]))
        for name in ("content", "style", "strokes")
    }
    for n, row in enumerate(rows, start=1):
        read |= {f"{name} {n}": row[name] for name in ("content", "style", "strokes")}
    return read


def write_sheet(
    made: dict[str, dict[str, judging.Pictures]],
    contents: judging.Pictures,
    styles: judging.Pictures,
) -> None:
    """Writes one row per pair: photograph, painting, and pictures at the middle weight."""
    middle = FLAGS.content_weights[len(FLAGS.content_weights) // 2]
    rows = []
    for pair in FLAGS.pairs:
        content, style = pair.split("__", 1)
        pictures = [by_weight[middle][pair] for by_weight in made.values()]
        rows.append([contents[content], styles[style], *pictures])
    labels = [["photograph", "painting", *made]] * len(rows)
    sheet = images.contact_sheet(rows, labels=labels)
    images.save_png(Path(FLAGS.output_dir, "sheet.png"), sheet, overwrite=True)


if __name__ == "__main__":
    cli.run(main)
