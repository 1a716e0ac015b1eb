"""Trials: stylizations that differ in some settings, and what became of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bnnjax.images import load, read_metadata, save_png
from bnnjax.judge.measures import SMALLEST_SIDE, checker
from bnnjax.nst.config import TRACED, StylizeConfig
from bnnjax.nst.inputs import Pair
from bnnjax.nst.recipe import KEYWORD, Recipe
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.terms import total_variation

Setting = tuple[tuple[str, Any], ...]  # the names and values that distinguish it, hashable
FIGURES = "bnnjax-figures"  # of the text chunk in the PNG
_DEFAULTS = {name: getattr(StylizeConfig(), name) for name in TRACED}


class Trial(NamedTuple):
    """A picture to make: from this pair, with these options of a single picture."""

    pair: Pair
    setting: Setting
    config: StylizeConfig

    @property
    def name(self) -> str:
        """The stem of its file."""
        return "__".join(filter(None, (self.pair.name, label(self.setting))))


class Outcome(NamedTuple):
    """A trial's picture and its figures.

    Attributes:
      trial: what was asked for.
      picture: float32 [H, W, 3], sRGB in [0, 1].
      recipe: how it was made.
      losses: every term of the loss by name, unweighted, at the best step.
      judged: the measures of `bnnjax.judge`, if there was a judge.
      plain: measures of the pixels alone, see `of_pixels`.
      costs: those of the call that made it, see `costs`.
      diverged: the step where the loss was no longer finite, or None.
    """

    trial: Trial
    picture: np.ndarray
    recipe: Recipe
    losses: dict[str, float]
    judged: dict[str, float]
    plain: dict[str, float]
    costs: dict[str, float]
    diverged: int | None = None

    @property
    def measures(self) -> dict[str, float]:
        """The judge's, or else the losses of style and content, and those of the pixels."""
        own = {name: self.losses[name] for name in ("style", "content")}
        return {**(self.judged or own), **self.plain}

    def write(self, directory: Path) -> None:
        """Writes NAME.png with its recipe and its figures."""
        names = ("losses", "judged", "plain", "costs", "diverged")
        figures = {name: getattr(self, name) for name in names}
        text = {KEYWORD: self.recipe.to_json(), FIGURES: json.dumps(figures)}
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.trial.name}.png"
        save_png(path, self.picture, metadata=text, overwrite=True)

    @classmethod
    def read(cls, trial: Trial, path: Path) -> "Outcome":
        """Reads what `write` wrote.

        Raises:
          ValueError: the file is damaged, or was not written by a study.
        """
        text = read_metadata(path).get(FIGURES)
        if text is None:
            raise ValueError(f"{path}: was not made by a study; choose another directory")
        return cls(trial, load(path), Recipe.read(path), **json.loads(text))


def label(setting: Setting) -> str:
    """The setting as NAME=VALUE,… for names of files and for sheets."""
    return ",".join(f"{name}={shown(value)}" for name, value in setting)


def shown(value: Any) -> str:
    """A value of a setting as text; parts of a tuple are joined by +."""
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def of_pixels(picture: np.ndarray, painting: np.ndarray) -> dict[str, float]:
    """``variation``, the mean absolute difference of neighbours relative to the painting's, and
    ``checker`` (see `bnnjax.judge.checker`) of pictures that are large enough for it."""
    own, other = (total_variation(jnp.asarray(p), "absolute") for p in (picture, painting))
    found = {"variation": float(own / other)}
    if min(picture.shape[:2]) >= SMALLEST_SIDE:
        found["checker"] = float(checker(picture))
    return found


def costs(result: StylizeResult) -> dict[str, float]:
    """What the pictures of a call cost.

    Returns:
      ``ms_per_step``: milliseconds per step and picture; ``memory_mib``: XLA's estimate for the
      compiled step of the batch.
    """
    steps = sum(len(losses.get("total", ())) for losses in result.losses)
    return {
        "ms_per_step": 1000 * result.minimized.seconds["optimize"] / max(steps, 1),
        "memory_mib": result.minimized.estimated_memory / 2**20,
    }


def best_losses(history: Mapping[str, np.ndarray]) -> dict[str, float]:
    """All terms at the step with the lowest total loss; NaN if no step had a finite one."""
    total = history["total"]
    finite = np.where(np.isfinite(total), total, np.inf)
    step = int(finite.argmin())
    known = bool(np.isfinite(finite[step]))
    return {n: float(v[step]) if known else np.nan for n, v in history.items() if n != "total"}


def batches(trials: Iterable[Trial], size: int) -> Iterator[list[Trial]]:
    """Trials that one call of `stylize_batch` can make, at most ``size`` at a time.

    Their options differ in weights only.
    """
    groups: dict[StylizeConfig, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.config.changed(**_DEFAULTS), []).append(trial)
    for group in groups.values():
        yield from (group[first : first + size] for first in range(0, len(group), size))


def merged(configs: Sequence[StylizeConfig]) -> StylizeConfig:
    """One config for a batch: the weights of each picture, and the options that all share."""
    return configs[0].changed(**{name: _column(name, configs) for name in TRACED})


def _column(name: str, configs: Sequence[StylizeConfig]) -> Any:
    values = [getattr(config, name) for config in configs]
    given = [value for value in values if value is not None]
    if not given:
        return None
    equal = np.ones(np.shape(given[0])).tolist()  # what None means, as tap weights of one picture
    return [equal if value is None else value for value in values]
