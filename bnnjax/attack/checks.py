"""Checks that expose gradient masking: signs that an attack failed where the network did not hold.

A network resists an attack if the attack does not succeed on it. Binary networks have pseudo-
gradients, which may point nowhere; then a failed attack says nothing about robustness (Athalye et
al. 2018, arXiv 1802.00420; Carlini et al. 2019, arXiv 1902.06705).
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from bnnjax.attack.inputs import Inputs, classifier
from bnnjax.attack.portions import factors, method_of, succeeded
from bnnjax.attack.result import AttackResult, Check
from bnnjax.attack.rounding import to_bytes
from bnnjax.attack.search import Job, Method, search, way
from bnnjax.models.network import Network

_MORE = 4  # times as many steps


def run(
    result: AttackResult, other: Network | None = None, *, progress: bool = True
) -> list[Check]:
    """All checks that apply, at the smallest radius, on ``checks`` of the attacked pictures.

    They are evenly spread over all.

    Args:
      result: the attack to check.
      other: another network, whose adversarial pictures are tried on this one.
      progress: whether to show a progress bar.
    """
    places = np.flatnonzero(result.inputs.attackable())
    if not len(places):
        return []
    count = min(result.config.checks, len(places))
    places = places[np.linspace(0, len(places) - 1, count).round().astype(int)]
    inputs = result.inputs.chosen(places.tolist())
    trial = _Trial(result, inputs, progress)
    now = _resisting(inputs, result.outcome.logits[0][places])
    found = [_larger_epsilon(result.resisting)] if len(result.epsilons) > 1 else []
    method, more = method_of(result.config), _MORE * result.config.updates
    found += [
        Check(
            "more steps",
            f"{_MORE} times as many steps leave no more",
            trial.resisting(method, "more steps", steps=more),
            now,
        ),
        Check(
            "no bound",
            "a ball that holds all pictures leaves none",
            trial.resisting(method, "no bound", epsilon=(_everything(result),)),
            0.0,
        ),
        Check("noise", "leaves no more than noise at the ends of the ball", now, trial.noise()),
    ]
    if result.config.norm == "linf":
        blind = trial.resisting("square", "Square")
        found.append(Check("square", "leaves no more than Square, without gradients", now, blind))
    if other is not None and not inputs.targeted:
        blind = trial.through(other)
        found.append(
            Check("transfer", f"leaves no more than pictures made through {other.name}", now, blind)
        )
    return found


def transferred(result: AttackResult, other: Network) -> dict[float, float]:
    """How many of the attacked pictures change another network's decision, in per cent, by radius.

    Whether the other network was right before does not matter.
    """
    places = np.flatnonzero(result.inputs.attackable())
    logits_of = classifier(other)
    before = [logits_of(result.inputs.pictures[i]).argmax() for i in places]
    shares = {}
    for epsilon, pictures in zip(result.epsilons, result.outcome.pictures, strict=True):
        after = [logits_of(pictures[i]).argmax() for i in places]
        shares[epsilon] = 100 * float(np.mean(np.not_equal(before, after))) if len(places) else 0.0
    return shares


@dataclasses.dataclass
class _Trial:
    """Further attacks on the same pictures, at the smallest radius unless another is given."""

    result: AttackResult
    inputs: Inputs
    progress: bool

    def resisting(self, method: Method, title: str, **changes: Any) -> float:
        """How many pictures resist a method, in per cent, with some options changed."""
        return self._judged(self._made(self.result.network, self.inputs, method, title, **changes))

    def noise(self) -> float:
        """How many resist a random sign for every value, times the largest size in the ball."""
        config, epsilon = self.result.config, self.result.epsilons[0]
        rng, pictures = np.random.default_rng(config.seed), []
        for picture in self.inputs.pictures:
            size = epsilon if config.norm == "linf" else epsilon / math.sqrt(picture.size)
            noisy = (picture + size * rng.choice([-1, 1], picture.shape)).clip(0, 255) / 255
            pictures.append(to_bytes(noisy, picture, norm=config.norm, epsilon=epsilon))
        return self._judged(pictures)

    def through(self, other: Network) -> float:
        """How many resist pictures that lead another network away from its own decision."""
        ask = classifier(other)
        logits = np.stack([ask(picture) for picture in self.inputs.pictures])
        decisions = logits.argmax(1)
        theirs = Inputs(self.inputs.names, self.inputs.pictures, logits, decisions, decisions)
        method = method_of(self.result.config)
        return self._judged(self._made(other, theirs, method, f"through {other.name}"))

    def _made(
        self, network: Network, inputs: Inputs, method: Method, title: str, **changes: Any
    ) -> list[np.ndarray]:
        """The pictures that a method makes, uint8 [H, W, 3] each."""
        config = self.result.config.changed(**changes)
        scales = factors(network, inputs, config)
        jobs = [
            Job(picture, int(label), int(target), config.epsilon[0], float(scale), config.seed + n)
            for n, (picture, label, target, scale) in enumerate(
                zip(inputs.pictures, inputs.labels, inputs.targets, scales, strict=True)
            )
        ]
        steps = way(network, config, method, targeted=inputs.targeted).steps
        with tqdm(total=len(jobs) * steps, unit="step", disable=not self.progress) as bar:
            bar.set_description(title)
            found = search(network, jobs, config, method, targeted=inputs.targeted, bar=bar)
        if found is None:
            raise KeyboardInterrupt
        return [each.picture for each in found]

    def _judged(self, pictures: Sequence[np.ndarray]) -> float:
        logits_of = classifier(self.result.network)
        return _resisting(self.inputs, np.stack([logits_of(picture) for picture in pictures]))


def _larger_epsilon(resisting: Sequence[float]) -> Check:
    rises = [after - before for before, after in itertools.pairwise(resisting)]
    return Check("larger epsilon", "a larger radius leaves no more", max(rises), 0.0)


def _resisting(inputs: Inputs, logits: np.ndarray) -> float:
    return 100 * float(np.mean(~succeeded(inputs, logits)))


def _everything(result: AttackResult) -> float:
    """A radius, in 1/255, of a ball that contains all pictures."""
    if result.config.norm == "linf":
        return 255.0
    return 255.0 * math.sqrt(result.inputs.pictures[0].size)
