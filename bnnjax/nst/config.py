"""The choices of a stylization. The defaults of every user interface are the ones here."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

import jax
import numpy as np

from bnnjax.nst.losses import STATISTICS, VARIATIONS
from bnnjax.nst.parametrize import PARAMETRIZATIONS

INITS = ("content", "matched", "noise")
SMALLEST, LARGEST = 32, 4096  # px


def choice(default: Any, help: str) -> Any:
    """A field with its default and the line that command-line help shows."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class StylizeConfig:
    """Static choices; what each means is said once, for all interfaces, in its ``help``.

    Raises:
      ValueError: a choice that does not exist or is out of range.
    """

    size: int = choice(224, "shorter side of the result, in pixels")
    style_size: int | None = choice(None, "shorter side of the painting, in pixels; same as size")
    steps: int = choice(400, "optimisation steps")
    seed: int = choice(0, "of all randomness: same seed, same machine, same pixels")
    init: str = choice("matched", "first picture: content, matched (its colours moved) or noise")
    parametrization: str = choice("pyramid", "what is optimised: pyramid or pixels")
    optimizer: Any = choice("adam", "adam, lbfgs, or another optimiser of optax by name")
    statistics: str = choice("moments", "of style: moments (mean and covariance) or gram")
    tv: str = choice("squared", "total variation of squared or absolute differences")
    shift: int = choice(4, "largest random shift a step, in pixels; 0 for none")
    style_taps: tuple[str, ...] | None = choice(None, "where style is measured; network's own")
    content_taps: tuple[str, ...] | None = choice(None, "where content is measured; network's own")
    pooling: str = choice("max", "pools between sections: max or avg")
    pseudo_gradient: str | None = choice(
        None, "of sign: ste_sign, approx_sign or swish_sign; network's own"
    )
    # Networks are trained with a wider one; less reaches the picture, and less of it is noise.
    clip: float = choice(1.0, "ste_sign passes gradients where |x| <= clip; inf: everywhere")

    def __post_init__(self) -> None:
        for name, allowed in (
            ("init", INITS),
            ("parametrization", PARAMETRIZATIONS),
            ("statistics", STATISTICS),
            ("tv", VARIATIONS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, needs one of {allowed}")
        for name, low, high in (
            ("size", SMALLEST, LARGEST),
            ("style_size", SMALLEST, LARGEST),
            ("steps", 1, 10**6),
            ("shift", 0, SMALLEST),
            ("seed", 0, 2**32 - 1),
        ):
            value = getattr(self, name)
            if value is None and name == "style_size":
                continue
            if not (isinstance(value, int | np.integer) and low <= value <= high):
                raise ValueError(f"{name} is {value!r}, needs a whole number from {low} to {high}")
        if not (isinstance(self.clip, Real) and self.clip > 0):
            raise ValueError(f"clip is {self.clip!r}, needs a positive number")


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LossWeights:
    """Traced choices: a number for all pictures, or one for each. A change never compiles anew."""

    content_weight: Any = choice(0.3, "weight of content, relative to the photograph's features")
    style_weight: Any = choice(6.0, "weight of style, averaged over the taps")
    tv_weight: Any = choice(1.0, "weight of total variation, averaged over pixels")
    color_weight: Any = choice(1.0, "weight of the colours' mean and covariance")
    style_tap_weights: Any = choice(None, "weight of each style tap in their average; equal")
    learning_rate: Any = choice(0.03, "first learning rate; a cosine takes it to a tenth")

    def for_pictures(self, count: int, *, taps: int) -> "LossWeights":
        """Every weight with an entry a picture: float32 [count], the tap weights [count, taps].

        Raises:
          ValueError: a sequence of another length, or a value that is not finite and ≥ 0.
        """
        spread = {}
        for field in dataclasses.fields(self):
            shape = (count, taps) if field.name == "style_tap_weights" else (count,)
            spread[field.name] = _spread(field.name, getattr(self, field.name), shape)
        if taps and not spread["style_tap_weights"].sum(axis=1).all():
            raise ValueError("style_tap_weights are all 0; style_weight=0 leaves style out")
        return LossWeights(**spread)


def _spread(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(1 if value is None else value, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, needs numbers") from None
    if array.shape not in {shape, shape[1:], ()}:
        raise ValueError(f"{name} has shape {array.shape}, needs {shape[1:]} or {shape}")
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"{name} is {value}, needs finite numbers of at least 0")
    return np.broadcast_to(array, shape)


def split_choices(
    choices: Mapping[str, Any], *, preset: str | None = None
) -> tuple[StylizeConfig, LossWeights]:
    """A preset ("default" if None) and keyword choices, which go before it, in the two kinds.

    Raises:
      ValueError: no such preset, a name that is in neither kind (the nearest is suggested), or a
        value out of range.
    """
    preset = preset or "default"
    if preset not in PRESETS:
        raise ValueError(f"preset is {preset!r}, needs one of {tuple(PRESETS)}")
    choices = {**PRESETS[preset], **choices}
    for name in choices:
        if name not in CHOICES:
            near = difflib.get_close_matches(name, CHOICES, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(f"no choice {name!r}{hint} There are: {', '.join(CHOICES)}")
    config = {name: value for name, value in choices.items() if CHOICES[name] is StylizeConfig}
    weights = {name: value for name, value in choices.items() if CHOICES[name] is LossWeights}
    for name in ("style_taps", "content_taps"):
        if config.get(name) is not None:
            config[name] = _tap_names(name, config[name])
    return StylizeConfig(**config), LossWeights(**weights)


def _tap_names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{name} is {value!r}, needs a sequence of names of taps")
    return tuple(value)


# As Gatys et al. (CVPR 2016) paint: pixels, from the photograph on, Gram matrices, L-BFGS.
_GATYS = {
    "parametrization": "pixels",
    "optimizer": "lbfgs",
    "statistics": "gram",
    "init": "content",
    "shift": 0,
    "steps": 200,
    "content_weight": 0.6,
    "tv_weight": 0.1,
    "color_weight": 0,
}
# Bundles of choices by name; what is chosen besides goes before. One of a network's name is that
# network's own: it is taken when none is named.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # For a person at a slider: a second or two at 224 px.
    "preview": {"steps": 100, "learning_rate": 0.025},
    # At the default's weight its pictures keep less of the photograph than QuickNet's do.
    "inknet": {"content_weight": 0.9},
    "vgg16": _GATYS,
    "vgg19": _GATYS,
    "vgg19_conv5_1": _GATYS,
    # Untuned: against the grid that its strides may leave.
    "inception_v1": {"pooling": "avg", "shift": 8, "tv_weight": 2.0},
}

CHOICES: dict[str, type] = {
    field.name: kind for kind in (StylizeConfig, LossWeights) for field in dataclasses.fields(kind)
}
