"""Activation atlases, and pictures of single directions, after Carter et al. (Distill 2019)."""

from bnnjax.atlas.atlas import Atlas, Cell, activation_atlas
from bnnjax.atlas.channels import Visualization, visualize
from bnnjax.atlas.config import AtlasConfig, VisualizeConfig

__all__ = [
    "Atlas",
    "AtlasConfig",
    "Cell",
    "Visualization",
    "VisualizeConfig",
    "activation_atlas",
    "visualize",
]
