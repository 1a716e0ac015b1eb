"""Activation atlases, and pictures of single directions, after Carter et al. (Distill 2019)."""

from bnnjax.atlas.atlas import Atlas, Cell, activation_atlas
from bnnjax.atlas.config import AtlasConfig, VisualizeConfig
from bnnjax.atlas.visualize import Visualization, visualize

__all__ = [
    "Atlas",
    "AtlasConfig",
    "Cell",
    "Visualization",
    "VisualizeConfig",
    "activation_atlas",
    "visualize",
]
