"""Learning from a teacher network: soft targets for the logits, hints for the taps.

Soft targets are those of Hinton et al. 2015 (arXiv 1503.02531), hints those of Romero et al. 2015
(FitNets, arXiv 1412.6550). The teacher sees the same augmented pictures as the student. Linear maps
from the student's taps to the teacher's are trained along with the student and discarded
afterwards, so the student gets none of the teacher's weights. Several networks may teach together,
as an `Ensemble`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array, lax

from bnnjax.binary.backend import group_of
from bnnjax.models.network import Architecture, Network
from bnnjax.nst.ensemble import Ensemble, Members

GROUP_BYTES = 2**21  # roughly the teacher's memory for a picture of 128 px


class Outputs(NamedTuple):
    """Logits [N, num_classes], or None, and taps, name → [N, h, w, C]: the teacher's or
    predictions of them, which have the student's and the teacher's name."""

    logits: Array | None
    taps: dict[str, Array]


class Hint(NamedTuple):
    """A tap of the student and the tap of the teacher that a linear map of it is to predict."""

    student: str
    teacher: str

    @classmethod
    def read(cls, text: str) -> "Hint":
        """The hint "STUDENT_TAP=TEACHER_TAP", or "TAP" for taps of the same name."""
        student, _, teacher = text.partition("=")
        return cls(student, teacher or student)

    @property
    def name(self) -> str:
        """The name of its map."""
        return self.student if self.student == self.teacher else f"{self.student}={self.teacher}"


def teacher_outputs(
    teacher: Architecture | Members, variables: Any, images: Array, *, taps: Sequence[str]
) -> Outputs:
    """The teacher's outputs for float pictures [N, H, W, 3] in [0, 1], without gradients.

    The pictures go through the teacher in groups that fit into the cache. Each tap is divided by
    its standard deviation over all pictures, because the values of some networks are in the
    hundreds, which maps that begin as zeros would take long to reach.
    """

    def group(images: Array) -> Outputs:
        logits, found = teacher.apply(variables, images)
        return Outputs(logits, {tap: found[tap] for tap in taps})

    size = group_of(images.shape[0], GROUP_BYTES)
    outputs = lax.map(group, images.reshape(-1, size, *images.shape[1:]))
    logits, found = jax.tree.map(lambda x: lax.stop_gradient(x.reshape(-1, *x.shape[2:])), outputs)
    return Outputs(logits, {tap: x / jnp.std(x) for tap, x in found.items()})


class HintMaps(nn.Module):
    """Linear maps from the student's taps to the teacher's taps and logits.

    Attributes:
      channels: the channels of the teacher's tap, by hint.
      num_classes: the number of the teacher's logits; None if they are not predicted.
      pooled_tap: the student's tap whose average over the picture predicts the logits.
    """

    channels: Mapping[Hint, int]
    num_classes: int | None
    pooled_tap: str

    @nn.compact
    def __call__(self, taps: Mapping[str, Array]) -> Outputs:
        """The teacher's outputs, predicted from the student's taps, name → [N, h, w, C].

        The predictions have the names of their hints.
        """
        hints = {
            hint.name: self._map(width, hint.name)(taps[hint.student])
            for hint, width in self.channels.items()
        }
        if self.num_classes is None:
            return Outputs(None, hints)
        pooled = nn.relu(taps[self.pooled_tap]).mean(axis=(1, 2))
        return Outputs(self._map(self.num_classes, "logits")(pooled), hints)

    def _map(self, width: int, name: str) -> nn.Dense:
        # Zeros, so that at first only the maps learn: the student's gradient is zero.
        return nn.Dense(width, kernel_init=nn.initializers.zeros, name=name)


def hint_maps(
    student: Architecture,
    teacher: Network | Ensemble,
    *,
    hints: Sequence[Hint],
    sides: Sequence[int],
    soft: bool = True,
) -> HintMaps:
    """The maps between two networks.

    Args:
      student: the network that learns.
      teacher: the network that it learns from, or several.
      hints: the taps to compare; the student's tap of the last one is pooled to predict the logits.
      sides: the sides of the square pictures that both will see, in pixels.
      soft: whether the logits are to be predicted.

    Raises:
      ValueError: the teacher has no logits to predict, a network lacks a tap, two taps differ in
        height or width, or a network does not accept pictures of these sides.
    """
    for side in sides:
        _, own = shapes_at(student, side)
        logits, targets = _shapes(teacher.architecture, teacher.variables, side)
        if soft and logits is None:
            raise ValueError(f"{teacher.name} has no logits to learn from; use soft_weight=0")
        _check_tap_names("student", student.entry.name, own, [hint.student for hint in hints])
        _check_tap_names("teacher", teacher.name, targets, [hint.teacher for hint in hints])
        for hint in hints:
            mine, theirs = own[hint.student].shape[1:], targets[hint.teacher].shape[1:]
            if mine[:2] != theirs[:2]:
                raise ValueError(
                    f"hint_taps: at {side} px {hint.name} has shape {mine} in the student and "
                    f"{theirs} in the teacher; need the same height and width"
                )
    channels = {hint: targets[hint.teacher].shape[-1] for hint in hints}
    return HintMaps(channels, logits.shape[-1] if soft else None, hints[-1].student)


def _check_tap_names(
    role: str, network: str, found: Mapping[str, Any], taps: Sequence[str]
) -> None:
    if missing := [tap for tap in taps if tap not in found]:
        raise ValueError(
            f"hint_taps: the {role} {network} has no tap {', '.join(missing)}; "
            f"it has {', '.join(found)}"
        )


def shapes_at(architecture: Architecture, side: int) -> tuple[Any, dict[str, Any]]:
    """Logits (None without) and taps as `jax.ShapeDtypeStruct`, for one picture of this side."""
    return _shapes(architecture, architecture.latent_shapes(), side)


def _shapes(
    architecture: Architecture | Members, variables: Any, side: int
) -> tuple[Any, dict[str, Any]]:
    picture = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    found: tuple[Any, dict[str, Any]] = jax.eval_shape(architecture.apply, variables, picture)
    return found


def soft_loss(predicted: Array, targets: Array) -> Array:
    """Mean Kullback-Leibler divergence of predicted from target probabilities, in nats.

    Both are given as logits [N, num_classes].
    """
    log_predicted, log_targets = (jax.nn.log_softmax(logits) for logits in (predicted, targets))
    return optax.losses.kl_divergence_with_log_targets(log_predicted, log_targets).mean()


def hint_loss(predicted: Outputs, targets: Outputs) -> Array:
    """The fraction of the taps' variance that is unexplained, averaged over the hints."""
    shares = []
    for name, prediction in predicted.taps.items():
        target = targets.taps[Hint.read(name).teacher]
        variance = jnp.sum((target - target.mean((0, 1, 2))) ** 2)
        shares.append(jnp.sum((prediction - target) ** 2) / variance)
    return jnp.stack(shares).mean()
