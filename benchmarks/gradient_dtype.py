"""Backward products in bfloat16 and in float32: the losses reached, and how the pictures differ.

python benchmarks/gradient_dtype.py --model=my_quicknet --content=boat.jpg --style=wave.jpg
"""

import numpy as np
from absl import flags

import bnnjax
from bnnjax import cli

FLAGS = flags.FLAGS
flags.DEFINE_string("model", None, "name or file of a network", required=True)
flags.DEFINE_string("content", None, "a photograph", required=True)
flags.DEFINE_string("style", None, "a painting", required=True)
flags.DEFINE_integer("steps", 300, "steps of the optimisation")
cli.define_json()

LAST = 20  # final steps over which the loss is averaged


def main() -> int:
    losses, pictures = {}, {}
    for dtype in ("bfloat16", "float32"):
        network = bnnjax.load_model(FLAGS.model).with_options(gradient_dtype=dtype)
        result = bnnjax.stylize_batch(
            FLAGS.content, FLAGS.style, model=network, steps=FLAGS.steps, progress=False
        )
        losses[dtype] = float(result.losses[0]["total"][-LAST:].mean())
        pictures[dtype] = result.images[0]
    figures = {
        **{f"loss_{dtype}": loss for dtype, loss in losses.items()},
        "relative_difference": losses["bfloat16"] / losses["float32"] - 1,
        "mean_absolute_difference": float(
            np.abs(pictures["bfloat16"] - pictures["float32"]).mean()
        ),
    }
    cli.print_table([[name, f"{value:.5f}"] for name, value in figures.items()])
    cli.print_json(figures)
    return 0


if __name__ == "__main__":
    cli.run(main)
