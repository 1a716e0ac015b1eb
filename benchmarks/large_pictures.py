"""What a large picture costs, and how well it is painted, coarse to fine and at a single scale.

    python benchmarks/large_pictures.py --content=lion.jpg --style=starry_night.jpg \\
        --judge=vgg19.npz --sizes=224,512,1024 --output_dir=large

Every picture is a run of launch/stylize.py of its own, whose seconds and peak memory count. A
single scale is what ``stroke_size`` of 224/size gives. Pictures are judged at their own size and at
224 px: a painter's strokes are seen from where the whole picture fits into view. With several
content weights, style can be compared where content is equal.
"""

import json
import subprocess
import sys
from pathlib import Path

from absl import flags

from bnnjax import cli, judge
from bnnjax.judge.pictures import judge_file

FLAGS = flags.FLAGS
flags.DEFINE_string("content", None, "the photograph", required=True)
flags.DEFINE_string("style", None, "the painting", required=True)
flags.DEFINE_string("judge", None, "vgg19, or a file of its weights", required=True)
flags.DEFINE_string("model", "inknet", "the network")
flags.DEFINE_list("sizes", ["224", "512", "1024"], "shorter sides, in pixels")
flags.DEFINE_list("content_weights", ["0.9"], "weights of content")
flags.DEFINE_boolean("single", True, "also paint at a single scale")
flags.DEFINE_string("output_dir", "large", "folder for the pictures")
cli.define_json()
STYLIZE = Path(__file__).parents[1] / "launch" / "stylize.py"
VIEW = 224  # px


def main() -> int:
    features, rows = judge.vgg_features(FLAGS.judge), []
    for size in map(int, FLAGS.sizes):
        ways = {"coarse to fine": 1.0} | ({"single scale": VIEW / size} if FLAGS.single else {})
        for way, strokes in ways.items():
            for weight in FLAGS.content_weights:
                row = {"size": size, "way": way, "content weight": float(weight)}
                rows.append(row | measured(size, strokes, weight, features))
                print(json.dumps(rows[-1]), flush=True)
    cells = [[f"{v:.3f}" if isinstance(v, float) else str(v) for v in r.values()] for r in rows]
    cli.print_table([[*rows[0]], *cells])
    cli.print_json({"rows": rows})
    return 0


def measured(size: int, strokes: float, weight: str, features: judge.Features) -> dict[str, float]:
    """Paints a picture; its costs and its measures."""
    path = Path(FLAGS.output_dir, f"{size}_{strokes:.3f}_{weight}.png")
    options = {"content": FLAGS.content, "style": FLAGS.style, "model": FLAGS.model, "size": size}
    options |= {"stroke_size": strokes, "content_weight": weight, "output": path}
    command = [sys.executable, STYLIZE, *(f"--{n}={v}" for n, v in options.items())]
    done = subprocess.run(
        [*command, "--json", "--overwrite"], stdout=subprocess.PIPE, text=True, check=True
    )
    costs = json.loads(done.stdout.splitlines()[-1])
    found = {"seconds": costs["total_seconds"], "MiB": costs["peak_memory_mib"]}
    files = path, Path(FLAGS.content), Path(FLAGS.style)
    for view, at in (("", None), (f" at {VIEW}", VIEW)):
        measures = judge_file(*files, features, size=at)
        found |= {f"{name}{view}": measures[name] for name in ("style", "strokes", "content")}
    return found


if __name__ == "__main__":
    cli.run(main)
