"""Searches for adversarial pictures with the engine: pictures, radii and restarts side by side."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from bnnjax import optimize
from bnnjax.attack.config import AttackConfig
from bnnjax.attack.descent import apgd, pgd
from bnnjax.attack.objective import Misclassification
from bnnjax.attack.region import around, carrying
from bnnjax.attack.rounding import to_bytes
from bnnjax.attack.square import square
from bnnjax.models.network import Network

Method = Literal["pgd", "apgd", "square"]


class Job(NamedTuple):
    """One search.

    Attributes:
      picture: uint8 [H, W, 3].
      label, target: class indices.
      epsilon: the radius, in 1/255.
      scale: the factor of the logits.
      seed: of the random start.
    """

    picture: np.ndarray
    label: int
    target: int
    epsilon: float
    scale: float = 1.0
    seed: int = 0


class Found(NamedTuple):
    """The result of one search.

    Attributes:
      picture: the best within the ball, uint8 [H, W, 3].
      fooled: whether a picture of floats fooled the network, before it was rounded.
      evaluations: how often the network was asked.
    """

    picture: np.ndarray
    fooled: bool
    evaluations: int


class Way(NamedTuple):
    """How the engine searches: the arguments of `optimize.minimize` that depend on the method."""

    objective: Misclassification
    parametrization: optimize.Parametrization
    optimizer: Any
    rate: float  # times the radius
    steps: int


def way(network: Network, config: AttackConfig, method: Method, *, targeted: bool) -> Way:
    """The way of a method with these options. The last step of a descent only evaluates."""
    objective = Misclassification(
        network.architecture, config.loss, targeted, rescue=config.scaling == "njs"
    )
    if method == "square":
        objective = dataclasses.replace(objective, loss_name="margin", rescue=False)
        start = around("linf", "stripes")
        return Way(objective, start, square(config.queries, seed=config.seed), 2, config.queries)
    norm, updates = config.norm, config.updates
    if method == "apgd":
        return Way(objective, carrying(norm), apgd(norm, updates), 2, updates + 1)
    rate = config.step_size or 2.5 / updates
    return Way(objective, around(norm), pgd(norm), rate, updates + 1)


def search(
    network: Network,
    jobs: Sequence[Job],
    config: AttackConfig,
    method: Method,
    *,
    targeted: bool,
    bar: Any = None,
) -> list[Found] | None:
    """Runs all jobs in one call of the engine.

    Args:
      network: the network under attack.
      jobs: the searches; all pictures have one size.
      config: the options.
      method: how to search.
      targeted: whether the targets are to be reached, or the labels left.
      bar: a tqdm bar to advance by the steps of all jobs.

    Returns:
      What was found, in the order of the jobs; None after Ctrl-C.
    """
    if not jobs:
        return []
    by = way(network, config, method, targeted=targeted)
    centers = [job.picture.astype(np.float32) / np.float32(255) for job in jobs]
    radii = np.asarray([job.epsilon for job in jobs], np.float32) / np.float32(255)

    def data(number: int) -> dict[str, Any]:
        job = jobs[number]
        return {
            "center": centers[number],
            "radius": radii[number],
            "seed": np.uint32(job.seed),
            "label": np.int32(job.label),
            "target": np.int32(job.target),
            "scale": np.float32(job.scale),
        }

    found = optimize.minimize(
        by.objective,
        network.laid_out(),
        centers,
        data,
        parametrization=by.parametrization,
        optimizer=by.optimizer,
        learning_rate=by.rate * radii,
        schedule=optimize.constant,
        steps=by.steps,
        progress=False,
        watch=None if bar is None else _advance(bar),
    )
    if found.interrupted:
        return None
    norm = "linf" if method == "square" else config.norm
    return [
        Found(
            to_bytes(picture, job.picture, norm=norm, epsilon=job.epsilon),
            bool((history["lead"] < 0).any()),
            len(history["lead"]),
        )
        for picture, job, history in zip(found.pictures, jobs, found.history, strict=True)
    ]


def _advance(bar: "tqdm[Any]") -> Callable[[optimize.Update], None]:
    """A ``watch`` that advances a bar by the steps of every picture."""
    before: dict[int, int] = {}

    def watch(update: optimize.Update) -> None:
        for member in update.members:
            bar.update(update.steps - before.get(member, 0))
            before[member] = update.steps

    return watch
