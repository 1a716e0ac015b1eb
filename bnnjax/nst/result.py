"""What a stylization gives back: pictures, losses, and what was run."""

import base64
import dataclasses
import html
import io
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from PIL import Image

from bnnjax.binary import backend
from bnnjax.models.network import Network
from bnnjax.nst.batch import Group
from bnnjax.nst.config import LossWeights, StylizeConfig
from bnnjax.nst.inputs import Canvas, Pair, Picture


@dataclasses.dataclass
class StylizeResult:
    """Stylized pictures in the order of their pairs; shows itself in a notebook.

    Attributes:
      estimated_memory: of the run, in bytes, by XLA's analysis.
      interrupted: whether Ctrl-C ended the run early.
      seconds: how long it took to "prepare" (targets, some compilation) and to "optimize".
    """

    pairs: Sequence[Pair]
    groups: Sequence[Group]
    photographs: Sequence[Picture]
    paintings: Sequence[Picture]
    canvases: Sequence[Canvas]
    network: Network
    config: StylizeConfig
    weights: LossWeights
    estimated_memory: int = 0
    interrupted: bool = False
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """CONTENT__STYLE of each picture."""
        return [pair.name for pair in self.pairs]

    @property
    def images(self) -> list[np.ndarray]:
        """The pictures, float32 [H, W, 3], sRGB in [0, 1]: of each the one of the lowest
        loss, which is one of the last unless something went wrong."""
        found: dict[int, np.ndarray] = {}
        for group in self.groups:
            best = np.asarray(group.best)
            for place, member in enumerate(group.members):
                canvas = self.canvases[self.pairs[member].content]
                found[member] = best[place, canvas.rows, canvas.columns]
        return [found[index] for index in range(len(self.pairs))]

    @property
    def losses(self) -> list[dict[str, np.ndarray]]:
        """For each picture, every term ("total" weighted, the others not) by name, [steps]."""
        places = {m: (g, place) for g in self.groups for place, m in enumerate(g.members)}
        return [places[i][0].losses(places[i][1]) for i in range(len(self.pairs))]

    @property
    def problems(self) -> list[str]:
        """A line for everything that was asked for and not done; empty when all is well."""
        lines = ["interrupted; the best pictures so far are kept"] if self.interrupted else []
        diverged = {
            member
            for group in self.groups
            for member, bad in zip(group.members, group.diverged, strict=False)
            if bad
        }
        for index in sorted(diverged):
            finite = np.isfinite(self.losses[index]["total"])
            step = len(finite) if finite.all() else int(np.argmin(finite)) + 1
            lines.append(
                f"{self.names[index]}: the loss was no longer finite at step {step}; the best "
                "picture before it is kept (a lower learning_rate helps)"
            )
        return lines

    @property
    def run(self) -> dict[str, Any]:
        """What was run, and where; plain values for JSON."""
        device = jax.devices()[0]
        return {
            "network": self.network.entry.name,
            "provenance": dict(self.network.provenance),
            "config": _plain(self.config),
            "weights": _plain(self.weights),
            "pictures": len(self.pairs),
            "estimated_memory_mib": round(self.estimated_memory / 2**20),
            "device": f"{device.platform} ({device.device_kind})",
            "machine": platform.machine(),
            "backend": backend.choose(self.network.architecture.options.backend),
            "gradient_dtype": self.network.architecture.options.gradient_dtype,
            "versions": {name: version(name) for name in ("bnnjax", "jax", "flax", "optax")},
            "seconds": {name: round(value, 3) for name, value in self.seconds.items()},
        }

    def recipe(self, index: int) -> dict[str, Any]:
        """All it takes to make the picture again; kept in its PNG file."""
        pair = self.pairs[index]
        weights = {
            name: value[index] if np.ndim(value) > (name == "style_tap_weights") else value
            for name, value in _plain(self.weights).items()
        }
        return {
            "bnnjax": version("bnnjax"),
            "content": self.photographs[pair.content].path,
            "style": self.paintings[pair.style].path,
            "weights": self.network.path,
            "network": self.network.entry.name,
            "provenance": dict(self.network.provenance),
            **_plain(self.config),
            **weights,
        }

    def _repr_html_(self) -> str:
        figures = [
            f'<figure style="display:inline-block;margin:4px">'
            f'<img src="data:image/png;base64,{_png(image)}">'
            f"<figcaption>{html.escape(name)}</figcaption></figure>"
            for name, image in zip(self.names, self.images, strict=True)
        ]
        notes = "".join(f"<p>{html.escape(line)}</p>" for line in self.problems)
        return "".join(figures) + notes

    def __repr__(self) -> str:
        names = ", ".join(self.names[:4]) + (", …" if len(self.names) > 4 else "")
        return (
            f"<StylizeResult of {len(self.pairs)} pictures by {self.network.entry.name}: {names}>"
        )


def _plain(choices: StylizeConfig | LossWeights) -> dict[str, Any]:
    values = {f.name: getattr(choices, f.name) for f in dataclasses.fields(choices)}
    return {name: _plain_value(value) for name, value in values.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, (list, tuple, np.ndarray, jax.Array)) and not hasattr(value, "_fields"):
        return [_plain_value(each) for each in np.asarray(value).tolist()]
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
