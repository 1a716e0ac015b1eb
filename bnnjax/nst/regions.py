"""Which painting goes where: blends of several paintings, and masks.

Without masks, several paintings are blended into one target. With a region of the photograph for
each, every painting is compared with its own region (Gatys et al., CVPR 2017, section 4).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from bnnjax.nst.statistics import (
    Kind,
    Statistics,
    Sums,
    blend,
    of_sums,
    statistics,
    weighted_sums,
)
from bnnjax.nst.windows import Window

Maps = Mapping[str, Array]  # name → [h, w, C]
PIXELS = "pixels"  # the name of the picture itself


class Share(NamedTuple):
    """One of the paintings of a picture.

    Attributes:
      painting: float32 [h, w, 3], sRGB in [0, 1].
      weight: its share, a scalar; only the ratios of the shares count.
      mask: float32 [h, w] in [0, 1], where the painting is measured; everywhere if None.
    """

    painting: Array
    weight: Array | float = 1.0
    mask: Array | None = None


class Goal(NamedTuple):
    """What the maps of a picture, or of a region of it, are compared with.

    Attributes:
      own: the photograph's statistics, by the name of the map.
      statistics: those of the paintings, likewise.
      weight: the factor of this goal, a scalar.
      masks: the region at the size of each map and at each jitter, [J, h, w]; None for the whole.
    """

    own: dict[str, Statistics]
    statistics: dict[str, Statistics]
    weight: Array
    masks: dict[str, Array] | None

    def at(self, name: str, strength: Array | float) -> Statistics:
        """What a map is led to: the photograph's statistics at strength 0, the paintings' at 1."""
        ends = self.own[name], self.statistics[name]
        return jax.tree.map(lambda a, b: (1 - strength) * a + strength * b, *ends)


def goals(
    shares: Sequence[Share],
    regions: Sequence[Array],
    *,
    maps: Callable[[Array], Maps],
    kind: Kind,
    photograph: Array,
    jitters: Array,
) -> tuple[Goal, ...]:
    """The goals of a picture.

    Args:
      shares: the paintings.
      regions, photograph, jitters: see `Scene`.
      maps: picture [H, W, 3] → the maps to be measured, by name.
      kind: see `statistics`.
    """
    found = []
    for share in shares:
        seen = maps(share.painting)
        found.append({n: statistics(x, kind, _fit(share.mask, x)) for n, x in seen.items()})
    weights = jnp.stack([jnp.asarray(share.weight, jnp.float32) for share in shares])
    seen = maps(photograph)
    masks = [_masks(region, jitters, seen) for region in regions]
    own = [{n: statistics(x, kind, mask[n][0]) for n, x in seen.items()} for mask in masks]
    if len(regions) > 1:
        return tuple(map(Goal, own, found, weights / jnp.mean(weights), masks))
    blended = {name: blend([each[name] for each in found], weights) for name in found[0]}
    one = jnp.ones((), jnp.float32)
    if regions:
        return (Goal(own[0], blended, one, masks[0]),)
    return (Goal({n: statistics(x, kind) for n, x in seen.items()}, blended, one, None),)


def measure(
    goals: Sequence[Goal], name: str, features: Array, jitter: Array | int, *, kind: Kind
) -> list[Statistics]:
    """What `distance` compares: the statistics of a map in the region of each goal."""
    masks = (None if goal.masks is None else goal.masks[name][jitter] for goal in goals)
    return [statistics(features, kind, mask) for mask in masks]


def window_sums(
    goals: Sequence[Goal], name: str, window: Window, *, strength: Array, kind: Kind
) -> list[Sums]:
    """A window's share in what `from_sums` makes of the sums over all windows."""
    own = window.own(name)
    masks = (None if goal.masks is None else window.cut(name, goal.masks[name]) for goal in goals)
    weights = (own if mask is None else own * mask for mask in masks)
    centres = _centres(goals, name, strength, kind)
    return [weighted_sums(window.taps[name], *each) for each in zip(weights, centres, strict=True)]


def from_sums(
    goals: Sequence[Goal], name: str, total: Sequence[Sums], *, strength: Array, kind: Kind
) -> list[Statistics]:
    """`measure` of a whole map, from the sums over its windows."""
    pairs = zip(total, _centres(goals, name, strength, kind), strict=True)
    return [of_sums(found, centre, kind) for found, centre in pairs]


def _centres(goals: Sequence[Goal], name: str, strength: Array, kind: Kind) -> list[Array]:
    # The means of "gram" are zero, and so are its centres.
    return [goal.at(name, strength).mean for goal in goals]


def distance(
    goals: Sequence[Goal],
    name: str,
    found: Sequence[Statistics],
    jitter: Array | int,
    *,
    strength: Array,
    compare: Callable[[Statistics, Statistics], Array],
) -> Array:
    """The sum of a map's distances to the goals, a scalar.

    Each region counts by its area, so that it is painted as strongly as without a mask.
    """

    def to(goal: Goal, own: Statistics) -> Array:
        compared = compare(own, goal.at(name, strength))
        if goal.masks is None:
            return compared
        return goal.weight * jnp.mean(goal.masks[name][jitter]) * compared

    first, *others = map(to, goals, found)
    return sum(others, start=first)


def confine(picture: Array, photograph: Array, mask: Array) -> Array:
    """The picture where the mask [H, W] is 1, the photograph where it is 0."""
    return photograph + mask[..., None] * (picture - photograph)


def union(regions: Sequence[Array]) -> Array:
    """Where anything is painted, [H, W]."""
    return jnp.clip(sum(regions, start=jnp.zeros((), jnp.float32)), 0, 1)


def _masks(region: Array, jitters: Array, like: Maps) -> dict[str, Array]:
    def rolled(jitter: Array) -> dict[str, Array | None]:
        moved = jnp.roll(region, jitter, (0, 1))
        return {name: _fit(moved, features) for name, features in like.items()}

    return lax.map(rolled, jitters)


def _fit(mask: Array | None, features: Array) -> Array | None:
    """The mask at the size of a map [h, w, C]."""
    if mask is None or mask.shape == features.shape[:2]:
        return mask
    return jnp.clip(jax.image.resize(mask, features.shape[:2], "linear"), 0, 1)
