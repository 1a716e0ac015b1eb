"""`stylize_batch`: takes photographs and paintings, returns stylized pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

from bnnjax.nst.config import StylizeConfig, StylizeOptions, Weight
from bnnjax.nst.ensemble import Model
from bnnjax.nst.prepare import Preview, prepare
from bnnjax.nst.result import StylizeResult
from bnnjax.nst.terms import Term
from bnnjax.options import names_every


@names_every(StylizeConfig, StylizeOptions)
def stylize_batch(
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
    progress: bool = True,
    preview: Preview | None = None,
    snapshots: str | Path | None = None,
    content_mask: Any = None,
    style_mask: Any = None,
    start: Any = None,
    variations: int | None = None,
    **options: Unpack[StylizeOptions],
) -> StylizeResult:
    """Paints photographs in the style of paintings, many at once.

    Args:
      contents: photographs: a path, PIL image or array [H, W, 3] (uint8, or float in [0, 1]), a
        sequence of these, or an array [N, H, W, 3]. The path of a folder stands for all pictures in
        it, and a pattern such as ``photos/*.jpg`` for those that it matches.
      styles: paintings, in the same forms. A tuple of paintings, or paths joined by "+", is blended
        with the shares ``style_blend``.
      model: a `Network` or anything that `load_model` takes; the shipped network by default.
        Several, in a sequence or separated by commas, look at the picture together.
      preprocessing: how a ``.tflite`` or Keras file expects its pictures, see `load_model`.
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
      content_mask: where photographs are painted: greyscale pictures, white for painted and black
        for kept; one for all photographs or one for each. If as many masks as a blend has paintings
        are joined in a tuple or by "+", every painting goes where its own mask is white.
      style_mask: what paintings are measured by: white for measured and black for ignored; one for
        all paintings or one for each, and in a blend a tuple with one for each.
      start: pictures to start from in place of the photographs; one for all or one for each.
      variations: make every pair in this many settings (up to 6) to choose from, in one compiled
        call.
      **options: fields of `StylizeConfig`; they take precedence over ``preset`` and ``config``.

    Returns:
      The result. After Ctrl-C, it has the best pictures so far, and ``interrupted`` is set.

    Raises:
      ValueError: an unknown option, an unreadable picture, or numbers of pictures that do not zip.
    """
    prepared = prepare(
        contents,
        styles,
        model=model,
        preprocessing=preprocessing,
        pairing=pairing,
        sweep=sweep,
        extra_terms=extra_terms,
        config=config,
        preset=preset,
        content_mask=content_mask,
        style_mask=style_mask,
        start=start,
        variations=variations,
        **options,
    )
    folder = None if snapshots is None else Path(snapshots)
    return prepared.run(progress=progress, preview=preview, snapshots=folder)
