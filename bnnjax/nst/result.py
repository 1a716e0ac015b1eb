"""The result of a stylization: pictures, losses, and how they were made."""

import base64
import dataclasses
import html
import io
import platform
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from bnnjax.nst import files
from bnnjax.nst.recipe import plain
from bnnjax.nst.stages import stages
from bnnjax.nst.stylization import Stylization
from bnnjax.optimize import Minimized


@dataclasses.dataclass(repr=False)
class StylizeResult(Stylization):
    """Stylized pictures in the order of their pairs; notebooks display them.

    Attributes:
      minimized: the result of the optimisation, on the canvases.
    """

    minimized: Minimized = dataclasses.field(kw_only=True)

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
        for name, losses in zip(self.names, self.losses, strict=True):
            total = losses.get("total", np.zeros(0))
            # Parametrizations that saturate keep the loss finite at any learning rate.
            if len(total) > 1 and total[1:].min() >= total[0] and total[-1] > 2 * total[0]:
                lines.append(
                    f"{name}: the loss rose from {total[0]:.3g} to {total[-1]:.3g} and was lowest "
                    "in the beginning; that picture is kept (try a lower learning_rate)"
                )
        return lines

    @property
    def run(self) -> dict[str, Any]:
        """What was run, and where, as JSON values."""
        device = jax.local_devices()[0]
        return {
            "network": self.network.entry.name,
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

    def unfinished(self, number: int) -> str:
        """What an interruption left undone of a picture; empty if it is finished."""
        done = len(self.losses[number].get("total", ()))
        whole = sum(stage.steps for stage in stages(self.config))
        cut = self.interrupted and done < whole and number not in self.minimized.diverged
        return f"interrupted after step {done} of {whole}" if cut else ""

    def save(
        self,
        directory: str | Path,
        *,
        overwrite: bool = False,
        keep_paths: bool = False,
        output_format: str = "png",
        keep_metadata: bool = False,
        keep_alpha: bool = False,
    ) -> list[Path]:
        """Writes all files of the result.

        These are NAME.png with its recipe for every picture, and the figures of the run, which are
        named after its first picture: NAME.losses.csv, NAME.losses.png (if matplotlib is installed)
        and NAME.sheet.png.

        Args:
          directory: the folder; created if missing.
          overwrite: whether to replace existing pictures.
          keep_paths: see `recipe`.
          output_format: "png", "jpeg" or "webp".
          keep_metadata: whether to write the photograph's time of exposure into the picture, and
            the ICC profile of sRGB, which the pixels are in.
          keep_alpha: whether pictures are as transparent as their photographs; painting sees these
            over white.

        Returns:
          The paths of the files written, pictures first.

        Raises:
          ValueError: a picture exists and ``overwrite`` is False, or a file cannot be written.
        """
        paths = files.picture_paths(
            self.names, directory, overwrite=overwrite, output_format=output_format
        )
        writer = files.Writer(self, paths, keep_paths, keep_metadata, keep_alpha)
        writer.check()
        Path(directory).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(self.images):
            writer.write(number, image, unfinished=self.unfinished(number))
        return [*paths, *self.save_figures(directory)]

    def save_figures(self, directory: str | Path) -> list[Path]:
        """Writes the losses and a contact sheet, see `save`."""
        return files.save_figures(directory, self.names, self.losses, *self._sheet())

    def _sheet(self) -> tuple[list[list[np.ndarray]], list[list[str]]]:
        """The rows of the contact sheet: photograph, painting and all pictures made from them."""
        rows: dict[tuple[int, int], tuple[list[np.ndarray], list[str]]] = {}
        for pair, image in zip(self.pairs, self.images, strict=True):
            content, style = self.photographs[pair.content], self.paintings[pair.style]
            sources = (content, *style.paintings)
            first = ([p.cropped for p in sources], [p.name for p in sources])
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
        network = self.network.entry.name
        return f"<StylizeResult: {len(self.names)} {pictures} by {network}: {names}>"


def _png(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
