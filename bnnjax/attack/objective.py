"""Misclassification as an objective for `bnnjax.optimize`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.attack import losses, scaling
from bnnjax.models.network import Architecture, Variables

# Below every loss of a picture that has not fooled the network. The engine keeps the lowest loss,
# and thereby an adversarial picture if there was one, whichever surrogate led to it.
_FOOLED = 1000.0


@dataclasses.dataclass(frozen=True)
class Misclassification:
    """The loss of one picture, which is lower by 1000 once the attack has succeeded.

    Attributes:
      architecture: of the network under attack.
      loss_name: "ce", "dlr", or "margin", which is for attacks without gradients.
      targeted: whether ``data["target"]`` is to be the decision, or anything but ``data["label"]``.
      rescue: whether saturated logits are scaled down in each step (the second half of NJS).
    """

    architecture: Architecture
    loss_name: str = "ce"
    targeted: bool = False
    rescue: bool = False

    def loss(
        self,
        variables: Variables,
        picture: Array,
        data: Any,
        weights: Mapping[str, Array],
        key: Array,
    ) -> tuple[Array, dict[str, Array]]:
        """See `bnnjax.optimize.Objective`; ``data`` holds label, target and scale, all scalars."""
        del weights, key
        logits = self.architecture.apply(variables, picture[None])[0][0]
        label, target = data["label"], data["target"]
        lead = -losses.margin(logits, target) if self.targeted else losses.margin(logits, label)
        value = self._value(logits * data["scale"], label, target)
        chance = jax.nn.softmax(logits)[target if self.targeted else label]
        return jnp.where(lead < 0, value - _FOOLED, value), {"lead": lead, "chance": chance}

    def _value(self, logits: Array, label: Array, target: Array) -> Array:
        if self.rescue:
            logits = logits * scaling.rescue(logits, label)
        if self.loss_name == "margin":
            return -losses.margin(logits, target) if self.targeted else losses.margin(logits, label)
        if self.loss_name == "dlr":
            if self.targeted:
                return losses.targeted_dlr(logits, label, target)
            return losses.dlr(logits, label)
        if self.targeted:
            return losses.cross_entropy(logits, target)
        return -losses.cross_entropy(logits, label)
