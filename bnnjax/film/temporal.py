"""The term that ties a frame to its predecessor."""

import dataclasses
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jax import Array

from bnnjax.nst.terms import Scene, Seen, Term


class Before(NamedTuple):
    """What a frame is compared with.

    Attributes:
      picture: the painted predecessor, warped to the frame, float32 [H, W, 3] in [0, 1].
      trusted: 1 where it counts and 0 elsewhere, float32 [H, W], see `flow.trusted`.
    """

    picture: Array
    trusted: Array


@dataclasses.dataclass(frozen=True)
class Temporal(Term):
    """The mean of c (x − ω)², over all pixels and colours (Ruder et al. 2016, equation 7).

    x is the picture, ω its warped predecessor, and c where that can be trusted. The picture is not
    rolled by the jitter, which only the network sees.
    """

    name: ClassVar[str] = "temporal"

    def target(self, scene: Scene) -> Before:
        """No predecessor, as for a first frame; others are given as a known target."""
        return Before(scene.photograph, jnp.zeros(scene.photograph.shape[:2], jnp.float32))

    def loss(self, seen: Seen, target: Before, weights: Mapping[str, Array]) -> Array:
        del weights
        change = (seen.picture - target.picture) ** 2
        return jnp.mean(target.trusted[..., None] * change)
