"""Style transfer as an objective for `bnnjax.optimize`: a network and a tuple of terms."""

import dataclasses
import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.regions import Share, confine, union
from bnnjax.nst.terms import (
    LOGITS,
    Color,
    Content,
    Scene,
    Seen,
    Style,
    Taps,
    Term,
    TotalVariation,
)
from bnnjax.options import nearest

JITTERS = 32  # per run: enough to average the strides' grid out, few enough to store


@dataclasses.dataclass(frozen=True)
class StyleTransfer:
    """The loss of one picture: the weighted sum of the terms."""

    architecture: Architecture
    terms: tuple[Term, ...]

    def loss(
        self,
        variables: Variables,
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
        rolled = jnp.roll(picture, data["jitters"][index], (0, 1))
        seen = Seen(picture, self._look(variables, rolled), index)
        terms = {
            term.name: term.loss(seen, data["targets"][term.name], weights) for term in self.terms
        }
        weighted = (weights[f"{name}_weight"] * value for name, value in terms.items())
        return sum(weighted, start=jnp.zeros((), jnp.float32)), terms

    @partial(jax.jit, static_argnums=0)
    def measure(
        self,
        variables: Variables,
        photograph: Array,
        painting: Array,
        jitters: Array,
        shares: tuple[Share, ...] = (),
        regions: tuple[Array, ...] = (),
    ) -> dict[str, Any]:
        """The targets of all terms, as the data of one picture.

        Args:
          variables: the network's variables.
          photograph: float32 [H, W, 3], sRGB in [0, 1].
          painting: float32 [h, w, 3], likewise.
          jitters: int32 [J, 2] from `random_jitters`.
          shares, regions: see `Scene`.
        """
        look = partial(self._look, variables)
        scene = Scene(photograph, painting, jitters, look, shares, regions)
        data = {"jitters": jitters, "targets": {t.name: t.target(scene) for t in self.terms}}
        if regions:
            data |= {"photograph": photograph, "region": union(regions)}
        return data

    def _look(self, variables: Variables, picture: Array) -> Taps:
        logits, taps = self.architecture.apply(variables, picture[None])
        found = {name: tap[0] for name, tap in taps.items()}
        return found if logits is None else {**found, LOGITS: logits[0]}


def random_jitters(key: Array, *, reach: int) -> Array:
    """Random jitters int32 [J, 2]: rows and columns in −reach … reach; the first is zero."""
    count = JITTERS if reach else 1
    jitters = jax.random.randint(key, (count, 2), -reach, reach + 1, jnp.int32)
    return jitters.at[0].set(0)


def configured(network: Network, config: StylizeConfig) -> Network:
    """The network with the options of the config."""
    pseudo_gradient = config.pseudo_gradient or network.architecture.options.pseudo_gradient
    clip = None if np.isinf(config.clip) else config.clip
    return network.with_options(
        pooling=config.pooling,
        residual_scale=config.residual_scale,
        pseudo_gradient=pseudo_gradient,
        clip=clip,
    )


def make_objective(
    network: Network, config: StylizeConfig, *, extra: tuple[Term, ...] = ()
) -> StyleTransfer:
    """The objective of a stylization; it uses the network's own taps if the config names none.

    Raises:
      ValueError: an unknown tap (the nearest is suggested), no taps at all where the network has
        none of its own, or two terms with the same name.
    """
    own = network.entry.style
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
    name: str, chosen: tuple[str, ...] | None, own: tuple[str, ...], network: Network
) -> tuple[str, ...]:
    if chosen is None and not own:
        raise ValueError(
            f"{network.name} has no {name} of its own; choose some of its taps "
            f"({', '.join(network.taps)}), or () for none"
        )
    return own if chosen is None else chosen
