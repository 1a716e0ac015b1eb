"""Accuracy over the 117 classes of the training shards: of a network, and of a linear layer on
another network's pooled features.

    python benchmarks/accuracy_117.py --data_dir=SHARDS [--model=FILE] [--probe=my_quicknet]

The folder contains ``train-*.tar*``, ``val-*.tar*`` and ``classes.json``. Whole pictures are
resized to ``--side``. The linear layer is trained on the normalised features of all training
pictures by full-batch L-BFGS with a penalty on its weights.
"""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from tqdm.auto import tqdm

import bnnjax
from bnnjax import Network, cli
from bnnjax.train.augmentation import resize
from bnnjax.train.dataset import Dataset
from bnnjax.train.photographs import load_split

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", None, "folder of the shards", required=True)
flags.DEFINE_string("model", None, "a network with 117 classes; default: inknet")
flags.DEFINE_string("probe", None, "network whose features a linear layer is trained on")
flags.DEFINE_integer("side", 128, "side of the pictures, in pixels")
flags.DEFINE_integer("probe_side", 128, "the same for the probed network")
flags.DEFINE_float("penalty", 1e-4, "weight of the penalty on the linear layer's squared weights")
if __name__ == "__main__":
    cli.define_json()

BATCH = 32


def main() -> int:
    data = Path(FLAGS.data_dir)
    sources = [kind["source"] for kind in json.loads((data / "classes.json").read_text()).values()]
    validation = load_split(data, "val")
    network = bnnjax.load_model(FLAGS.model)
    logits = outputs(network, validation, side=FLAGS.side, pooled=False)
    table = {network.entry.name: by_source(logits, validation.labels, sources)}
    if FLAGS.probe:
        probed = bnnjax.load_model(FLAGS.probe)
        photographs = load_split(data, "train")
        features = outputs(probed, photographs, side=FLAGS.probe_side, pooled=True)
        layer = fit(features, photographs.labels, num_classes=len(sources))
        seen = outputs(probed, validation, side=FLAGS.probe_side, pooled=True)
        name = f"{probed.entry.name}, linear layer"
        table[name] = by_source(layer(seen), validation.labels, sources)
    columns = list(next(iter(table.values())))
    rows = [[name, *(f"{row[column]:.1f}" for column in columns)] for name, row in table.items()]
    cli.print_table([["top-1, %", *columns], *rows])
    cli.print_json(table)
    return 0


def outputs(network: Network, pictures: Dataset, *, side: int, pooled: bool) -> np.ndarray:
    """Logits, or the last tap after ReLU, averaged over the picture: [N, classes or C]."""

    @jax.jit
    def run(variables: dict, images: jax.Array) -> jax.Array:
        logits, taps = network.apply(variables, resize(images, side=side))
        return jax.nn.relu(taps[network.taps[-1]]).mean((1, 2)) if pooled else logits

    starts = tqdm(range(0, len(pictures), BATCH), network.entry.name)
    batches = (pictures.images[start : start + BATCH] for start in starts)
    return np.concatenate([np.asarray(run(network.variables, images)) for images in batches])


def by_source(logits: np.ndarray, labels: np.ndarray, sources: list[str]) -> dict[str, float]:
    """Top-1 accuracy in per cent over all pictures, and over those of each source."""
    right = logits.argmax(1) == labels
    source = np.array(sources)[labels]
    found = {"all": 100 * right.mean()}
    return found | {name: 100 * right[source == name].mean() for name in dict.fromkeys(sources)}


def fit(features: np.ndarray, labels: np.ndarray, *, num_classes: int):
    """A function from features to logits, fitted by multinomial logistic regression."""
    mean, deviation = features.mean(0), features.std(0) + 1e-6
    x, y = jnp.asarray((features - mean) / deviation), jnp.asarray(labels)

    def loss(weights: dict[str, jax.Array]) -> jax.Array:
        logits = x @ weights["kernel"] + weights["bias"]
        fitted = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        return fitted + FLAGS.penalty * jnp.sum(weights["kernel"] ** 2)

    weights = {"kernel": jnp.zeros((x.shape[1], num_classes)), "bias": jnp.zeros(num_classes)}
    solver = optax.lbfgs()
    value_and_grad = optax.value_and_grad_from_state(loss)

    @jax.jit
    def step(weights: dict, state: tuple) -> tuple:
        value, gradient = value_and_grad(weights, state=state)
        updates, state = solver.update(
            gradient, state, weights, value=value, grad=gradient, value_fn=loss
        )
        return optax.apply_updates(weights, updates), state, value

    state = solver.init(weights)
    for _ in tqdm(range(100), "linear layer"):
        weights, state, _ = step(weights, state)
    return lambda seen: np.asarray(
        ((seen - mean) / deviation) @ weights["kernel"] + weights["bias"]
    )


if __name__ == "__main__":
    cli.run(main)
