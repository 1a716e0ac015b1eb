"""Learning from a teacher network: soft targets for the logits, hints for the taps.

Soft targets are those of Hinton et al. 2015 (arXiv 1503.02531), hints those of Romero et al. 2015
(FitNets, arXiv 1412.6550). The teacher sees the same augmented pictures as the student. Linear maps
from the student's taps to the teacher's are trained along with the student and discarded
afterwards, so the student gets none of the teacher's weights.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array, lax

from bnnjax.binary.backend import group_of
from bnnjax.models.network import Architecture

GROUP_BYTES = 2**21  # roughly the teacher's memory for a picture of 128 px


class Outputs(NamedTuple):
    """Logits [N, num_classes] and taps, name → [N, h, w, C]: the teacher's or predictions."""

    logits: Array
    taps: dict[str, Array]


def teacher_outputs(
    teacher: Architecture, variables: Mapping[str, Any], images: Array, *, taps: Sequence[str]
) -> Outputs:
    """The teacher's outputs for float pictures [N, H, W, 3] in [0, 1], without gradients.

    The pictures go through the teacher in groups that fit into the cache.
    """

    def group(images: Array) -> Outputs:
        logits, found = teacher.apply(variables, images)
        return Outputs(logits, {tap: found[tap] for tap in taps})

    size = group_of(images.shape[0], GROUP_BYTES)
    outputs = lax.map(group, images.reshape(-1, size, *images.shape[1:]))
    return jax.tree.map(lambda x: lax.stop_gradient(x.reshape(-1, *x.shape[2:])), outputs)


class HintMaps(nn.Module):
    """Linear maps from the student's taps to the teacher's taps and logits.

    Attributes:
      channels: the channels of each of the teacher's taps, by name.
      num_classes: the number of the teacher's logits.
      pooled_tap: the student's tap whose average over the picture predicts the logits.
    """

    channels: Mapping[str, int]
    num_classes: int
    pooled_tap: str

    @nn.compact
    def __call__(self, taps: Mapping[str, Array]) -> Outputs:
        """The teacher's outputs, predicted from the student's taps, name → [N, h, w, C]."""
        hints = {tap: self._map(width, tap)(taps[tap]) for tap, width in self.channels.items()}
        pooled = nn.relu(taps[self.pooled_tap]).mean(axis=(1, 2))
        return Outputs(self._map(self.num_classes, "logits")(pooled), hints)

    def _map(self, width: int, name: str) -> nn.Dense:
        # Zeros, so that at first only the maps learn: the student's gradient is zero.
        return nn.Dense(width, kernel_init=nn.initializers.zeros, name=name)


def hint_maps(
    student: Architecture, teacher: Architecture, *, taps: Sequence[str], sides: Sequence[int]
) -> HintMaps:
    """The maps between two networks that have these taps in common.

    Args:
      student: the network that learns.
      teacher: the network that it learns from.
      taps: the names of the taps to compare; the last one is pooled to predict the logits.
      sides: the sides of the square pictures that both will see, in pixels.

    Raises:
      ValueError: the teacher has no logits, a network lacks a tap, a tap differs in height or width
        between the two, or a network does not accept pictures of these sides.
    """
    for side in sides:
        logits, targets = shapes_at(teacher, side)
        _, own = shapes_at(student, side)
        if logits is None:
            raise ValueError(f"{teacher.entry.name} cannot be a teacher: it has no logits")
        _check_tap_names("student", student, own, taps)
        _check_tap_names("teacher", teacher, targets, taps)
        for tap in taps:
            if own[tap].shape[:-1] != targets[tap].shape[:-1]:
                raise ValueError(
                    f"hint_taps: at {side} px {tap} has shape {own[tap].shape[1:]} in the student "
                    f"and {targets[tap].shape[1:]} in the teacher; need the same height and width"
                )
    channels = {tap: targets[tap].shape[-1] for tap in taps}
    return HintMaps(channels, logits.shape[-1], taps[-1])


def _check_tap_names(
    role: str, architecture: Architecture, found: Mapping[str, Any], taps: Sequence[str]
) -> None:
    if missing := [tap for tap in taps if tap not in found]:
        raise ValueError(
            f"hint_taps: the {role} {architecture.entry.name} has no tap {', '.join(missing)}; "
            f"it has {', '.join(found)}"
        )


def shapes_at(architecture: Architecture, side: int) -> tuple[Any, dict[str, Any]]:
    """Logits (None without) and taps as `jax.ShapeDtypeStruct`, for one picture of this side."""
    picture = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    return jax.eval_shape(architecture.apply, architecture.latent_shapes(), picture)


def soft_loss(predicted: Outputs, targets: Outputs) -> Array:
    """Mean Kullback-Leibler divergence of predicted from target probabilities, in nats."""
    log_predicted, log_targets = (jax.nn.log_softmax(x.logits) for x in (predicted, targets))
    return optax.losses.kl_divergence_with_log_targets(log_predicted, log_targets).mean()


def hint_loss(predicted: Outputs, targets: Outputs) -> Array:
    """The fraction of the taps' variance that is unexplained, averaged over the taps."""
    shares = []
    for tap, target in targets.taps.items():
        variance = jnp.sum((target - target.mean((0, 1, 2))) ** 2)
        shares.append(jnp.sum((predicted.taps[tap] - target) ** 2) / variance)
    return jnp.stack(shares).mean()
