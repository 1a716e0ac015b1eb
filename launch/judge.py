"""Judge stylized pictures by a float network that they were not made through.

    python launch/judge.py --pictures=A.png,B.png --content=boat.jpg --style=wave.jpg \\
        --judge_weights=vgg19.npz
    python launch/judge.py --pictures=OUT --contents_dir=PHOTOS --styles_dir=PAINTINGS ...

In the second form the pictures are named CONTENT__STYLE.png, as the project names them.
"""

from pathlib import Path

import numpy as np
from absl import flags

from bnnjax import cli, images
from bnnjax.nst import metrics

FLAGS = flags.FLAGS
flags.DEFINE_list("pictures", None, "pictures, or one folder of them", required=True)
flags.DEFINE_string("content", None, "the photograph that all pictures were made from")
flags.DEFINE_string("style", None, "the painting that all pictures were made from")
flags.DEFINE_string("contents_dir", None, "folder to find CONTENT of CONTENT__STYLE.png in")
flags.DEFINE_string("styles_dir", None, "folder to find STYLE of CONTENT__STYLE.png in")
flags.DEFINE_string("judge_weights", None, "the judging network's weights", required=True)
flags.DEFINE_integer("size", None, "shorter side to judge at; by default each picture's own")
cli.define_json()

MEASURES = ("style", "strokes", "content", "checker")


def main() -> int:
    return report(metrics.vgg_features(FLAGS.judge_weights))


def report(features: metrics.Features) -> int:
    """Prints the table of all pictures of the flags, judged by `features`."""
    paths = _pictures([Path(name) for name in FLAGS.pictures])
    width = max(len("mean"), *(len(path.name) for path in paths))
    print(" " * width, *(f"{measure:>8}" for measure in MEASURES))
    rows = {path.name: judged(path, *_originals(path), features) for path in paths}
    mean = {name: float(np.mean([row[name] for row in rows.values()])) for name in MEASURES}
    for name, row in {**rows, "mean": mean}.items():
        print(f"{name:<{width}}", *(f"{row[measure]:8.3f}" for measure in MEASURES))
    cli.print_json({"pictures": rows, "mean": mean})
    return 0


def judged(path: Path, content: Path, style: Path, features: metrics.Features) -> dict[str, float]:
    """The measures of one picture; the originals are brought to its size."""
    picture = images.load(path)
    photograph = images.fit(images.load(content), size=min(picture.shape[:2]))
    grid = float(metrics.checker(picture))  # of the pixels as they were made: resizing hides it
    size = FLAGS.size or min(picture.shape[:2])
    trio = [images.fit(image, size=size) for image in (picture, photograph, images.load(style))]
    return {**metrics.judge(*trio, features), "checker": grid}


def _pictures(paths: list[Path]) -> list[Path]:
    if len(paths) == 1 and paths[0].is_dir():
        paths = sorted(path for path in paths[0].glob("*__*.png") if "." not in path.stem)
    if not paths:
        raise ValueError(f"got no pictures in --pictures={','.join(FLAGS.pictures)}")
    return paths


def _originals(picture: Path) -> tuple[Path, Path]:
    content, _, style = picture.stem.partition("__")
    return _original("content", content), _original("style", style)


def _original(kind: str, stem: str) -> Path:
    if FLAGS[kind].value:
        return Path(FLAGS[kind].value)
    folder = FLAGS[f"{kind}s_dir"].value
    if not folder:
        raise ValueError(f"got neither --{kind} nor --{kind}s_dir; need one of them")
    found = [path for path in sorted(Path(folder).iterdir()) if path.stem == stem]
    if len(found) != 1:
        raise ValueError(f"got {len(found)} files {stem}.* in {folder}; need exactly one")
    return found[0]


def run() -> None:
    cli.run(main)


if __name__ == "__main__":
    run()
