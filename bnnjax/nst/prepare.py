"""`prepare`: everything that a stylization needs, before it runs."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np

from bnnjax.nst import guides
from bnnjax.nst.config import StylizeConfig, StylizeOptions, Weight, resolve
from bnnjax.nst.ensemble import Model, load_models
from bnnjax.nst.inputs import as_list, pair_up, read_pictures
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stages import Canvas, Finished, Stage, paint, whole_stride
from bnnjax.nst.stylization import Stylization
from bnnjax.nst.sweep import spread
from bnnjax.nst.terms import Term, check_terms
from bnnjax.nst.transfer import StyleTransfer, configured, make_objective
from bnnjax.optimize import Minimized

Preview = Callable[[int, list[str], list[np.ndarray]], None]


@dataclasses.dataclass(repr=False)
class Prepared(Stylization):
    """A stylization that can run.

    Attributes:
      objective: the loss.
      weights: all weights and the learning rate by name, with an entry per picture.
    """

    objective: StyleTransfer = dataclasses.field(kw_only=True)
    weights: Mapping[str, np.ndarray] = dataclasses.field(kw_only=True)

    def run(
        self,
        *,
        progress: bool = True,
        preview: Preview | None = None,
        finished: Finished | None = None,
        done: Mapping[int, np.ndarray] | None = None,
        snapshots: Path | None = None,
        plan: Sequence[Stage] | None = None,
        known: Mapping[str, Any] | None = None,
    ) -> StylizeResult:
        """Paints the pictures.

        Args:
          progress, preview, snapshots: see `stylize_batch`.
          finished: called with the index and the pixels [H, W, 3] of each picture when it is
            finished.
          done: pictures [H, W, 3] that an earlier run finished, by their indices; they are not
            painted again, and have no losses.
          plan, known: see `paint`.
        """
        done = done or {}
        stride = self.network.stride
        canvas = Canvas(self.pairs, self.photographs, self.paintings, stride, self.config)
        if len(done) < len(self.pairs):
            minimized = paint(
                self.objective,
                self.network,
                canvas,
                self.config,
                self.weights,
                progress=progress,
                preview=preview,
                finished=finished,
                skip=done,
                snapshots=snapshots,
                plan=plan,
                known=known,
            )
        else:
            seconds = {"prepare": 0.0, "optimize": 0.0}
            pictures = [self.photograph(number).pixels for number in range(len(self.pairs))]
            minimized = Minimized(pictures, [{} for _ in self.pairs], seconds=seconds)
        for number, picture in done.items():
            minimized.pictures[number] = self.photograph(number).place(picture)
        own = [getattr(self, field.name) for field in dataclasses.fields(Stylization)]
        return StylizeResult(*own, minimized=minimized)


def prepare(
    contents: Any,
    styles: Any,
    *,
    model: Model = None,
    preprocessing: str | None = None,
    pairing: Literal["zip", "product"] = "zip",
    sweep: Mapping[str, Sequence[float]] | None = None,
    extra_terms: Mapping[Term, Weight] | None = None,
    config: StylizeConfig | None = None,
    preset: str | None = None,
    content_mask: Any = None,
    style_mask: Any = None,
    start: Any = None,
    variations: int | None = None,
    **options: Unpack[StylizeOptions],
) -> Prepared:
    """Checks the options, loads the network and reads the pictures; see `stylize_batch`."""
    resolve(options, config=config, preset=preset)  # so that bad options fail before any loading
    extra_terms = check_terms(extra_terms or {})
    contents, styles = as_list(contents, kind="content"), as_list(styles, kind="style")
    pairs = pair_up(contents, styles, pairing=pairing)
    network = load_models(model, preprocessing=preprocessing)
    config = resolve(options, config=config, preset=preset, own=network.style.preset)
    own = config.style_taps or network.style.style_taps
    pairs, config = spread(pairs, config, sweep or {}, count=variations, taps=len(own))
    network = configured(network, config)
    objective = make_objective(network, config, extra=tuple(extra_terms))
    stride = whole_stride(config, network.stride)
    photographs = read_pictures(contents, kind="content", size=config.size, stride=stride)
    style_size = config.style_size or config.size
    paintings = read_pictures(styles, kind="style", size=style_size, stride=stride)
    sizes = {"size": config.size, "stride": stride}
    photographs = guides.with_masks(photographs, content_mask, kind="content_mask", **sizes)
    paintings = guides.with_masks(paintings, style_mask, kind="style_mask", **sizes)
    photographs = guides.with_start(photographs, start, **sizes)
    if config.tile:
        photographs = [p.wrapped(**sizes) for p in photographs]
    guides.check(pairs, photographs, paintings, config)
    weights = _weights(objective, config, len(pairs), extra_terms)
    extra_weights = {term.name: weights[f"{term.name}_weight"] for term in extra_terms}
    inputs = (pairs, photographs, paintings, network, config, extra_weights)
    return Prepared(*inputs, objective=objective, weights=weights)


def _weights(
    objective: StyleTransfer,
    config: StylizeConfig,
    pictures: int,
    extra: Mapping[Term, Weight],
) -> dict[str, np.ndarray]:
    """All weights and the learning rate, with an entry per picture."""
    taps = {term.name: len(term.taps) for term in objective.terms}
    found = config.weights(pictures, taps=taps["style"], content_taps=taps["content"])
    for term, weight in extra.items():
        name = f"{term.name}_weight"
        try:
            value = np.asarray(weight, np.float32)
        except (TypeError, ValueError):
            raise ValueError(f"{name} is {weight!r}, needs numbers") from None
        if value.shape not in {(), (pictures,)}:
            raise ValueError(f"{name} has shape {value.shape}, needs () or ({pictures},)")
        found[name] = np.broadcast_to(value, (pictures,))
    return found
