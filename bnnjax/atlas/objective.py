"""The objective of a visualisation: a direction in the space of a tap's channels."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.models.network import Architecture

LEAST_COSINE = 0.1  # keeps a gradient towards directions that the picture does not have at all
POWER = 4


@dataclasses.dataclass(frozen=True)
class Direction:
    """How far a picture's mean activation ā at a tap lies in a direction d: −(ā·d) max(.1, cos)ᵖ.

    The direction is the picture's data, ``{"direction": float32 [C]}``. The power p of the cosine
    between ā and d is 4 for an atlas (Carter et al., *Activation Atlas*, Distill 2019; Lucid's
    ``direction_neuron_cossim_S``) and 0 for a single channel, where long activations are welcome.
    Each step sees the picture under another random shift and scale.

    Attributes:
      architecture: the network's.
      tap: the name of the tap.
      power: the power p.
      jitter: the largest shift along each side, in pixels.
      zoom: the largest deviation of the scale from 1.
    """

    architecture: Architecture
    tap: str
    power: int = POWER
    jitter: int = 0
    zoom: float = 0.0

    def loss(
        self, variables: Any, picture: Array, data: Any, weights: Mapping[str, Array], key: Array
    ) -> tuple[Array, dict[str, Array]]:
        """The loss, and the ``response`` ā·d and the ``cosine`` between ā and d."""
        del weights
        moved = transform(picture, key, jitter=self.jitter, zoom=self.zoom)
        mean = mean_activation(self.architecture, variables, moved, tap=self.tap)
        direction = jnp.asarray(data["direction"], mean.dtype)
        response = mean @ direction
        # The bound keeps the gradient finite where a picture activates nothing.
        lengths = jnp.sqrt(jnp.maximum((mean @ mean) * (direction @ direction), 1e-12))
        cosine = response / lengths
        loss = -response * jnp.maximum(cosine, LEAST_COSINE) ** self.power
        return loss, {"response": response, "cosine": cosine}


def mean_activation(
    architecture: Architecture, variables: Any, picture: Array, *, tap: str
) -> Array:
    """The mean of a picture [H, W, 3] at a tap over all positions, [C]."""
    _, taps = architecture.apply(variables, picture[None])
    return taps[tap][0].mean((0, 1))


def transform(picture: Array, key: Array, *, jitter: int, zoom: float) -> Array:
    """A picture [H, W, 3] at a random scale about its centre, shifted by up to ``jitter`` px.

    The scale is at most 1 + ``zoom`` and at least the inverse, uniform in its logarithm. What comes
    into view from outside the picture is grey.
    """
    if not jitter and not zoom:
        return picture
    scale_key, shift_key = jax.random.split(key)
    scale = (1 + zoom) ** jax.random.uniform(scale_key, (), jnp.float32, -1, 1)
    shift = jax.random.uniform(shift_key, (2,), jnp.float32, -jitter, jitter)
    half = jnp.asarray(picture.shape[:2], jnp.float32) / 2
    # Outside the picture, the resampling finds zeros.
    moved = jax.image.scale_and_translate(
        picture - 0.5,
        picture.shape,
        (0, 1),
        jnp.stack([scale, scale]),
        half * (1 - scale) + shift,
        method="linear",
        antialias=False,
    )
    return moved + 0.5
