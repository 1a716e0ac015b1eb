"""Everything that a training step changes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array

from bnnjax.layers import clip_weights


class TrainState(NamedTuple):
    """Step counter, parameters, batch statistics and the optimizer's state; a pytree."""

    step: Array
    params: Any
    batch_stats: Any
    opt_state: Any

    @classmethod
    def create(
        cls, params: Any, batch_stats: Any, optimizer: optax.GradientTransformation
    ) -> "TrainState":
        """The state before the first step."""
        return cls(jnp.int32(0), params, batch_stats, optimizer.init(params))

    def apply_gradients(
        self,
        gradients: Any,
        *,
        batch_stats: Any,
        optimizer: optax.GradientTransformation,
        weight_clips: Mapping[str, Any],
    ) -> "TrainState":
        """The state one step later: an update of the optimizer, then Larq's ``WeightClip``."""
        updates, opt_state = optimizer.update(gradients, self.opt_state, self.params)
        params = clip_weights(optax.apply_updates(self.params, updates), weight_clips)
        return TrainState(self.step + 1, params, batch_stats, opt_state)
