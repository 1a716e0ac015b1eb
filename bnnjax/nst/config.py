"""The options of a stylization. Every user interface takes its defaults from here."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np

from bnnjax.nst.statistics import Kind
from bnnjax.nst.terms import Variation
from bnnjax.options import integer, nearest, one_of, option

Init = Literal["content", "matched", "grey", "noise"]
Parametrized = Literal["pyramid", "pixels", "fourier"]
Colors = Literal["painting", "photograph"]
Pooling = Literal["max", "avg", "blur"]
PseudoGradient = Literal["ste_sign", "approx_sign", "swish_sign"]
Weight = float | Sequence[float]  # one for all pictures, or one per picture
SMALLEST, LARGEST = 32, 4096  # px


@dataclasses.dataclass(frozen=True)
class StylizeConfig:
    """The options of a stylization; ``launch/stylize.py --help`` describes each one.

    Weights and learning rate are traced: changing them never triggers a compilation, and a sequence
    gives each picture its own. All other options are static.

    Raises:
      ValueError: an invalid value.

    Examples:
      >>> config = bnnjax.StylizeConfig(size=320, strength=0.5)
      >>> config.steps, config.changed(steps=100).steps
      (400, 100)
      >>> config.changed(stroke_seize=2)
      Traceback (most recent call last):
      ValueError: no option 'stroke_seize'; did you mean 'stroke_size'? ...
    """

    size: int = option(224, "shorter side of the result, in pixels")
    style_size: int | None = option(None, "shorter side of the painting, in pixels; default: size")
    style_blend: Sequence[float] | None = option(
        None, "shares of the paintings that are blended; default: equal"
    )
    colors: Colors = option("painting", "whose colours the result has: painting or photograph")
    tile: bool = option(
        False,
        "make edges meet, so that copies side by side show no seam; sides become multiples"
        " of the network's stride",
    )
    stroke_size: float = option(
        1.0, "size of the strokes, relative to those in a picture of 224 px; 2 paints coarser"
    )
    steps: int = option(400, "number of optimisation steps; finer stages of large pictures do less")
    seed: int = option(0, "random seed; the same seed gives the same pixels on the same machine")
    init: Init = option(
        "matched", "start from content, matched (content recoloured), grey or noise"
    )
    parametrization: Parametrized = option(
        "pyramid", "what is optimised: pyramid, pixels or fourier"
    )
    optimizer: Any = option("adam", "adam, lbfgs, or the name of another optimiser in optax")
    statistics: Kind = option("moments", "style statistics: moments (mean, covariance) or gram")
    tv: Variation = option("squared", "total variation: squared or absolute differences")
    # Shifted anywhere, a picture has no fixed edges. There, padding would leave a band, and leaving
    # out the outermost positions of the maps would leave a frame unpainted.
    jitter: int = option(
        LARGEST,
        "largest random shift per step, in pixels; what leaves the picture on one side enters it on"
        " the other; 0 for none",
    )
    style_taps: tuple[str, ...] | None = option(None, "taps for style; default: the network's own")
    content_taps: tuple[str, ...] | None = option(
        None, "taps for content; default: the network's own"
    )
    pooling: Pooling = option("max", "pooling between sections: max, avg or blur")
    residual_scale: float = option(1.0, "factor of residual shortcuts; 0 cuts them")
    pseudo_gradient: PseudoGradient | None = option(
        None,
        "pseudo-gradient of sign: ste_sign, approx_sign or swish_sign; default: the network's own",
    )
    # Networks are trained with a wider clip. A narrower one passes less gradient and less noise.
    clip: float = option(1.0, "ste_sign passes gradients where |x| <= clip; inf: everywhere")
    strength: Weight = option(
        1.0, "from the photograph (0) to the painting's style (1); more exaggerates", traced=True
    )
    content_weight: Weight = option(0.3, "weight of content", traced=True)
    style_weight: Weight = option(6.0, "weight of style, averaged over the taps", traced=True)
    tv_weight: Weight = option(1.0, "weight of total variation", traced=True)
    color_weight: Weight = option(1.0, "weight of the colours' mean and covariance", traced=True)
    style_tap_weights: Sequence[Any] | None = option(
        None, "weight of each style tap in the average; default: equal", traced=True
    )
    content_tap_weights: Sequence[Any] | None = option(
        None, "weight of each content tap in the average; default: equal", traced=True
    )
    learning_rate: Weight = option(
        0.03, "initial learning rate; decays to a tenth along a cosine", traced=True
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            checked = _check(field.name, getattr(self, field.name))
            object.__setattr__(self, field.name, checked)

    def changed(self, **options: Any) -> "StylizeConfig":
        """A copy with some options changed.

        Raises:
          ValueError: an unknown option (the nearest is suggested) or an invalid value.
        """
        for name in options:
            if name not in OPTIONS:
                raise ValueError(f"no option {name!r}{nearest(name, OPTIONS)}")
        return dataclasses.replace(self, **options)

    def weights(self, pictures: int, *, taps: int, content_taps: int = 1) -> dict[str, np.ndarray]:
        """The traced options by name with an entry per picture, float32 [N]; weights of the style
        taps [N, taps] and of the content taps [N, content_taps].

        Raises:
          ValueError: a sequence of the wrong length, or tap weights that are all 0.
        """
        spread = {}
        counts = {"style_tap_weights": taps, "content_tap_weights": content_taps}
        for name in TRACED:
            shape = (pictures, counts[name]) if name in PER_TAP else (pictures,)
            value = getattr(self, name)
            array = np.asarray(1 if value is None else value, np.float32)
            if array.shape not in {shape, shape[1:], ()}:
                raise ValueError(f"{name} has shape {array.shape}, needs {shape[1:]} or {shape}")
            spread[name] = np.broadcast_to(array, shape)
        for name, count in counts.items():
            if count and not spread[name].sum(axis=1).all():
                kind = name.split("_")[0]
                raise ValueError(f"{name} are all 0; to disable {kind}, use {kind}_weight=0")
        return spread

    def of_picture(self, number: int) -> "StylizeConfig":
        """The options of one picture of the batch."""
        own: dict[str, Any] = {}
        for name in TRACED:
            value, depth = getattr(self, name), name in PER_TAP
            own[name] = value[number] if np.ndim(value) > depth else value
        return dataclasses.replace(self, **own)


class StylizeOptions(TypedDict, total=False):
    """The fields of `StylizeConfig` as keyword arguments, for completion and type checkers."""

    size: int
    style_size: int | None
    style_blend: Sequence[float] | None
    colors: Colors
    tile: bool
    stroke_size: float
    steps: int
    seed: int
    init: Init
    parametrization: Parametrized
    optimizer: Any
    statistics: Kind
    tv: Variation
    jitter: int
    style_taps: Sequence[str] | None
    content_taps: Sequence[str] | None
    pooling: Pooling
    residual_scale: float
    pseudo_gradient: PseudoGradient | None
    clip: float
    strength: Weight
    content_weight: Weight
    style_weight: Weight
    tv_weight: Weight
    color_weight: Weight
    style_tap_weights: Sequence[Any] | None
    content_tap_weights: Sequence[Any] | None
    learning_rate: Weight


OPTIONS = tuple(field.name for field in dataclasses.fields(StylizeConfig))
TRACED = tuple(
    field.name for field in dataclasses.fields(StylizeConfig) if field.metadata.get("traced")
)
PER_TAP = ("style_tap_weights", "content_tap_weights")
# Named sets of options, applied after the network's own preset and before single options.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # For interactive use: a second or two at 224 px.
    "preview": {"steps": 100, "learning_rate": 0.025},
}
_RANGES = {
    "size": (SMALLEST, LARGEST),
    "style_size": (SMALLEST, LARGEST),
    "steps": (1, 10**6),
    "jitter": (0, LARGEST),
    "seed": (0, 2**32 - 1),
}


def resolve(
    options: Mapping[str, Any],
    *,
    config: StylizeConfig | None = None,
    preset: str | None = None,
    own: Mapping[str, Any] | None = None,
) -> StylizeConfig:
    """Merges all sources of options; later ones take precedence: the defaults, the network's
    ``own`` preset (``config``, if given, replaces both), the named ``preset``, single ``options``.

    Raises:
      ValueError: an unknown preset or option (the nearest is suggested), or an invalid value.
    """
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"no preset {preset!r}{nearest(preset, PRESETS)}")
    base = StylizeConfig().changed(**(own or {})) if config is None else config
    return base.changed(**{**PRESETS[preset or "default"], **options})


def _check(name: str, value: Any) -> Any:
    """The checked value as a plain Python value."""
    if name in _RANGES:
        if value is None and name == "style_size":
            return None
        return integer(name, value, *_RANGES[name])
    if name in ("style_taps", "content_taps"):
        return None if value is None else _tap_names(name, value)
    if name in TRACED:
        return None if value is None and name in PER_TAP else _weight(name, value)
    if name == "style_blend":
        return None if value is None else _shares(value)
    if name in _POSITIVE:
        array, zero = np.asarray(value), _POSITIVE[name]
        if array.shape or array.dtype.kind not in "iuf" or not (array > 0 or (zero and array == 0)):
            least = "non-negative" if zero else "positive"
            raise ValueError(f"{name} is {value!r}, needs a {least} number")
        return float(value)
    if name == "optimizer" or (value is None and name == "pseudo_gradient"):
        return value
    return one_of(name, value, _CHOICES[name])


_POSITIVE = {"clip": False, "residual_scale": True, "stroke_size": False}  # whether 0 is allowed
_CHOICES: dict[str, Any] = {
    "colors": Colors,
    "tile": (False, True),
    "init": Init,
    "parametrization": Parametrized,
    "statistics": Kind,
    "tv": Variation,
    "pooling": Pooling,
    "pseudo_gradient": PseudoGradient,
}


def _tap_names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{name} is {value!r}, needs a sequence of tap names")
    return tuple(map(str, value))


def _shares(value: Any) -> tuple[float, ...]:
    found = _weight("style_blend", value)
    if not isinstance(found, tuple) or np.ndim(found) != 1 or not sum(found):
        raise ValueError(f"style_blend is {value!r}, needs numbers that are not all 0")
    return found


def _weight(name: str, value: Any) -> Any:
    """The weight as a float or nested tuples of floats."""
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}, needs numbers") from None
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise ValueError(f"{name} is {value!r}, needs finite non-negative numbers")
    return _tuples(np.asarray(value, np.float64).tolist())


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
