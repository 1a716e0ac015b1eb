"""`sweep`: the pictures of a grid of settings."""

from typing import Any, Unpack

from bnnjax.studies import grid
from bnnjax.studies.bench import Bench, StudyOptions
from bnnjax.studies.study import Study


def sweep(contents: Any, styles: Any, *, vary: grid.Vary, **options: Unpack[StudyOptions]) -> Study:
    """Makes every pair of pictures with every combination of settings.

        bnnjax.sweep("boat.jpg", "wave.jpg", vary={"style_weight": [2, 4, 8], "tv_weight": "1..9"})

    Settings that differ in weights or the learning rate share one compiled step.

    Args:
      contents, styles: photographs and paintings, as in `stylize_batch`.
      vary: the values of each option that varies, as a sequence or as text (see `grid`).
      **options: fields of `BenchConfig` (``model``, ``judge``, ``output_dir``, ``resume`` …) and of
        `StylizeConfig`, ``config`` and ``preset``.

    Raises:
      ValueError: an unknown or invalid option, or see `stylize_batch`.
    """
    bench = Bench.open(contents, styles, options)
    outcomes = bench.make(grid.trials(bench.pairs, bench.base, vary))
    return Study(outcomes, bench.photographs, bench.paintings)
