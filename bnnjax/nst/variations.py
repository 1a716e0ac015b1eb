"""Variations: a few different settings of one picture, to choose from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from bnnjax.nst.config import StylizeConfig
from bnnjax.options import integer

# Only traced options, so that all variations share one compiled step.
_OPTIONS: dict[str, dict[str, float]] = {
    "as-it-is": {},
    "more-photograph": {"strength": 0.5},
    "more-painting": {"strength": 1.4},
    "fine-strokes": {},
    "large-motifs": {},
    "smooth": {},
}
_SMOOTHER = 80.0  # factor of the weight of total variation
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
    count = integer("variations", count, 1, len(_OPTIONS))
    found: dict[str, Mapping[str, Any]] = {}
    for label, own in list(_OPTIONS.items())[:count]:
        options: dict[str, Any] = dict(own)
        if label == "smooth":
            options["tv_weight"] = np.asarray(config.tv_weight) * _SMOOTHER
        if label in _BASES:
            options["style_tap_weights"] = _BASES[label] ** np.arange(taps)
        found[label] = options
    return found
