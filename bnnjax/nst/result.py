"""The result of a stylization: pictures, losses, and how they were made."""

import base64
import dataclasses
import html
import io
import platform
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from bnnjax.models.network import Network
from bnnjax.nst import files
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.ensemble import Ensemble
from bnnjax.nst.inputs import Pair, Picture
from bnnjax.nst.recipe import KEYWORD, Recipe, Source, plain
from bnnjax.optimize import Minimized


@dataclasses.dataclass(repr=False)
class StylizeResult:
    """Stylized pictures in the order of their pairs; notebooks display them.

    Attributes:
      pairs: which photograph was paired with which painting.
      photographs, paintings: the inputs on their canvases.
      network: the network, with the options of this run.
      config: all options.
      minimized: the result of the optimisation, on the canvases.
      extra_weights: name of each additional term of the loss → its weights, [N].
    """

    pairs: Sequence[Pair]
    photographs: Sequence[Picture]
    paintings: Sequence[Picture]
    network: Network | Ensemble
    config: StylizeConfig
    minimized: Minimized
    extra_weights: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """CONTENT__STYLE for each picture, followed by its setting in a sweep."""
        return [pair.name for pair in self.pairs]

    @cached_property
    def images(self) -> list[np.ndarray]:
        """The pictures with the lowest loss, float32 [H, W, 3], sRGB in [0, 1]; usually from one of
        the last steps."""
        pictures = zip(self.pairs, self.minimized.pictures, strict=True)
        return [self.photographs[pair.content].crop(picture) for pair, picture in pictures]

    @property
    def losses(self) -> list[dict[str, np.ndarray]]:
        """Per picture, every term by name, [steps]; "total" is weighted, the others are not."""
        return self.minimized.history

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run early."""
        return self.minimized.interrupted

    @property
    def problems(self) -> list[str]:
        """One line for everything that could not be done; empty if all is well."""
        lines = ["interrupted; the best pictures so far are kept"] if self.interrupted else []
        for number, step in sorted(self.minimized.diverged.items()):
            lines.append(
                f"{self.names[number]}: the loss was no longer finite at step {step}; the best "
                "picture before it is kept (try a lower learning_rate)"
            )
        return lines

    @property
    def run(self) -> dict[str, Any]:
        """What was run, and where, as JSON values."""
        device = jax.local_devices()[0]
        return {
            "network": self.network.name,
            "provenance": dict(self.network.provenance),
            "options": plain(self.config),
            "extra_terms": {name: weights.tolist() for name, weights in self.extra_weights.items()},
            "pictures": len(self.pairs),
            "estimated_memory_mib": round(self.minimized.estimated_memory / 2**20),
            "device": f"{device.platform} ({device.device_kind})",
            "devices": jax.local_device_count(),
            "machine": platform.machine(),
            "versions": {name: version(name) for name in ("bnnjax", "jax", "flax", "optax")},
            "seconds": {name: round(value, 3) for name, value in self.minimized.seconds.items()},
        }

    def recipe(self, number: int, *, keep_paths: bool = False) -> Recipe:
        """Everything needed to reproduce one of the pictures; `save` writes it into the picture.

        Args:
          number: the index of the picture.
          keep_paths: whether to include the paths of photograph and painting besides their names
            and hashes.
        """
        pair = self.pairs[number]
        return Recipe(
            content=_source(self.photographs[pair.content], keep_paths),
            style=_source(self.paintings[pair.style], keep_paths),
            model=self.network.source,
            provenance=dict(self.network.provenance),
            config=self.config.of_picture(number),
            extra_terms={n: float(weights[number]) for n, weights in self.extra_weights.items()},
            version=version("bnnjax"),
        )

    def save(
        self, directory: str | Path, *, overwrite: bool = False, keep_paths: bool = False
    ) -> list[Path]:
        """Writes all files of the result.

        These are NAME.png with its recipe for every picture, ``losses.csv``, ``losses.png`` (if
        matplotlib is installed) and ``contact_sheet.png``; the last three are numbered if they
        exist already.

        Args:
          directory: the folder; created if missing.
          overwrite: whether to replace existing pictures.
          keep_paths: see `recipe`.

        Returns:
          The paths of the files written, pictures first.

        Raises:
          ValueError: a picture exists and ``overwrite`` is False, or a file cannot be written.
        """
        recipes = [self.recipe(n, keep_paths=keep_paths).to_json() for n in range(len(self.pairs))]
        texts = [{KEYWORD: recipe} for recipe in recipes]
        paths = files.save_pictures(directory, self.names, self.images, texts, overwrite=overwrite)
        return [*paths, *files.save_figures(directory, self.names, self.losses, *self._sheet())]

    def _sheet(self) -> tuple[list[list[np.ndarray]], list[list[str]]]:
        """The rows of the contact sheet: photograph, painting and all pictures made from them."""
        rows: dict[tuple[int, int], tuple[list[np.ndarray], list[str]]] = {}
        for pair, image in zip(self.pairs, self.images, strict=True):
            content, style = self.photographs[pair.content], self.paintings[pair.style]
            first = ([content.cropped, style.cropped], [content.name, style.name])
            pictures, labels = rows.setdefault((pair.content, pair.style), first)
            pictures.append(image)
            labels.append(pair.setting or pair.name)
        return [row[0] for row in rows.values()], [row[1] for row in rows.values()]

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
        pictures = "picture" if len(self.names) == 1 else "pictures"
        return f"<StylizeResult: {len(self.names)} {pictures} by {self.network.name}: {names}>"


def _source(picture: Picture, keep_path: bool) -> Source:
    if picture.path is None:
        return Source(None, picture.sha256)
    path = str(Path(picture.path).absolute()) if keep_path else None
    return Source(Path(picture.path).name, picture.sha256, path)


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
