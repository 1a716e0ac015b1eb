"""The options of an attack. Every user interface takes its defaults from here."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import numpy as np

from bnnjax.nst.config import PseudoGradient
from bnnjax.options import integer, nearest, one_of, option

Attack = Literal["pgd", "apgd", "style"]
Loss = Literal["ce", "dlr"]
Norm = Literal["linf", "l2"]
Scaling = Literal["none", "hns", "njs"]


@dataclasses.dataclass(frozen=True)
class AttackConfig:
    """The options of an attack; ``launch/attack.py --help`` describes each one.

    Raises:
      ValueError: an invalid value.

    Examples:
      >>> bnnjax.AttackConfig(epsilon=(8, 1)).epsilon  # in 1/255
      (1.0, 8.0)
    """

    attack: Attack = option("pgd", "pgd, apgd (Auto-PGD), or style (style transfer, no ball)")
    loss: Loss = option("ce", "what is maximised: ce (cross entropy) or dlr (logits' ratio)")
    norm: Norm = option("linf", "norm of the ball around a picture: linf or l2")
    epsilon: tuple[float, ...] = option(
        (1.0, 2.0, 4.0, 8.0), "radii of the ball, in 1/255; for l2, of the norm of the whole change"
    )
    steps: int | None = option(None, "updates per picture; default: 20, 400 for style")
    restarts: int = option(1, "random starts per picture and radius, of which the best counts")
    step_size: float | None = option(
        None, "PGD's step as a fraction of the radius; default: 2.5 / steps"
    )
    scaling: Scaling = option("none", "factor of the logits: none, hns or njs")
    pseudo_gradient: PseudoGradient | None = option(
        None,
        "pseudo-gradient of sign: ste_sign, approx_sign or swish_sign; default: the network's own",
    )
    clip: float | None = option(
        None, "ste_sign passes gradients where |x| <= clip; inf: everywhere; default: the network's"
    )
    size: int | None = option(None, "side of the pictures, in pixels; default: 224")
    classifier_weight: float = option(1.0, "weight of the classifier's term in a style attack")
    checks: int = option(16, "number of pictures to check against gradient masking; 0 for none")
    queries: int = option(500, "queries per picture of the Square attack, one of the checks")
    seed: int = option(0, "random seed; the same seed gives the same pictures on the same machine")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            checked = _check(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, checked)
        if self.loss == "dlr" and self.scaling != "none":
            raise ValueError(f"scaling {self.scaling!r} cannot change dlr, which divides it out")

    @property
    def updates(self) -> int:
        """The number of updates per picture."""
        return self.steps or (400 if self.attack == "style" else 20)

    def changed(self, **options: Any) -> "AttackConfig":
        """A copy with some options changed.

        Raises:
          ValueError: an unknown option (the nearest is suggested) or an invalid value.
        """
        for name in options:
            if name not in OPTIONS:
                raise ValueError(f"no option {name!r}{nearest(name, OPTIONS)}")
        return dataclasses.replace(self, **options)


class AttackOptions(TypedDict, total=False):
    """The fields of `AttackConfig` as keyword arguments, for completion and type checkers."""

    attack: Attack
    loss: Loss
    norm: Norm
    epsilon: float | Sequence[float]
    steps: int | None
    restarts: int
    step_size: float | None
    scaling: Scaling
    pseudo_gradient: PseudoGradient | None
    clip: float | None
    size: int | None
    classifier_weight: float
    checks: int
    queries: int
    seed: int


OPTIONS = tuple(field.name for field in dataclasses.fields(AttackConfig))
_CHOICES: dict[str, Any] = {
    "attack": Attack,
    "loss": Loss,
    "norm": Norm,
    "scaling": Scaling,
    "pseudo_gradient": PseudoGradient,
}
_RANGES = {
    "steps": (1, 10**6),
    "restarts": (1, 10**4),
    "size": (1, 4096),
    "checks": (0, 10**6),
    "queries": (1, 10**6),
    "seed": (0, 2**32 - 1),
}
_OPTIONAL = ("steps", "step_size", "pseudo_gradient", "clip", "size")


def _check(name: str, value: Any) -> Any:
    """The checked value as a plain Python value."""
    if value is None and name in _OPTIONAL:
        return None
    if name in _RANGES:
        return integer(name, value, *_RANGES[name])
    if name in _CHOICES:
        return one_of(name, value, _CHOICES[name])
    numbers = _positive(name, value)
    if name == "epsilon":
        if not np.isfinite(numbers).all() or len({*numbers}) < len(numbers):
            raise ValueError(f"epsilon is {value!r}, needs different finite numbers")
        return tuple(sorted(numbers))
    if len(numbers) != 1 or np.ndim(value):
        raise ValueError(f"{name} is {value!r}, needs one positive number")
    return numbers[0]


def _positive(name: str, value: Any) -> tuple[float, ...]:
    try:
        numbers = np.atleast_1d(np.asarray(value, np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, needs numbers") from None
    if numbers.ndim != 1 or not numbers.size or not (numbers > 0).all():
        raise ValueError(f"{name} is {value!r}, needs positive numbers")
    return tuple(numbers.tolist())
