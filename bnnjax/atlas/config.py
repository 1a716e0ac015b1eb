"""The options of visualisations and atlases. Every user interface takes its defaults from here."""

import dataclasses
from typing import Any, Self, TypedDict

import numpy as np

from bnnjax.atlas.layout import Method
from bnnjax.nst.config import PseudoGradient
from bnnjax.options import integer, nearest, one_of, option


@dataclasses.dataclass(frozen=True)
class VisualizeConfig:
    """How pictures are optimised; ``launch/visualize.py --help`` describes each option.

    Raises:
      ValueError: an invalid value.
    """

    size: int = option(96, "side of each picture, in pixels; even")
    steps: int = option(256, "number of optimisation steps")
    learning_rate: float = option(0.02, "initial learning rate; decays to a tenth along a cosine")
    jitter: int = option(8, "largest random shift per step, in pixels; 0 for none")
    zoom: float = option(0.1, "largest random change of scale per step; 0 for none")
    pseudo_gradient: PseudoGradient | None = option(
        None,
        "pseudo-gradient of sign: ste_sign, approx_sign or swish_sign; default: the network's own",
    )
    clip: float = option(1.0, "ste_sign passes gradients where |x| <= clip; inf: everywhere")
    seed: int = option(0, "random seed; the same seed gives the same pixels on the same machine")

    def __post_init__(self) -> None:
        for name, bounds in _INTEGERS.items():
            if hasattr(self, name):
                object.__setattr__(self, name, integer(name, getattr(self, name), *bounds))
        if self.size % 2:
            raise ValueError(f"size is {self.size}, needs an even number of pixels")
        for name in ("learning_rate", "clip", "ridge"):
            if hasattr(self, name) and not _number(getattr(self, name)) > 0:
                raise ValueError(f"{name} is {getattr(self, name)!r}, needs a positive number")
        if not 0 <= _number(self.zoom) < 1:
            raise ValueError(f"zoom is {self.zoom!r}, needs a number from 0 to below 1")
        if self.pseudo_gradient is not None:
            one_of("pseudo_gradient", self.pseudo_gradient, PseudoGradient)

    def changed(self, **options: Any) -> Self:
        """A copy with some options changed.

        Raises:
          ValueError: an unknown option (the nearest is suggested) or an invalid value.
        """
        names = [field.name for field in dataclasses.fields(self)]
        for name in options:
            if name not in names:
                raise ValueError(f"no option {name!r}{nearest(name, names)}")
        return dataclasses.replace(self, **options)


@dataclasses.dataclass(frozen=True)
class AtlasConfig(VisualizeConfig):
    """The options of an atlas; ``launch/atlas.py --help`` describes each one.

    Raises:
      ValueError: an invalid value.
    """

    tap: str | None = option(None, "tap of the activations; default: the network's content tap")
    grid: int = option(20, "number of cells along each side of the atlas")
    layout: Method = option(
        "auto", "layout: umap, tsne or pca; auto: umap if it is installed, else pca"
    )
    per_picture: int = option(1, "number of activations per picture")
    least: int = option(5, "smallest number of activations for a cell to get a picture")
    image_size: int = option(224, "side of the photographs' central squares, in pixels")
    ridge: float = option(
        1.0, "ridge of the whitening, in mean eigenvalues: near 0 whitens fully, inf not at all"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("layout", self.layout, Method)


class VisualizeOptions(TypedDict, total=False):
    """The fields of `VisualizeConfig` as keyword arguments, for completion and type checkers."""

    size: int
    steps: int
    learning_rate: float
    jitter: int
    zoom: float
    pseudo_gradient: PseudoGradient | None
    clip: float
    seed: int


class AtlasOptions(VisualizeOptions, total=False):
    """The fields of `AtlasConfig` as keyword arguments, for completion and type checkers."""

    tap: str | None
    grid: int
    layout: Method
    per_picture: int
    least: int
    image_size: int
    ridge: float


_INTEGERS = {
    "size": (32, 1024),
    "steps": (1, 10**6),
    "jitter": (0, 64),
    "seed": (0, 2**32 - 1),
    "grid": (1, 200),
    "per_picture": (1, 1000),
    "least": (1, 10**6),
    "image_size": (32, 1024),
}


def _number(value: Any) -> float:
    """The value as a float; NaN, which no comparison accepts, if it is not a number."""
    plain = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
    return float(value) if plain else float("nan")
