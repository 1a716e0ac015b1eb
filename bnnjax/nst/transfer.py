"""Style transfer as an objective for `bnnjax.optimize`: a network and a tuple of terms."""

import dataclasses
import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.models.network import Architecture, Network
from bnnjax.nst import windows
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.ensemble import Ensemble, Members
from bnnjax.nst.regions import Share, confine, union
from bnnjax.nst.terms import (
    LOGITS,
    Additive,
    Color,
    Content,
    Scene,
    Seen,
    Style,
    Taps,
    Term,
    TotalVariation,
)
from bnnjax.nst.windows import Window, Windows
from bnnjax.options import nearest

JITTERS = 32  # per run: enough to average the strides' grid out, few enough to store
FEW_JITTERS = 8  # in divided pictures, whose maps are large


@dataclasses.dataclass(frozen=True)
class StyleTransfer:
    """The loss of one picture: the weighted sum of the terms.

    Attributes:
      architecture: of the network, or of several.
      terms: the terms.
      shrinks: the network looks at the picture at its own size divided by each of these. The taps
        of a smaller picture are called TAP/SHRINK; its strokes are as much larger.
      windows: how large pictures are divided; None if none are.
    """

    architecture: Architecture | Members
    terms: tuple[Term, ...]
    shrinks: tuple[int, ...] = (1,)
    windows: Windows | None = None

    def loss(
        self,
        variables: Any,
        picture: Array,
        data: Any,
        weights: Mapping[str, Array],
        key: Array,
    ) -> tuple[Array, dict[str, Array]]:
        """See `bnnjax.optimize.Objective`; ``data`` comes from `measure`.

        The network sees the picture rolled by a jitter that the key selects.
        """
        if "region" in data:
            picture = confine(picture, data["photograph"], data["region"])
        index = jax.random.randint(key, (), 0, data["jitters"].shape[0], jnp.int32)
        if self.divides(picture.shape):
            rolled = windows.roll(picture, data["jitters"][index])
            total = self._total(variables, rolled, index, data, weights)
            seen = Seen(picture, {}, index)
        else:
            rolled = jnp.roll(picture, data["jitters"][index], (0, 1))
            total, seen = {}, Seen(picture, self._look(variables, rolled), index)
        terms = {}
        for term in self.terms:
            target = data["targets"][term.name]
            if isinstance(term, Additive) and term.name in total:
                terms[term.name] = term.of_sums(total[term.name], index, target, weights)
            else:
                terms[term.name] = term.loss(seen, target, weights)
        weighted = (weights[f"{name}_weight"] * value for name, value in terms.items())
        return sum(weighted, start=jnp.zeros((), jnp.float32)), terms

    def looking(self, shrinks: tuple[int, ...]) -> "StyleTransfer":
        """The same loss with other ``shrinks``; style and content are averaged over all of them.

        Their tap weights must be repeated for each.
        """

        def scaled(term: Term) -> Term:
            if not isinstance(term, Content | Style):
                return term
            taps = tuple(_scaled(tap, shrink) for shrink in shrinks for tap in term.taps)
            return dataclasses.replace(term, taps=taps)

        return dataclasses.replace(self, terms=tuple(map(scaled, self.terms)), shrinks=shrinks)

    def in_windows(self) -> "StyleTransfer":
        """The same loss, which sees pictures that are large through windows.

        It is unchanged if the network has no limited reach, or a term needs whole maps.
        """
        taps = {tap for term in self.terms for tap in term.taps}
        additive = all(isinstance(term, Additive) or not term.taps for term in self.terms)
        margin = self.architecture.reach(tuple(sorted(taps))) if additive else None
        if margin is None:
            return self
        found = Windows(margin, self.architecture.stride, windows.MOST, windows.LONGEST)
        return dataclasses.replace(self, windows=found)

    def divides(self, shape: tuple[int, ...]) -> bool:
        """Whether pictures of this shape, [H, W, 3], are seen through windows."""
        return self.windows is not None and self.windows.divide(shape)

    @partial(jax.jit, static_argnums=0)
    def measure(
        self,
        variables: Any,
        photograph: Array,
        painting: Array,
        jitters: Array,
        shares: tuple[Share, ...] = (),
        regions: tuple[Array, ...] = (),
        known: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The targets of all terms, as the data of one picture.

        Args:
          variables: the network's variables.
          photograph: float32 [H, W, 3], sRGB in [0, 1].
          painting: float32 [h, w, 3], likewise.
          jitters: int32 [J, 2] from `random_jitters`.
          shares, regions: see `Scene`.
          known: the targets that the caller has already, by the names of their terms.
        """
        look, targets = partial(self._look, variables), dict(known or {})
        scene = Scene(photograph, painting, jitters, look, shares, regions)
        targets |= {t.name: t.target(scene) for t in self.terms if t.name not in targets}
        data = {"jitters": jitters, "targets": targets}
        if regions:
            data |= {"photograph": photograph, "region": union(regions)}
        return data

    def _look(self, variables: Any, picture: Array) -> Taps:
        found: dict[str, Array] = {}
        for shrink in self.shrinks:
            found |= self._glance(variables, shrink, _shrunk(picture, shrink))
        return found

    def _glance(self, variables: Any, shrink: int, picture: Array) -> Taps:
        """The taps of a picture that has been shrunk already."""
        logits, taps = self.architecture.apply(variables, picture[None])
        found = {_scaled(name, shrink): tap[0] for name, tap in taps.items()}
        return found if shrink > 1 or logits is None else {**found, LOGITS: logits[0]}

    def _total(
        self, variables: Any, picture: Array, jitter: Array, data: Any, weights: Any
    ) -> dict[str, dict[str, Any]]:
        """The sums of a picture that is divided into windows: by term, then by tap."""
        assert self.windows is not None
        found: dict[str, dict[str, Any]] = {term.name: {} for term in self._additive}
        operands = variables, jitter, data["targets"], weights
        for shrink in self.shrinks:
            shrunk = _shrunk(picture, shrink)
            sums = partial(self._sums, shrink)
            for name, by_tap in windows.total(sums, self.windows, shrunk, operands).items():
                found[name] |= by_tap
        return found

    def _sums(
        self, shrink: int, operands: Any, pixels: Array, place: Array
    ) -> dict[str, dict[str, Any]]:
        """The sums of one window of a picture."""
        variables, jitter, targets, weights = operands
        taps = self._glance(variables, shrink, pixels)
        window = Window(taps, place, (pixels.shape[0], pixels.shape[1]), jitter)
        return {t.name: t.sums(window, targets[t.name], weights) for t in self._additive}

    @property
    def _additive(self) -> list[Additive]:
        return [term for term in self.terms if isinstance(term, Additive) and term.taps]


def _shrunk(picture: Array, factor: int) -> Array:
    """The picture [H, W, 3] at a fraction of its size, by averaging blocks of pixels."""
    if factor == 1:
        return picture
    height, width = (side // factor for side in picture.shape[:2])
    whole = picture[: height * factor, : width * factor]
    return whole.reshape(height, factor, width, factor, 3).mean((1, 3))


def _scaled(tap: str, shrink: int) -> str:
    return tap if shrink == 1 else f"{tap}/{shrink}"


def random_jitters(key: Array, *, reach: int) -> Array:
    """Random jitters int32 [J, 2]: rows and columns in −reach … reach; the first is zero."""
    count = JITTERS if reach else 1
    jitters = jax.random.randint(key, (count, 2), -reach, reach + 1, jnp.int32)
    return jitters.at[0].set(0)


class _Optional(Protocol):
    def with_options(self, **changes: Any) -> Self: ...


_Looking = TypeVar("_Looking", bound=_Optional)


def configured(network: _Looking, config: StylizeConfig) -> _Looking:
    """The network or ensemble with the options of the config."""
    clip = None if np.isinf(config.clip) else config.clip
    own = {} if config.pseudo_gradient is None else {"pseudo_gradient": config.pseudo_gradient}
    return network.with_options(
        pooling=config.pooling, residual_scale=config.residual_scale, clip=clip, **own
    )


def make_objective(
    network: Network | Ensemble, config: StylizeConfig, *, extra: tuple[Term, ...] = ()
) -> StyleTransfer:
    """The objective of a stylization; it uses the network's own taps if the config names none.

    Raises:
      ValueError: an unknown tap (the nearest is suggested), no taps at all where the network has
        none of its own, or two terms with the same name.
    """
    own = network.style
    style = _taps("style_taps", config.style_taps, own.style_taps, network)
    content = _taps("content_taps", config.content_taps, own.content_taps, network)
    terms: tuple[Term, ...] = (
        Content(content),
        Style(style, config.statistics),
        TotalVariation(kind=config.tv, around=config.tile),
        Color(),
        *extra,
    )
    for tap in itertools.chain.from_iterable(term.taps for term in terms):
        if tap not in network.taps:
            raise ValueError(f"{network.name} has no tap {tap!r}{nearest(tap, network.taps)}")
    names = [term.name for term in terms]
    if len({*names}) < len(names):
        raise ValueError(f"terms are called {', '.join(names)}, need unique names")
    return StyleTransfer(network.architecture, terms)


def _taps(
    name: str, chosen: tuple[str, ...] | None, own: tuple[str, ...], network: Network | Ensemble
) -> tuple[str, ...]:
    if chosen is None and not own:
        raise ValueError(
            f"{network.name} has no {name} of its own; choose some of its taps "
            f"({', '.join(network.taps)}), or () for none"
        )
    return own if chosen is None else chosen
