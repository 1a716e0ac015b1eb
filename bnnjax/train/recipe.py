"""The choices of a training. The defaults of the command line are the ones here."""

import dataclasses

from bnnjax.nst.config import choice
from bnnjax.train.optimizers import OPTIMIZERS

LOWEST = {
    "epochs": 1,
    "batch_size": 2,
    "learning_rate": 0,
    "warmup_epochs": 0,
    "label_smoothing": 0,
    "soft_weight": 0,
    "hint_weight": 0,
    "seed": 0,
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; what each choice means is said once, in its ``help``.

    Raises:
      ValueError: a choice that does not exist or is out of range.
    """

    epochs: int = choice(40, "passes over the photographs")
    batch_size: int = choice(64, "photographs a step")
    sides: tuple[int, ...] = choice(
        (96, 96, 128), "of the views, in pixels; each for an equal share of the epochs, in order"
    )
    optimizer: str = choice("adam", "adam, or bop for binary kernels and adam for the rest")
    learning_rate: float = choice(2e-3, "of Adam at its highest, after the warm-up")
    warmup_epochs: float = choice(1.0, "over which the learning rate rises from 0, at most half")
    label_smoothing: float = choice(0.1, "share of a label that goes to all classes alike")
    soft_weight: float = choice(1.0, "weight of the teacher's probabilities")
    hint_weight: float = choice(2.0, "weight of the teacher's taps")
    smallest_crop: float = choice(0.25, "area of a random crop at least, of the photograph's")
    seed: int = choice(0, "of weights, order and views")

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "sides", tuple(int(side) for side in self.sides))
        except ValueError:
            raise ValueError(f"sides are {self.sides}, need whole numbers") from None
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}, needs one of {OPTIMIZERS}")
        for name, low in LOWEST.items():
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} is {getattr(self, name)}, needs at least {low}")
        if self.label_smoothing >= 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}, needs less than 1")
        if not self.sides or min(self.sides) < 32:
            raise ValueError(f"sides are {self.sides}, need at least one, and 32 px each")
        if not 0 < self.smallest_crop <= 1:
            raise ValueError(f"smallest_crop is {self.smallest_crop}, needs a share of 1")
