"""Pictures in the style of a painting that a classifier mistakes, without a ball around them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.attack.config import AttackConfig
from bnnjax.models.network import Network
from bnnjax.nst.stylize import stylize_batch
from bnnjax.nst.terms import LOGITS, Scene, Seen, Term


@dataclasses.dataclass(frozen=True)
class Classified(Term):
    """−log of the probability of a class, or, without one, of all but the photograph's.

    It is 0 once the network is certain of the class, or that it is not the photograph's.
    """

    name: ClassVar[str] = "classifier"
    class_index: int | None = None

    def target(self, scene: Scene) -> Array:
        """The class to reach, or the photograph's own, to leave."""
        if self.class_index is not None:
            return jnp.asarray(self.class_index, jnp.int32)
        return jnp.argmax(scene.look(scene.photograph)[LOGITS]).astype(jnp.int32)

    def loss(self, seen: Seen, target: Array, weights: Mapping[str, Array]) -> Array:
        del weights
        logits = seen.taps[LOGITS]
        if self.class_index is not None:
            return -jax.nn.log_softmax(logits)[target]
        own = jnp.arange(logits.shape[0]) == target
        others = jax.nn.logsumexp(jnp.where(own, -jnp.inf, logits))
        return jax.nn.logsumexp(logits) - others


class Stylized(NamedTuple):
    """Photographs and what became of them, uint8 [H, W, 3] each."""

    names: list[str]
    photographs: list[np.ndarray]
    pictures: list[np.ndarray]
    interrupted: bool


def style_attack(
    images: Any,
    styles: Any,
    network: Network,
    config: AttackConfig,
    class_index: int | None,
    side: int,
    *,
    progress: bool,
    snapshots: str | Path | None,
    options: Mapping[str, Any],
) -> Stylized:
    """Stylizes pictures under an additional loss term of the classifier.

    The shorter side is 8/7 of the classifier's, so that it judges the central square of the result
    without resampling it.
    """
    own = network.architecture.options
    clip = float("inf") if own.clip is None else own.clip
    defaults = {"size": side * 8 // 7, "steps": config.updates, "seed": config.seed}
    result = stylize_batch(
        images,
        styles,
        model=network,
        extra_terms={Classified(class_index=class_index): config.classifier_weight},
        progress=progress,
        snapshots=snapshots,
        **{**defaults, "pseudo_gradient": own.pseudo_gradient, "clip": clip, **options},
    )
    photographs = [result.photographs[pair.content].cropped for pair in result.pairs]
    before, after = (
        [np.rint(picture * 255).astype(np.uint8) for picture in pictures]
        for pictures in (photographs, result.images)
    )
    return Stylized(result.names, before, after, result.interrupted)
