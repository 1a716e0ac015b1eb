"""The options of training; the command-line flags are generated from these fields."""

import dataclasses
from typing import Any

from bnnjax.options import option
from bnnjax.train.optimizers import OPTIMIZERS, OptimizerName

MIN_SIDE = 8  # px; what a network takes is checked with the network


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """How a network is trained on photographs; ``launch/train.py --help`` describes each option.

    Raises:
      ValueError: an invalid value.
    """

    epochs: int = option(40, "passes over the photographs")
    batch_size: int = option(64, "photographs per step")
    sides: tuple[int, ...] = option(
        (96, 96, 128), "sides of the crops, in pixels; each gets an equal share of the epochs"
    )
    optimizer: OptimizerName = option("adam", "adam, or bop for binary kernels and adam elsewhere")
    learning_rate: float = option(2e-3, "Adam's peak learning rate, reached after the warm-up")
    warmup_epochs: float = option(
        1.0, "epochs during which the learning rate rises from 0; at most half of the run"
    )
    label_smoothing: float = option(0.1, "fraction of each label that is spread over all classes")
    soft_weight: float = option(1.0, "loss weight of the teacher's probabilities")
    hint_weight: float = option(2.0, "loss weight of the teacher's taps")
    hint_taps: tuple[str, ...] = option(
        ("stem_conv", "stem", "section1", "section2", "section3", "section4"),
        "taps that hints compare: TAP in both networks, or STUDENT_TAP=TEACHER_TAP, which is"
        " NETWORK:TAP for several teachers; the last one also predicts the logits",
    )
    smallest_crop: float = option(
        0.25, "smallest area of a random crop, as a fraction of the picture"
    )
    seed: int = option(0, "seed of initial weights, order and augmentation")

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "sides", tuple(int(side) for side in self.sides))
        except ValueError:
            raise ValueError(f"sides are {self.sides}, need integers") from None
        object.__setattr__(self, "hint_taps", tuple(self.hint_taps))
        _check_optimizer(self.optimizer)
        _check_lowest(self, epochs=1, batch_size=2, learning_rate=0, warmup_epochs=0)
        _check_lowest(self, label_smoothing=0, soft_weight=0, hint_weight=0, seed=0)
        if self.label_smoothing >= 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}, needs less than 1")
        if not self.sides or min(self.sides) < MIN_SIDE:
            raise ValueError(f"sides are {self.sides}, need one or more of at least {MIN_SIDE} px")
        if not self.hint_taps:
            raise ValueError("hint_taps are empty, need at least one; hint_weight=0 turns them off")
        if not 0 < self.smallest_crop <= 1:
            raise ValueError(f"smallest_crop is {self.smallest_crop}, needs to be in (0, 1]")


@dataclasses.dataclass(frozen=True)
class Cifar10Config:
    """How BinaryNet is trained on CIFAR-10; see ``launch/train_cifar10.py --help``.

    Raises:
      ValueError: an invalid value.
    """

    epochs: int = option(100, "passes over the training pictures")
    batch_size: int = option(50, "pictures per step")
    optimizer: OptimizerName = option("adam", "adam, or bop for binary kernels and adam elsewhere")
    learning_rate: float = option(0.01, "Adam's learning rate at the first step")
    decay: float = option(1e-4, "the learning rate is divided by 1 + decay · step")
    seed: int = option(0, "seed of initial weights and order")

    def __post_init__(self) -> None:
        _check_optimizer(self.optimizer)
        _check_lowest(self, epochs=1, batch_size=2, learning_rate=0, decay=0, seed=0)


def _check_optimizer(name: str) -> None:
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer is {name!r}, needs one of {OPTIMIZERS}")


def _check_lowest(config: Any, **lowest: float) -> None:
    for name, low in lowest.items():
        if not getattr(config, name) >= low:  # written so that it catches NaN
            raise ValueError(f"{name} is {getattr(config, name)}, needs at least {low}")
