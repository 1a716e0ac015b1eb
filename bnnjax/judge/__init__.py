"""Measures of stylized pictures, by networks that did not make them."""

from bnnjax.judge.measures import Features, checker, judge, vgg_features

__all__ = ["Features", "checker", "judge", "vgg_features"]
