"""Checks that expose gradient masking: signs that an attack failed where the network did not hold.

A network resists an attack if the attack does not succeed on it. Binary networks have pseudo-
gradients, which may point nowhere; then a failed attack says nothing about robustness (Athalye et
al. 2018, arXiv 1802.00420; Carlini et al. 2019, arXiv 1902.06705).
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from tqdm.auto import tqdm

from bnnjax.attack.config import AttackConfig
from bnnjax.attack.inputs import Inputs, classifier
from bnnjax.attack.portions import method_of, succeeded
from bnnjax.attack.result import AttackResult
from bnnjax.attack.rounding import to_bytes
from bnnjax.attack.search import Job, Method, search
from bnnjax.models.network import Network

_MORE = 4  # times as many steps


class Check(NamedTuple):
    """One check; all figures are in per cent of the pictures that were attacked.

    Attributes:
      name: short, for tables.
      claim: what must hold: that ``found`` is at most ``bound``.
      found, bound: the two figures.
    """

    name: str
    claim: str
    found: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the claim holds."""
        return self.found <= self.bound


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
    config, everything = result.config, _everything(result)
    more = dataclasses.replace(config, steps=_MORE * config.updates)
    found += [
        Check(
            "more steps",
            f"{_MORE} times as many steps leave no more",
            trial.resisting(method_of(config), "more steps", config=more),
            now,
        ),
        Check(
            "no bound",
            "a ball that holds all pictures leaves none",
            trial.resisting(method_of(config), "no bound", epsilon=everything),
            0.0,
        ),
    ]
    noise = trial.noise()
    found.append(Check("noise", "leaves no more than noise at the ends of the ball", now, noise))
    if config.norm == "linf":
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
        """How many pictures resist a method, in per cent."""
        pictures = self._attacked(self.result.network, self.inputs, method, title, **changes)
        logits_of = classifier(self.result.network)
        return _resisting(self.inputs, np.stack([logits_of(picture) for picture in pictures]))

    def noise(self) -> float:
        """How many resist a random sign for every value, times the largest size in the ball."""
        config, epsilon = self.result.config, self.result.epsilons[0]
        logits_of, rng = classifier(self.result.network), np.random.default_rng(config.seed)
        answers = []
        for picture in self.inputs.pictures:
            size = epsilon if config.norm == "linf" else epsilon / math.sqrt(picture.size)
            noisy = (picture + size * rng.choice([-1, 1], picture.shape)).clip(0, 255) / 255
            rounded = to_bytes(noisy, picture, norm=config.norm, epsilon=epsilon)
            answers.append(logits_of(rounded))
        return _resisting(self.inputs, np.stack(answers))

    def through(self, other: Network) -> float:
        """How many resist pictures that lead another network away from its own decision."""
        ask = classifier(other)
        logits = np.stack([ask(picture) for picture in self.inputs.pictures])
        decisions = logits.argmax(1)
        theirs = Inputs(self.inputs.names, self.inputs.pictures, logits, decisions, decisions)
        method = method_of(self.result.config)
        pictures = self._attacked(other, theirs, method, f"through {other.name}")
        logits_of = classifier(self.result.network)
        return _resisting(self.inputs, np.stack([logits_of(picture) for picture in pictures]))

    def _attacked(
        self,
        network: Network,
        inputs: Inputs,
        method: Method,
        title: str,
        *,
        config: AttackConfig | None = None,
        epsilon: float | None = None,
    ) -> list[np.ndarray]:
        config = config or self.result.config
        radius = epsilon or self.result.epsilons[0]
        jobs = [
            Job(picture, int(label), int(target), radius, seed=config.seed + number)
            for number, (picture, label, target) in enumerate(
                zip(inputs.pictures, inputs.labels, inputs.targets, strict=True)
            )
        ]
        steps = config.queries if method == "square" else config.updates + 1
        with tqdm(total=len(jobs) * steps, unit="step", disable=not self.progress) as bar:
            bar.set_description(title)
            found = search(network, jobs, config, method, targeted=inputs.targeted, bar=bar)
        if found is None:
            raise KeyboardInterrupt
        return [each.picture for each in found]


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
