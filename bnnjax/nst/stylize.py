"""`stylize_batch`: takes photographs and paintings, returns stylized pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

import numpy as np

from bnnjax.models.network import Network
from bnnjax.nst.config import (
    StylizeConfig,
    StylizeOptions,
    Weight,
    resolve,
)
from bnnjax.nst.inputs import as_list, pair_up, read_pictures
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.stages import Canvas, paint
from bnnjax.nst.sweep import spread
from bnnjax.nst.terms import Term, check_terms
from bnnjax.nst.transfer import StyleTransfer, configured, make_objective
from bnnjax.options import names_every
from bnnjax.port.load import load_model

Preview = Callable[[int, list[str], list[np.ndarray]], None]


@names_every(StylizeConfig, StylizeOptions)
def stylize_batch(
    contents: Any,
    styles: Any,
    *,
    model: str | Path | Network | None = None,
    preprocessing: str | None = None,
    pairing: Literal["zip", "product"] = "zip",
    sweep: Mapping[str, Sequence[float]] | None = None,
    extra_terms: Mapping[Term, Weight] | None = None,
    config: StylizeConfig | None = None,
    preset: str | None = None,
    progress: bool = True,
    preview: Preview | None = None,
    snapshots: str | Path | None = None,
    **options: Unpack[StylizeOptions],
) -> StylizeResult:
    """Paints photographs in the style of paintings, many at once.

    Args:
      contents: photographs: a path, PIL image or array [H, W, 3] (uint8, or float in [0, 1]), a
        sequence of these, or an array [N, H, W, 3].
      styles: paintings, in the same forms.
      model: a `Network` or anything that `load_model` takes; the shipped network by default.
      preprocessing: how a ``.tflite`` file expects its pictures, see `load_model`.
      pairing: "zip" (first with first; a single picture is paired with all) or "product".
      sweep: values to try side by side in one compiled call, by the name of a weight or
        ``learning_rate``; every pair is made with every combination.
      extra_terms: additional terms of the loss, each with its weight: a number, or one per picture.
      config: all options; `StylizeConfig` with the network's own preset by default.
      preset: a named set of options, "default" or "preview" (a picture in a second or two).
      progress: whether to show a progress bar with the time left.
      preview: called about once a second with the number of steps done, and the names and best
        pictures so far [H, W, 3] of a group that is running.
      snapshots: a folder for snapshots; after a kill, the same call resumes from there.
      **options: fields of `StylizeConfig`; they take precedence over ``preset`` and ``config``.

    Returns:
      The result. After Ctrl-C, it has the best pictures so far, and ``interrupted`` is set.

    Raises:
      ValueError: an unknown option, an unreadable picture, or numbers of pictures that do not zip.
    """
    resolve(options, config=config, preset=preset)  # so that bad options fail before any loading
    extra_terms = check_terms(extra_terms or {})
    contents, styles = as_list(contents, kind="content"), as_list(styles, kind="style")
    pairs = pair_up(contents, styles, pairing=pairing)
    network = load_model(model, preprocessing=preprocessing)
    config = resolve(options, config=config, preset=preset, own=network.entry.style.preset)
    pairs, config = spread(pairs, config, sweep or {})
    network = configured(network, config)
    objective = make_objective(network, config, extra=tuple(extra_terms))
    stride = network.entry.sizes.stride
    photographs = read_pictures(contents, kind="content", size=config.size, stride=stride)
    style_size = config.style_size or config.size
    paintings = read_pictures(styles, kind="style", size=style_size, stride=stride)
    weights = _weights(objective, config, len(pairs), extra_terms)

    canvas = Canvas(pairs, photographs, paintings, stride)
    folder = None if snapshots is None else Path(snapshots)
    minimized = paint(
        objective,
        network,
        canvas,
        config,
        weights,
        progress=progress,
        preview=preview,
        snapshots=folder,
    )
    extra_weights = {term.name: weights[f"{term.name}_weight"] for term in extra_terms}
    return StylizeResult(pairs, photographs, paintings, network, config, minimized, extra_weights)


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
