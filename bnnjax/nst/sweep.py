"""Sweeps: every pair of pictures with every combination of some weights."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnnjax.nst.config import PER_TAP, TRACED, StylizeConfig
from bnnjax.nst.inputs import FreeNames, Pair
from bnnjax.nst.variations import variations
from bnnjax.options import nearest


def spread(
    pairs: Sequence[Pair],
    config: StylizeConfig,
    sweep: Mapping[str, Sequence[float]],
    *,
    count: int | None = None,
    taps: int = 1,
) -> tuple[list[Pair], StylizeConfig]:
    """Every pair with every combination of settings, and a config with the settings of each.

    Args:
      pairs, config: what is painted, and how.
      sweep: the values to try, by the name of an option.
      count: the number of `variations` to make in place of a sweep, if any.
      taps: the number of style taps.

    Raises:
      ValueError: an option that cannot be swept, or both a sweep and variations.
    """
    if count is not None:
        if sweep:
            raise ValueError("a sweep has settings of its own; leave out variations")
        return _varied(pairs, config, variations(count, config, taps=taps))
    for name in sweep:
        able = [option for option in TRACED if option not in PER_TAP]
        if name not in able:
            raise ValueError(f"no sweep over {name!r}{nearest(name, able)}")
    if not sweep:
        return list(pairs), config
    settings = list(itertools.product(*(_tried(*item, config) for item in sweep.items())))
    labels = [",".join(f"{n}={v:g}" for n, v in zip(sweep, s, strict=True)) for s in settings]
    swept: list[Pair] = []
    free = FreeNames()
    for pair, label in itertools.product(pairs, labels):
        name = free.take(f"{pair.name}__{label}")
        swept.append(pair._replace(name=name, setting=label))
    per_picture: dict[str, Any] = {}
    for name in TRACED:
        value, depth = getattr(config, name), name in PER_TAP
        if np.ndim(value) > depth:  # one per pair
            per_picture[name] = np.repeat(np.asarray(value), len(settings), axis=0)
    for place, name in enumerate(sweep):
        per_picture[name] = [setting[place] for setting in settings] * len(pairs)
    return swept, config.changed(**per_picture)


def _varied(
    pairs: Sequence[Pair], config: StylizeConfig, settings: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Pair], StylizeConfig]:
    varied = [
        pair._replace(name=f"{pair.name}__{label}", setting=label)
        for pair in pairs
        for label in settings
    ]
    changed: dict[str, Any] = {}
    for name in {name for options in settings.values() for name in options}:
        base = getattr(config, name)
        values = [options.get(name, base) for options in settings.values()]
        if name in PER_TAP:
            width = max(np.size(value) for value in values)
            values = [np.ones(width) if value is None else value for value in values]
        changed[name] = [
            value[number] if np.ndim(value) > (name in PER_TAP) else value
            for number in range(len(pairs))
            for value in values
        ]
    for name in TRACED:
        value = getattr(config, name)
        if name not in changed and np.ndim(value) > (name in PER_TAP):
            changed[name] = np.repeat(np.asarray(value), len(settings), axis=0)
    return varied, config.changed(**changed)


def _tried(name: str, values: Any, config: StylizeConfig) -> tuple[float, ...]:
    """The checked values of an option in a sweep."""
    found = getattr(config.changed(**{name: values}), name)
    if np.ndim(found) != 1 or not found:
        raise ValueError(f"the sweep over {name} is {values!r}, needs a sequence of numbers")
    return tuple(found)
