"""Judges stylized pictures by VGG-19, a float network that did not make them.

    python launch/judge.py --pictures=A.png --content=boat.jpg --style=wave.jpg --judge=vgg19.npz
    python launch/judge.py --pictures=OUT --contents_dir=PHOTOS --styles_dir=PAINTINGS --judge=…

In the second form, the pictures are named CONTENT__STYLE.png, as `launch/stylize.py` names them.
"""

from pathlib import Path

import numpy as np
from absl import flags

from bnnjax import cli, judge
from bnnjax.judge.pictures import judge_file, original, pictures_in

FLAGS = flags.FLAGS
flags.DEFINE_list("pictures", None, "pictures, or one folder of them", required=True)
flags.DEFINE_string("content", None, "the photograph that all pictures were made from")
flags.DEFINE_string("style", None, "the painting that all pictures were made from")
flags.DEFINE_string("contents_dir", None, "folder of the photographs CONTENT")
flags.DEFINE_string("styles_dir", None, "folder of the paintings STYLE")
flags.DEFINE_string("judge", None, "vgg19 (a download), or a file of its weights", required=True)
flags.DEFINE_integer("size", None, "shorter side at which to judge, px; default: the picture's own")
cli.define_json()


def main() -> int:
    return report(judge.vgg_features(FLAGS.judge))


def report(features: judge.Features) -> int:
    """Prints a table of the measures of all pictures."""
    paths = pictures_in(FLAGS.pictures)
    pairs = {path: (_find("content", path), _find("style", path)) for path in paths}
    rows = {p.name: judge_file(p, *pair, features, size=FLAGS.size) for p, pair in pairs.items()}
    names = list(next(iter(rows.values())))
    mean = {name: float(np.mean([row[name] for row in rows.values()])) for name in names}
    table = [[name, *(f"{v:.3f}" for v in row.values())] for name, row in rows.items()]
    cli.print_table([["picture", *mean], *table, ["mean", *(f"{v:.3f}" for v in mean.values())]])
    cli.print_json({"pictures": rows, "mean": mean})
    return 0


def _find(kind: str, picture: Path) -> Path:
    """The photograph or painting that a picture was made from."""
    if FLAGS[kind].value:
        return Path(FLAGS[kind].value)
    if not FLAGS[f"{kind}s_dir"].value:
        raise ValueError(f"give --{kind} or --{kind}s_dir")
    content, _, style = picture.stem.partition("__")
    return original(content if kind == "content" else style, FLAGS[f"{kind}s_dir"].value)


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
