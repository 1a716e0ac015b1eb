"""Variations: a few different settings of one picture, to choose from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bnnjax.nst.config import StylizeConfig
from bnnjax.options import integer

# Factors of weights; only traced options, so that all variations share one compiled step.
_FACTORS: dict[str, dict[str, float]] = {
    "as-it-is": {},
    "more-photograph": {"content_weight": 10.0, "learning_rate": 0.4},
    "more-painting": {"content_weight": 0.1, "learning_rate": 2.5},
    "fine-strokes": {},
    "large-motifs": {},
    "smooth": {"tv_weight": 80.0},
}
_BASES = {"fine-strokes": 0.25, "large-motifs": 4.0}  # ratio of the weights of successive taps


def variations(count: int, config: StylizeConfig, *, taps: int) -> dict[str, Mapping[str, Any]]:
    """The first ``count`` variations of a config: label → options that differ.

    Args:
      count: 1 to 6.
      config: the options.
      taps: the number of style taps, from shallow to deep.

    Raises:
      ValueError: there are not as many.
    """
    count = integer("variations", count, 1, len(_FACTORS))
    found: dict[str, Mapping[str, Any]] = {}
    for label, factors in list(_FACTORS.items())[:count]:
        options: dict[str, Any] = {
            name: np.asarray(getattr(config, name)) * factor for name, factor in factors.items()
        }
        if label in _BASES:
            options["style_tap_weights"] = _BASES[label] ** np.arange(taps)
        found[label] = options
    return found
