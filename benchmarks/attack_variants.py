"""What the choices of an attack on a binary network are worth: pseudo-gradient, clip, loss, factor.

    python benchmarks/attack_variants.py --images=val --labels=val/labels.csv --model=quicknet

Every row attacks the same pictures with the same steps, and says how many of those that were
classified correctly resist. The pseudo-gradient is the attack's alone: the network's decisions do
not depend on it.
"""

from typing import Any

from absl import flags
from tqdm.auto import tqdm

import bnnjax
from bnnjax import cli
from bnnjax.attack.inputs import pictures_of
from bnnjax.models import evaluate

FLAGS = flags.FLAGS
flags.DEFINE_list("images", None, "folder of the pictures", required=True)
flags.DEFINE_string("labels", None, "CSV with the columns file and class_index; default: decisions")
flags.DEFINE_integer("limit", 32, "only so many pictures, evenly spread over all")
flags.DEFINE_string("model", None, "name or file of a network; default: inknet")
flags.DEFINE_integer("size", None, "side of the pictures, in pixels; default: 224")
flags.DEFINE_list("epsilon", ["1", "2"], "radii, in 1/255")
flags.DEFINE_integer("steps", 10, "updates per picture")
flags.DEFINE_list("variants", None, "which rows; by default all")
cli.define_json()

VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "clip 0.5": {"clip": 0.5},
    "no clip": {"clip": float("inf")},
    "approx_sign": {"pseudo_gradient": "approx_sign"},
    "swish_sign": {"pseudo_gradient": "swish_sign"},
    "dlr": {"loss": "dlr"},
    "hns": {"scaling": "hns"},
    "njs": {"scaling": "njs"},
    "apgd": {"attack": "apgd"},
}


def main() -> int:
    network = bnnjax.load_model(FLAGS.model)
    num_classes = len(evaluate.class_names(network))
    paths, labels = pictures_of(
        FLAGS.images, FLAGS.labels, num_classes=num_classes, limit=FLAGS.limit
    )
    table: dict[str, dict[str, float]] = {}
    for name in tqdm(FLAGS.variants or VARIANTS):
        result = bnnjax.attack_batch(
            paths, network, labels=labels, size=FLAGS.size, epsilon=FLAGS.epsilon,
            steps=FLAGS.steps, checks=0, progress=False, **VARIANTS[name],
        )  # fmt: skip
        resisting = zip(result.figures["success_rate"], result.resisting, strict=True)
        table[name] = dict(resisting)
    attacked = result.figures["attacked"]
    rows = [[name, *(f"{share:.1f}" for share in row.values())] for name, row in table.items()]
    cli.print_table([[f"resisting, % of {attacked}", *FLAGS.epsilon], *rows])
    cli.print_json({"attacked": attacked, "resisting": table})
    return 0


if __name__ == "__main__":
    cli.run(main)
