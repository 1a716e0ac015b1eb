"""The result of an attack: pictures, accuracies, and how far to trust them."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bnnjax.attack import files
from bnnjax.attack.config import AttackConfig
from bnnjax.attack.distances import Distances, distances
from bnnjax.attack.inputs import Inputs
from bnnjax.attack.portions import Outcome, succeeded
from bnnjax.models.evaluate import top_guesses
from bnnjax.models.network import Network


class Check(NamedTuple):
    """A check against gradient masking; figures are in per cent of the pictures attacked.

    Attributes:
      name: short, for tables.
      claim: what must hold: that ``found`` is at most ``bound``.
      found, bound: the two figures.

    Examples:
      >>> check = bnnjax.attack.Check("square", "leaves no more than Square", found=9.4, bound=34.4)
      >>> check.passed
      True
    """

    name: str
    claim: str
    found: float
    bound: float

    @property
    def passed(self) -> bool:
        """Whether the claim holds."""
        return self.found <= self.bound


@dataclasses.dataclass(repr=False)
class AttackResult:
    """Pictures before and after an attack; figures are in per cent.

    Attributes:
      inputs: the pictures before, their labels and targets.
      outcome: the pictures after, by radius.
      network: the network under attack, with the options of this run.
      config: all options.
      class_names: in the order of the logits.
      labelled: whether the labels were given; else they are the network's own decisions.
      epsilons: the radii, in 1/255; infinite for a style attack.
      checks: against gradient masking.
      transferred: how many attacked pictures changed another network's decision, by radius.
      interrupted: whether Ctrl-C ended the run early.
      seconds: of the attack, without its checks.
    """

    inputs: Inputs
    outcome: Outcome
    network: Network
    config: AttackConfig
    class_names: tuple[str, ...]
    labelled: bool
    epsilons: tuple[float, ...]
    checks: list[Check] = dataclasses.field(default_factory=list)
    transferred: Mapping[float, float] = dataclasses.field(default_factory=dict)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def images(self) -> list[list[np.ndarray]]:
        """The pictures after the attack by radius, float32 [H, W, 3] in [0, 1], [E][N]."""
        rows = self.outcome.pictures
        return [[p.astype(np.float32) / np.float32(255) for p in row] for row in rows]

    @property
    def clean_top1(self) -> float:
        """The accuracy before the attack."""
        return _share(self.inputs.logits.argmax(1) == self.inputs.labels)

    @property
    def adversarial_top1(self) -> list[float]:
        """The accuracy after the attack, by radius."""
        return [_share(row.argmax(1) == self.inputs.labels) for row in self.outcome.logits]

    @cached_property
    def success(self) -> np.ndarray:
        """Whether the 8-bit picture reached the goal of its attack, bool [E, N]."""
        return np.stack([succeeded(self.inputs, row) for row in self.outcome.logits])

    @property
    def success_rate(self) -> list[float]:
        """The share of the attacked pictures that reached the goal, by radius."""
        return [_share(row[self.inputs.attackable()]) for row in self.success]

    @property
    def resisting(self) -> list[float]:
        """The rest of the attacked pictures, by radius."""
        return [100 - rate for rate in self.success_rate]

    @cached_property
    def distances(self) -> list[list[Distances]]:
        """How much each picture was changed, [E][N]."""
        rows = self.outcome.pictures
        return [
            [distances(*pair) for pair in zip(self.inputs.pictures, row, strict=True)]
            for row in rows
        ]

    def guesses(self, number: int, row: int | None = None) -> list[tuple[str, float]]:
        """The five most likely classes of a picture and their probabilities, in order.

        Args:
          number: of the picture.
          row: of the radius; None for the picture before the attack.
        """
        logits = self.inputs.logits if row is None else self.outcome.logits[row]
        return top_guesses(logits[number], self.class_names, count=5)

    @property
    def problems(self) -> list[str]:
        """One line for everything that could not be done or trusted; empty if all is well."""
        count = len(self.inputs.names)
        lines = [f"interrupted after {count} pictures"] if self.interrupted else []
        for check in self.checks:
            if not check.passed:
                lines.append(
                    f"check {check.name!r} failed, gradients may be masked: {check.claim}, but "
                    f"{check.found:.1f} % is more than {check.bound:.1f} %"
                )
        return lines

    @property
    def figures(self) -> dict[str, Any]:
        """All figures as JSON values, those of each radius under the radius in 1/255."""
        mean = [
            {name: _mean(row, name, self.inputs.attackable()) for name in Distances._fields}
            for row in self.distances
        ]
        attacked = self.inputs.attackable()
        fooled = [_share(row[attacked]) for row in self.outcome.fooled]
        return {
            "network": self.network.name,
            "n": len(self.inputs.names),
            "attacked": int(attacked.sum()),
            "labels": "given" if self.labelled else "decisions of the network",
            "clean_top1": self.clean_top1,
            "adversarial_top1": self._by_radius(self.adversarial_top1),
            "success_rate": self._by_radius(self.success_rate),
            "success_rate_before_rounding": self._by_radius(fooled),
            "mean_distances": self._by_radius(mean),
            "transferred": {f"{e:g}": share for e, share in self.transferred.items()},
            "checks": [{**c._asdict(), "passed": c.passed} for c in self.checks],
            "options": dataclasses.asdict(self.config),
            "seconds": round(self.seconds, 1),
            "problems": self.problems,
        }

    def _by_radius(self, values: Sequence[Any]) -> dict[str, Any]:
        return {f"{epsilon:g}": v for epsilon, v in zip(self.epsilons, values, strict=True)}

    def save(self, directory: str | Path, *, overwrite: bool = False) -> list[Path]:
        """Writes all files of the result.

        For every attacked picture and radius these are NAME__epsE.png and, magnified,
        NAME__epsE__change.png; then ``attack.csv``, a row for each picture and radius;
        ``attack.png``, the curves (if matplotlib is installed); ``contact_sheet.png``.

        Args:
          directory: the folder; created if missing.
          overwrite: whether to replace existing files.

        Returns:
          The paths of the files written.

        Raises:
          ValueError: a file exists and ``overwrite`` is False, or cannot be written.
        """
        return files.save(self, Path(directory), overwrite=overwrite)

    def __repr__(self) -> str:
        rates = ", ".join(
            f"{rate:.1f} % at {epsilon:g}/255"
            for epsilon, rate in zip(self.epsilons, self.success_rate, strict=True)
        )
        return f"<AttackResult: {len(self.inputs.names)} pictures, {self.network.name}: {rates}>"


def _share(values: np.ndarray) -> float:
    return 100 * float(np.mean(values)) if len(values) else 0.0


def _mean(row: Sequence[Distances], name: str, chosen: np.ndarray) -> float:
    values = [getattr(each, name) for each, take in zip(row, chosen, strict=True) if take]
    return float(np.mean(values)) if values else 0.0
