"""The loss of one picture: taps against targets that are measured once, before the optimisation."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from bnnjax.models.network import Architecture, Variables
from bnnjax.nst import losses
from bnnjax.nst.config import LossWeights
from bnnjax.nst.losses import Statistics

TERMS = ("total", "content", "style", "tv", "color")


@dataclasses.dataclass(frozen=True)
class Objective:
    """The static half of what is minimised; hashable, a static argument of `jax.jit`.

    Attributes:
      architecture: the network looked through.
      style_taps, content_taps: names of its taps.
      statistics: "moments" or "gram", see `losses.statistics`.
      tv: "squared" or "absolute".
      parametrization: "pyramid" or "pixels".
      optimizer: see `optimize.make_optimizer`.
    """

    architecture: Architecture
    style_taps: tuple[str, ...]
    content_taps: tuple[str, ...]
    statistics: str
    tv: str
    parametrization: str
    optimizer: object


class Targets(NamedTuple):
    """What one picture is compared with (arrays; a leading axis a picture in a batch).

    ``content`` holds, for every content tap, the photograph's features at each of the shifts.
    """

    style: dict[str, Statistics]
    color: Statistics
    content: dict[str, Array]


def random_shifts(key: Array, *, count: int, reach: int) -> Array:
    """Shifts [count, 2] in pixels, rows and columns in −reach … reach, the first one zero."""
    shifts = jax.random.randint(key, (count, 2), -reach, reach + 1)
    return shifts.at[0].set(0)


def style_targets(
    objective: Objective, variables: Variables, painting: Array
) -> tuple[dict[str, Statistics], Statistics]:
    """Statistics of a painting [H, W, 3] at the style taps, and of its colours."""
    _, taps = objective.architecture.apply(variables, painting[None])
    style = {
        name: losses.statistics(taps[name][0], kind=objective.statistics)
        for name in objective.style_taps
    }
    return style, Statistics(*losses.mean_covariance(painting))


def content_targets(
    objective: Objective, variables: Variables, photograph: Array, shifts: Array
) -> dict[str, Array]:
    """Features of a photograph [H, W, 3] at the content taps, shifted: name → [shifts, h, w, C]."""

    def features(shift: Array) -> dict[str, Array]:
        shifted = jnp.roll(photograph, shift, (0, 1))
        _, taps = objective.architecture.apply(variables, shifted[None])
        return {name: taps[name][0] for name in objective.content_taps}

    return lax.map(features, shifts)


def _average(values: list[Array], weights: Array) -> Array:
    """Weighted mean; 0 of no values, not NaN."""
    return jnp.dot(weights, jnp.asarray(values)) / jnp.sum(weights) if values else jnp.zeros(())


def loss(
    objective: Objective,
    variables: Variables,
    picture: Array,
    targets: Targets,
    weights: LossWeights,
    shift: Array,
    shift_index: Array,
) -> tuple[Array, dict[str, Array]]:
    """The weighted sum for one picture [H, W, 3], and its terms (unweighted) by name.

    The picture is rolled by ``shift`` before the network sees it, and compared with the content
    target of the same shift: what the strides' grid favours differs from step to step and so
    averages out. Style is the mean over taps weighted by ``style_tap_weights``.
    """
    _, taps = objective.architecture.apply(variables, jnp.roll(picture, shift, (0, 1))[None])
    style = [
        losses.style_loss(
            losses.statistics(taps[name][0], kind=objective.statistics), targets.style[name]
        )
        for name in objective.style_taps
    ]
    content = [
        losses.content_loss(taps[name][0], targets.content[name][shift_index])
        for name in objective.content_taps
    ]
    terms = {
        "content": sum(content, start=jnp.zeros(())) / max(len(content), 1),
        "style": _average(style, jnp.asarray(weights.style_tap_weights)),
        "tv": losses.total_variation(picture, kind=objective.tv),
        "color": losses.color_loss(picture, targets.color),
    }
    total = sum(
        (getattr(weights, f"{name}_weight") * term for name, term in terms.items()),
        start=jnp.zeros(()),
    )
    return total, {"total": total, **terms}
