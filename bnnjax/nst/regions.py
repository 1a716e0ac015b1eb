"""Which painting goes where: blends of several paintings, and masks.

Without masks, several paintings are blended into one target. With a region of the photograph for
each, every painting is compared with its own region (Gatys et al., CVPR 2017, section 4).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from bnnjax.nst.statistics import Kind, Statistics, blend, statistics

Maps = Mapping[str, Array]  # name → [h, w, C]


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
      statistics: those to be reached, by the name of the map.
      weight: the factor of this goal, a scalar.
      masks: the region at the size of each map and at each jitter, [J, h, w]; None for the whole.
    """

    statistics: dict[str, Statistics]
    weight: Array
    masks: dict[str, Array] | None


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
    like = jax.eval_shape(maps, photograph) if regions else {}
    masks = [_masks(region, jitters, like) for region in regions]
    if len(regions) > 1:
        return tuple(map(Goal, found, weights / jnp.mean(weights), masks))
    blended = {name: blend([each[name] for each in found], weights) for name in found[0]}
    return (Goal(blended, jnp.ones((), jnp.float32), masks[0] if masks else None),)


def distance(
    goals: Sequence[Goal],
    name: str,
    features: Array,
    jitter: Array | int,
    *,
    kind: Kind,
    compare: Callable[[Statistics, Statistics], Array],
) -> Array:
    """The sum of a map's distances to the goals, a scalar.

    Each region counts by its area, so that it is painted as strongly as without a mask.
    """

    def to(goal: Goal) -> Array:
        if goal.masks is None:
            return compare(statistics(features, kind), goal.statistics[name])
        mask = goal.masks[name][jitter]
        found = compare(statistics(features, kind, mask), goal.statistics[name])
        return goal.weight * jnp.mean(mask) * found

    first, *others = map(to, goals)
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
