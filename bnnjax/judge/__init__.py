"""Measures of stylized pictures, by networks that did not make them."""

from bnnjax.judge.measures import Features, checker, grid_peaks, judge, vgg_features

__all__ = ["Features", "checker", "grid_peaks", "judge", "vgg_features"]
