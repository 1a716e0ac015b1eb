"""Sweeps: every pair of pictures with every combination of some weights."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bnnjax.nst.config import PER_TAP, TRACED, StylizeConfig
from bnnjax.nst.inputs import Pair, unused
from bnnjax.options import nearest


def spread(
    pairs: Sequence[Pair], config: StylizeConfig, sweep: Mapping[str, Sequence[float]]
) -> tuple[list[Pair], StylizeConfig]:
    """Every pair with every combination of settings, and a config with the settings of each."""
    for name in sweep:
        able = [option for option in TRACED if option not in PER_TAP]
        if name not in able:
            raise ValueError(f"no sweep over {name!r}{nearest(name, able)}")
    if not sweep:
        return list(pairs), config
    settings = list(itertools.product(*(_tried(*item, config) for item in sweep.items())))
    labels = [",".join(f"{n}={v:g}" for n, v in zip(sweep, s, strict=True)) for s in settings]
    swept: list[Pair] = []
    taken: set[str] = set()
    for pair, label in itertools.product(pairs, labels):
        name = unused(f"{pair.name}__{label}", lambda stem: stem not in taken)
        taken.add(name)
        swept.append(pair._replace(name=name, setting=label))
    per_picture: dict[str, Any] = {}
    for name in TRACED:
        value, depth = getattr(config, name), name in PER_TAP
        if np.ndim(value) > depth:  # one per pair
            per_picture[name] = np.repeat(np.asarray(value), len(settings), axis=0)
    for place, name in enumerate(sweep):
        per_picture[name] = [setting[place] for setting in settings] * len(pairs)
    return swept, config.changed(**per_picture)


def _tried(name: str, values: Any, config: StylizeConfig) -> tuple[float, ...]:
    """The checked values of an option in a sweep."""
    found = getattr(config.changed(**{name: values}), name)
    if np.ndim(found) != 1 or not found:
        raise ValueError(f"the sweep over {name} is {values!r}, needs a sequence of numbers")
    return tuple(found)
