"""Learning from another network's outputs: soft targets, and hints inside.

Hinton et al. 2015 (arXiv 1503.02531) for the targets, Romero et al. 2015 (FitNets, arXiv 1412.6550)
for the hints. The teacher sees the very views that its pupil sees. Linear maps from the pupil's
taps to the teacher's are trained along and thrown away in the end: none of the teacher's weights
ever becomes one of the pupil's.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from bnnjax.binary.backend import group_of
from bnnjax.models.network import Architecture, Network

# Of QuickNets, pupil and teacher alike: the first convolution, the ends of stem and sections.
TAPS = ("stem_conv", "stem", "section1", "section2", "section3", "section4")
GROUP_BYTES = 2**21  # of a picture at 128 px through the teacher, about; sizes the groups


class Lesson(NamedTuple):
    """What the teacher says: ``logits`` [N, classes], ``taps`` name → [N, h, w, C]."""

    logits: Array
    taps: dict[str, Array]


def ask(teacher: Architecture, variables: Mapping[str, Any], views: Array) -> Lesson:
    """The teacher's outputs for float pictures [N, H, W, 3] in [0, 1], in groups of pictures."""

    def group(views: Array) -> Lesson:
        logits, taps = teacher.apply(variables, views)
        return Lesson(logits, {tap: taps[tap] for tap in TAPS})

    size = group_of(views.shape[0], GROUP_BYTES)
    lessons = lax.map(group, views.reshape(-1, size, *views.shape[1:]))
    return jax.tree.map(lambda x: lax.stop_gradient(x.reshape(-1, *x.shape[2:])), lessons)


class Translation(nn.Module):
    """The maps from the pupil's taps to the teacher's taps and logits."""

    channels: Mapping[str, int]
    classes: int

    @nn.compact
    def __call__(self, taps: Mapping[str, Array]) -> Lesson:
        """Guesses at the lesson from the pupil's taps."""
        maps = {tap: self._map(width, tap)(taps[tap]) for tap, width in self.channels.items()}
        pooled = nn.relu(taps[TAPS[-1]]).mean(axis=(1, 2))
        return Lesson(self._map(self.classes, "logits")(pooled), maps)

    def _map(self, width: int, name: str) -> nn.Dense:
        # From nothing, so that at first the teacher moves the maps and leaves the pupil alone.
        return nn.Dense(width, kernel_init=nn.initializers.zeros, name=name)


def translation(teacher: Network) -> Translation:
    """The maps to this teacher.

    Raises:
      ValueError: it has no classifier, or lacks a tap of `TAPS`.
    """
    missing = set(TAPS) - set(teacher.taps)
    if missing or teacher.architecture.num_classes is None:
        lacks = ", ".join(sorted(missing)) or "its classifier"
        raise ValueError(f"{teacher.entry.name} cannot teach: it lacks {lacks}")
    side = teacher.entry.sizes.stride
    _, taps = jax.eval_shape(teacher.apply, teacher.variables, jnp.zeros((1, side, side, 3)))
    channels = {tap: taps[tap].shape[3] for tap in TAPS}
    return Translation(channels, teacher.architecture.num_classes)


def soft_loss(guess: Lesson, lesson: Lesson) -> Array:
    """Mean divergence of the guessed from the taught probabilities, in nats."""
    taught = jax.nn.log_softmax(lesson.logits)
    guessed = jax.nn.log_softmax(guess.logits)
    return jnp.sum(jnp.exp(taught) * (taught - guessed), axis=1).mean()


def hint_loss(guess: Lesson, lesson: Lesson) -> Array:
    """Share of the taps' variance that the guesses leave unexplained, 0 to 1, mean over taps."""
    shares = []
    for tap, taught in lesson.taps.items():
        varies = jnp.sum((taught - taught.mean((0, 1, 2))) ** 2)
        shares.append(jnp.sum((guess.taps[tap] - taught) ** 2) / varies)
    return jnp.stack(shares).mean()
