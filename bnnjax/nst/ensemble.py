"""Several networks that look at one picture together, in one loss.

Networks differ in what they notice, and the statistics of all of them say more about a painting
than those of each.
"""

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jax import Array

from bnnjax.models.entry import Style
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.port.load import load_model


@dataclasses.dataclass(frozen=True)
class Members:
    """The static half of an ensemble; hashable."""

    names: tuple[str, ...]
    architectures: tuple[Architecture, ...]

    def apply(
        self, variables: Sequence[Variables], images: Array
    ) -> tuple[Array | None, dict[str, Array]]:
        """The logits of the first member that has any, and the taps of all, NAME:TAP each.

        See `Architecture.apply`.
        """
        first: Array | None = None
        found: dict[str, Array] = {}
        members = zip(self.names, self.architectures, variables, strict=True)
        for name, architecture, own in members:
            logits, taps = architecture.apply(own, images)
            first = logits if first is None else first
            found |= {f"{name}:{tap}": values for tap, values in taps.items()}
        return first, found

    @property
    def stride(self) -> int:
        """The least common multiple of the networks' strides."""
        return math.lcm(*(architecture.stride for architecture in self.architectures))

    def reach(self, taps: tuple[str, ...]) -> int | None:
        """How far a pixel influences these taps at most; see `Architecture.reach`."""
        found = []
        for name, architecture in zip(self.names, self.architectures, strict=True):
            own = (tap.split(":", 1) for tap in taps)
            found.append(architecture.reach(tuple(tap for owner, tap in own if owner == name)))
        known = [distance for distance in found if distance is not None]
        return max(known) if len(known) == len(found) else None


@dataclasses.dataclass(frozen=True, eq=False)
class Ensemble:
    """Networks that see the same picture; stands where style transfer takes a `Network`.

    Its taps are called NETWORK:TAP, and style and content are averaged over the taps of all
    networks. Other options of a preset are those of the first network.
    """

    networks: tuple[Network, ...]

    @property
    def name(self) -> str:
        """The names of the networks, separated by commas."""
        return ",".join(network.name for network in self.networks)

    @property
    def architecture(self) -> Members:
        """The static half."""
        names = tuple(network.name for network in self.networks)
        return Members(names, tuple(network.architecture for network in self.networks))

    @property
    def variables(self) -> tuple[Variables, ...]:
        """The variables of all networks."""
        return tuple(network.variables for network in self.networks)

    def laid_out(self) -> tuple[Variables, ...]:
        """The variables laid out for gradients, see `Network.laid_out`."""
        return tuple(network.laid_out() for network in self.networks)

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all taps."""
        return tuple(f"{network.name}:{tap}" for network in self.networks for tap in network.taps)

    @property
    def style(self) -> Style:
        """The defaults of all networks for style transfer."""
        style, content = (
            tuple(f"{n.name}:{tap}" for n in self.networks for tap in getattr(n.style, kind))
            for kind in ("style_taps", "content_taps")
        )
        return Style(style, content, self.networks[0].style.preset)

    @property
    def stride(self) -> int:
        """The least common multiple of the networks' strides."""
        return self.architecture.stride

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Name of each network → where its weights come from."""
        return {network.name: dict(network.provenance) for network in self.networks}

    @property
    def source(self) -> str:
        """What `load_models` takes to load the same networks, without folders."""
        return ",".join(network.source for network in self.networks)

    def with_options(self, **changes: Any) -> "Ensemble":
        """The same networks with some options changed; see `Network.with_options`."""
        return Ensemble(tuple(network.with_options(**changes) for network in self.networks))


Model = str | Path | Network | Ensemble | Sequence[str | Path | Network] | None


def load_models(model: Model, *, preprocessing: str | None = None) -> Network | Ensemble:
    """One network, or several as an `Ensemble`.

    Args:
      model: what `load_model` takes; or several of these, as a sequence or separated by commas.
      preprocessing: see `load_model`; of all networks.

    Raises:
      ValueError: see `load_model`, or two networks have the same name.
    """
    if isinstance(model, str) and "," in model and not os.path.exists(os.path.expanduser(model)):
        model = model.split(",")
    if isinstance(model, Ensemble):
        if preprocessing is not None:
            raise ValueError(
                "loaded networks have their preprocessing; choose it when you load them"
            )
        return model
    if model is None or isinstance(model, str | Path | Network):
        return load_model(model, preprocessing=preprocessing)
    networks = tuple(load_model(one, preprocessing=preprocessing) for one in model)
    if len(networks) == 1:
        return networks[0]
    names = [network.name for network in networks]
    if not names or len({*names}) < len(names):
        raise ValueError(f"model names the networks {', '.join(names)}, needs different ones")
    return Ensemble(networks)
