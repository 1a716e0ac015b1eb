"""The terms of the style transfer loss, one class each.

A term names the taps of the network that it needs. ``target`` measures photograph and painting once
before the optimisation, and ``loss`` compares the picture with that target in each step. Content
and style are relative to the norm of their target, so that one set of weights serves every
network and every tap.

To try a term of your own, write a class like these and pass an instance to `stylize_batch` as
``extra_terms={MyTerm(): weight}``.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from bnnjax.nst import regions
from bnnjax.nst.regions import Goal, Share
from bnnjax.nst.statistics import Kind, Statistics, Sums
from bnnjax.nst.windows import Window

Variation = Literal["squared", "absolute"]
Taps = Mapping[str, Array]  # name → feature map [h, w, C], and `LOGITS` → [num_classes] if any
LOGITS = "logits"
NEAR = 0.01  # a relative distance below which the style loss is quadratic


class Scene(NamedTuple):
    """The inputs of a stylization.

    Attributes:
      photograph: float32 [H, W, 3], sRGB in [0, 1].
      painting: float32 [h, w, 3], likewise.
      jitters: int32 [J, 2], the rows and columns by which a picture may be rolled.
      look: picture [H, W, 3] → the network's taps.
      shares: all paintings of a blend, with their masks; empty for the painting alone.
      regions: float32 [H, W] each, where the photograph is painted: none for everywhere, one for
        all paintings, or one for each of the shares.
    """

    photograph: Array
    painting: Array
    jitters: Array
    look: Callable[[Array], Taps]
    shares: tuple[Share, ...] = ()
    regions: tuple[Array, ...] = ()

    def goals(self, maps: Callable[[Array], Taps], kind: Kind) -> tuple[Goal, ...]:
        """What the statistics of these maps of the picture are compared with."""
        shares = self.shares or (Share(self.painting),)
        where = {"photograph": self.photograph, "jitters": self.jitters}
        return regions.goals(shares, self.regions, maps=maps, kind=kind, **where)


class Seen(NamedTuple):
    """The picture and its features in one step.

    Attributes:
      picture: float32 [H, W, 3] in [0, 1].
      taps: the network's taps for the picture rolled by the step's jitter.
      jitter: the index of that jitter in ``Scene.jitters``, a scalar.
    """

    picture: Array
    taps: Taps
    jitter: Array


@dataclasses.dataclass(frozen=True)
class Term:
    """One term; static and hashable. ``weights["NAME_weight"]`` is its weight in the sum.

    Subclasses are frozen dataclasses too; their fields, such as ``taps``, are set per instance.

    Attributes:
      name: the key of its values in the history; a class attribute.
      taps: the names of the network's taps that it needs, which are checked before the run.
    """

    name: ClassVar[str]
    taps: tuple[str, ...] = ()

    def target(self, scene: Scene) -> Any:
        """The target of the comparison, measured once: a pytree of arrays, empty by default."""
        del scene
        return ()

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        """The value of the term, a non-negative scalar."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Additive(Term):
    """A term that depends on its maps only through sums over positions.

    A picture that is too large to be seen at once is seen through windows, see `windows`. Its loss
    is computed from the sums over all of them. Other terms have no taps in such pictures.
    """

    def sums(self, window: Window, target: Any, weights: Mapping[str, Array]) -> dict[str, Any]:
        """What is summed over windows, by tap, for those taps that the window has."""
        raise NotImplementedError

    def of_sums(
        self, total: Mapping[str, Any], jitter: Array, target: Any, weights: Mapping[str, Array]
    ) -> Array:
        """The value of `loss`, given the sums over all windows by tap."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Content(Additive):
    """‖F − F̂‖² / ‖F̂‖² against the photograph's features; 0 for the photograph itself.

    The average over the taps is weighted by ``weights["content_tap_weights"]`` [taps].
    The target is measured at every jitter, so that artefacts of the strides' grid vary from step to
    step, in picture and target alike, and average out.
    """

    name: ClassVar[str] = "content"

    def target(self, scene: Scene) -> dict[str, Array]:
        def features(jitter: Array) -> dict[str, Array]:
            taps = scene.look(jnp.roll(scene.photograph, jitter, (0, 1)))
            return {tap: taps[tap] for tap in self.taps}

        return lax.map(features, scene.jitters)

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        if not self.taps:
            return jnp.zeros((), jnp.float32)
        each = [relative(seen.taps[tap], target[tap][seen.jitter]) for tap in self.taps]
        return _weighted_mean(each, weights["content_tap_weights"])

    def sums(self, window: Window, target: Any, weights: Mapping[str, Array]) -> dict[str, Array]:
        def squares(tap: str) -> Array:
            difference = window.taps[tap] - window.cut(tap, target[tap])
            return jnp.sum(window.own(tap)[..., None] * difference**2)

        return {tap: squares(tap) for tap in self.taps if tap in window.taps}

    def of_sums(
        self, total: Mapping[str, Array], jitter: Array, target: Any, weights: Mapping[str, Array]
    ) -> Array:
        each = [_ratio(total[tap], target[tap][jitter]) for tap in self.taps]
        return _weighted_mean(each, weights["content_tap_weights"])


@dataclasses.dataclass(frozen=True)
class Style(Additive):
    """The distance to the painting's statistics; 0 for the painting itself.

    For "moments", it is ½ (‖Σ − Σ̂‖ / ‖Σ̂‖ + ‖μ − μ̂‖ / ‖μ̂‖), made smooth near 0. Without squares, a
    tap that is nearly matched keeps its pull, and one that cannot be matched does not outweigh all
    others. For "gram", it is ‖G − Ĝ‖² / ‖Ĝ‖², with squares as in Gatys et al. (CVPR 2016).

    With a strength below 1, the target lies between the photograph's statistics and the painting's.
    The average over the taps is weighted by ``weights["style_tap_weights"]`` [taps].
    """

    name: ClassVar[str] = "style"
    kind: Kind = "moments"

    def target(self, scene: Scene) -> tuple[Goal, ...]:
        def maps(picture: Array) -> Taps:
            taps = scene.look(picture)
            return {tap: taps[tap] for tap in self.taps}

        return scene.goals(maps, self.kind)

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        if not self.taps:
            return jnp.zeros((), jnp.float32)
        found = {
            tap: regions.measure(target, tap, seen.taps[tap], seen.jitter, kind=self.kind)
            for tap in self.taps
        }
        return self._compare(found, seen.jitter, target, weights)

    def sums(
        self, window: Window, target: Any, weights: Mapping[str, Array]
    ) -> dict[str, list[Sums]]:
        strength = weights["strength"]
        return {
            tap: regions.window_sums(target, tap, window, strength=strength, kind=self.kind)
            for tap in self.taps
            if tap in window.taps
        }

    def of_sums(
        self,
        total: Mapping[str, list[Sums]],
        jitter: Array,
        target: Any,
        weights: Mapping[str, Array],
    ) -> Array:
        strength = weights["strength"]
        found = {
            tap: regions.from_sums(target, tap, total[tap], strength=strength, kind=self.kind)
            for tap in self.taps
        }
        return self._compare(found, jitter, target, weights)

    def _compare(
        self,
        found: Mapping[str, list[Statistics]],
        jitter: Array,
        target: Any,
        weights: Mapping[str, Array],
    ) -> Array:
        options: Any = {"strength": weights["strength"], "compare": _COMPARE[self.kind]}
        each = [regions.distance(target, tap, found[tap], jitter, **options) for tap in self.taps]
        return _weighted_mean(each, weights["style_tap_weights"])


def _moments(found: Statistics, target: Statistics) -> Array:
    return (_unsquared(found.second, target.second) + _unsquared(found.mean, target.mean)) / 2


def _unsquared(found: Array, target: Array) -> Array:
    """√(`relative` + ε²) − ε, whose gradient is finite at 0."""
    return jnp.sqrt(relative(found, target) + NEAR**2) - NEAR


def _gram(found: Statistics, target: Statistics) -> Array:
    return relative(found.second, target.second)


_COMPARE: dict[Kind, Callable[[Statistics, Statistics], Array]] = {
    "moments": _moments,
    "gram": _gram,
}


def _weighted_mean(values: Sequence[Array], weights: Array) -> Array:
    return jnp.dot(weights, jnp.stack(values)) / jnp.sum(weights)


@dataclasses.dataclass(frozen=True)
class TotalVariation(Term):
    """`total_variation` of the picture, times the strength: a photograph is not smoothed."""

    name: ClassVar[str] = "tv"
    kind: Variation = "squared"
    around: bool = False  # whether the picture's edges meet

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        del target
        change = total_variation(seen.picture, self.kind, around=self.around)
        return weights["strength"] * change


@dataclasses.dataclass(frozen=True)
class Color(Term):
    """‖μ − μ̂‖² + 10 ‖Σ − Σ̂‖² of the RGB pixels' mean and covariance against the painting's.

    The value is absolute, because all colours share one scale; covariances are about a tenth as
    large as means.
    """

    name: ClassVar[str] = "color"

    def target(self, scene: Scene) -> tuple[Goal, ...]:
        # The first jitter is zero, as is that of the picture.
        still = scene._replace(jitters=scene.jitters[:1])
        return still.goals(lambda picture: {regions.PIXELS: picture}, "moments")

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        found = regions.measure(target, regions.PIXELS, seen.picture, 0, kind="moments")
        strength = weights["strength"]
        return regions.distance(
            target, regions.PIXELS, found, 0, strength=strength, compare=_difference
        )


def _difference(found: Statistics, target: Statistics) -> Array:
    means = jnp.sum((found.mean - target.mean) ** 2)
    return means + 10 * jnp.sum((found.second - target.second) ** 2)


def check_terms(terms: Any) -> Mapping[Term, Any]:
    """The additional terms of a caller with their weights.

    Raises:
      ValueError: they are not a mapping, or a key is not an instance of a `Term` with a name.
    """
    if not isinstance(terms, Mapping):
        raise ValueError(f"extra_terms is {terms!r}, needs a dict {{MyTerm(): weight}}")
    for term in terms:
        if not isinstance(term, Term):
            raise ValueError(
                f"extra_terms holds {term!r}, needs instances of bnnjax.nst.terms.Term"
            )
        if not hasattr(term, "name"):
            raise ValueError(f"{type(term).__name__} needs a class attribute `name`, a string")
    return terms


def relative(found: Array, target: Array) -> Array:
    """‖found − target‖² / ‖target‖², a scalar; 0 if the target is all zeros.

    Examples:
      >>> relative(jnp.array([3.0, 0.0]), jnp.array([1.0, 2.0])).item()  # (2² + 2²) / (1² + 2²)
      1.6...
    """
    return _ratio(jnp.sum((found - target) ** 2), target)


def _ratio(squares: Array, target: Array) -> Array:
    norm = jnp.sum(target**2)
    # A target of zeros (an unused mean, a black painting) must neither constrain nor divide.
    return jnp.where(norm > 0, squares / jnp.where(norm > 0, norm, 1), 0.0)


def total_variation(picture: Array, kind: Variation = "squared", *, around: bool = False) -> Array:
    """Mean squared ("squared") or absolute ("absolute") difference of neighbours, a scalar.

    Rows and columns are averaged separately and added. "absolute" is `tf.image.total_variation`,
    which the article uses, divided by the number of differences in each direction. With ``around``,
    the first row and column are neighbours of the last.

    Examples:
      >>> stripes = jnp.array([[[0.0], [0.5], [0.0]]] * 2)  # 2 rows, 3 columns, 1 channel
      >>> total_variation(stripes).item(), total_variation(stripes, "absolute").item()
      (0.25, 0.5)
    """
    size = jnp.square if kind == "squared" else jnp.abs
    if around:
        down, right = (jnp.roll(picture, -1, axis) - picture for axis in (0, 1))
    else:
        down, right = picture[1:] - picture[:-1], picture[:, 1:] - picture[:, :-1]
    return jnp.mean(size(down)) + jnp.mean(size(right))
