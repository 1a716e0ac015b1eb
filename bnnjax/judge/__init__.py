"""How good pictures are, measured by networks that they were not made through."""

from bnnjax.judge.measures import Features, checker, grid_peaks, judge, vgg_features

__all__ = ["Features", "checker", "grid_peaks", "judge", "vgg_features"]
