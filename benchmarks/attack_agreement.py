"""Our PGD against Foolbox's LinfPGD: the same pictures, radius, step and number of steps.

    python -m venv ENV && ENV/bin/pip install foolbox . && \\
    ENV/bin/python benchmarks/attack_agreement.py --images=val --labels=val/labels.csv --model=…

Both attack the correctly classified pictures from a uniform random start. Foolbox (Rauber et al.,
JOSS 2020) gets the network as a compiled function, and all pictures in batches. Times are the
second of two runs, after compilation, in turn on the same cores. Successes are of pictures of
floats, as Foolbox makes them, and both are judged by the network's own decision.
"""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

import bnnjax
from bnnjax import cli
from bnnjax.attack import AttackConfig
from bnnjax.attack.inputs import classifier, pictures_of, side_of, squares
from bnnjax.attack.search import Job, search
from bnnjax.models import evaluate

FLAGS = flags.FLAGS
flags.DEFINE_list("images", None, "folder of the pictures", required=True)
flags.DEFINE_string("labels", None, "CSV with the columns file and class_index; default: decisions")
flags.DEFINE_integer("limit", 32, "only so many pictures, evenly spread over all")
flags.DEFINE_string("model", None, "name or file of a network; default: inknet")
flags.DEFINE_integer("size", None, "side of the pictures, in pixels; default: 224")
flags.DEFINE_list("epsilon", ["0.5", "1", "2"], "radii, in 1/255")
flags.DEFINE_integer("steps", 10, "updates per picture")
flags.DEFINE_integer("batch", 16, "pictures that Foolbox attacks at a time")
cli.define_json()


def main() -> int:
    network = bnnjax.load_model(FLAGS.model)
    pictures, labels = attackable(network)
    rows, figures = [["epsilon", "success, ours", "Foolbox", "s/picture, ours", "Foolbox"]], {}
    for epsilon in map(float, FLAGS.epsilon):
        found = {
            "ours": timed(lambda e=epsilon: ours(network, pictures, labels, e)),
            "foolbox": timed(lambda e=epsilon: foolbox(network, pictures, labels, e)),
        }
        figures[f"{epsilon:g}"] = {
            name: {"success": 100 * float(np.mean(fooled)), "seconds": seconds / len(pictures)}
            for name, (fooled, seconds) in found.items()
        }
        each = figures[f"{epsilon:g}"].values()
        successes, seconds = ([one[name] for one in each] for name in ("success", "seconds"))
        rows.append(
            [f"{epsilon:g}", *(f"{s:.1f} %" for s in successes), *(f"{s:.3f}" for s in seconds)]
        )
    cli.print_table(rows)
    ratios = [f["foolbox"]["seconds"] / f["ours"]["seconds"] for f in figures.values()]
    print(f"Foolbox takes {min(ratios):.1f} to {max(ratios):.1f} times as long per picture")
    cli.print_json({"n": len(pictures), "epsilon": figures, "ratios": ratios})
    return 0


def attackable(network: bnnjax.Network) -> tuple[list[np.ndarray], np.ndarray]:
    """The pictures that are classified correctly, uint8 [H, W, 3], and their labels."""
    num_classes = len(evaluate.class_names(network))
    paths, labels = pictures_of(
        FLAGS.images, FLAGS.labels, num_classes=num_classes, limit=FLAGS.limit
    )
    _, pictures = squares(paths, side=side_of(network, FLAGS.size))
    logits_of = classifier(network)
    decisions = np.array([logits_of(picture).argmax() for picture in pictures])
    right = decisions == (decisions if labels is None else np.array(labels))
    return [pictures[i] for i in np.flatnonzero(right)], decisions[right]


def timed(attack: Callable[[], np.ndarray]) -> tuple[np.ndarray, float]:
    """The result of the second of two runs, and its seconds."""
    attack()
    began = time.perf_counter()
    found = attack()
    return found, time.perf_counter() - began


def ours(
    network: bnnjax.Network, pictures: list[np.ndarray], labels: np.ndarray, epsilon: float
) -> np.ndarray:
    """Which pictures fool the network, bool [N]."""
    config = AttackConfig(steps=FLAGS.steps, step_size=2.5 / FLAGS.steps)
    jobs = [
        Job(picture, int(label), int(label), epsilon, seed=number)
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True))
    ]
    found = search(network, jobs, config, "pgd", targeted=False)
    return np.array([each.fooled for each in found])


def foolbox(
    network: bnnjax.Network, pictures: list[np.ndarray], labels: np.ndarray, epsilon: float
) -> np.ndarray:
    """The same with Foolbox, an extra that only this benchmark needs."""
    import foolbox as fb

    variables = network.laid_out()
    logits = jax.jit(lambda images: network.apply(variables, images)[0])
    model = fb.JAXModel(logits, bounds=(0, 1))
    attack = fb.attacks.LinfPGD(rel_stepsize=2.5 / FLAGS.steps, steps=FLAGS.steps)
    images = np.stack(pictures).astype(np.float32) / np.float32(255)
    fooled = []
    for first in range(0, len(images), FLAGS.batch):
        batch = slice(first, first + FLAGS.batch)
        inputs, truth = jnp.asarray(images[batch]), jnp.asarray(labels[batch])
        _, _, success = attack(
            model, inputs, fb.criteria.Misclassification(truth), epsilons=epsilon / 255
        )
        fooled.append(np.asarray(success.raw if hasattr(success, "raw") else success))
    return np.concatenate(fooled)


if __name__ == "__main__":
    cli.run(main)
