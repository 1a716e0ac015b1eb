"""Blocky artefacts: what they come from, one suspect at a time.

The article sees blocks, finds that average pooling, the cure for Inception, changes nothing, and
suspects the addition layers. `blocks` paints with each suspect changed alone, in the article's way
(pixels, no jitter, from the photograph) and in ours. `gradient_peaks` looks for the grid where it
would begin: in the gradient of a single tap.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.judge import grid_peaks
from bnnjax.nst import color
from bnnjax.nst.transfer import StyleTransfer, configured, make_objective, random_jitters
from bnnjax.studies.bench import Bench, StudyOptions
from bnnjax.studies.study import Study
from bnnjax.studies.trials import Trial

ARTICLE: dict[str, Any] = {"parametrization": "pixels", "jitter": 0, "init": "content"}
# What is changed: from the article's way, and from the options of the caller ("ours").
SUSPECTS: dict[str, dict[str, Any]] = {
    "article": ARTICLE,
    "article-avg": {**ARTICLE, "pooling": "avg"},
    "article-blur": {**ARTICLE, "pooling": "blur"},
    "article-half-shortcuts": {**ARTICLE, "residual_scale": 0.5},
    "article-no-shortcuts": {**ARTICLE, "residual_scale": 0.0},
    "article-jitter": {**ARTICLE, "jitter": 4},
    "article-pyramid": {**ARTICLE, "parametrization": "pyramid"},
    "article-matched": {**ARTICLE, "init": "matched"},
    "ours": {},
    "ours-avg": {"pooling": "avg"},
    "ours-blur": {"pooling": "blur"},
    "ours-no-shortcuts": {"residual_scale": 0.0},
    "ours-no-jitter": {"jitter": 0},
    "ours-pixels": {"parametrization": "pixels"},
}
PERIODS = (2, 4, 8, 16)  # px: the strides of the networks' grids


class GradientPeaks(NamedTuple):
    """The grid in the gradient of one tap's style loss.

    Attributes:
      tap: the name of the tap.
      change: what was changed about the network.
      peaks: `bnnjax.judge.grid_peaks` of the gradient at `PERIODS`.
    """

    tap: str
    change: str
    peaks: tuple[float, ...]


def blocks(
    contents: Any,
    styles: Any,
    *,
    suspects: Mapping[str, Mapping[str, Any]] = SUSPECTS,
    **options: Unpack[StudyOptions],
) -> Study:
    """Paints every pair once per suspect.

    Args:
      contents, styles, **options: as in `bnnjax.sweep`.
      suspects: the options that each one changes, by its name.

    Raises:
      ValueError: as in `bnnjax.sweep`.
    """
    bench = Bench.open(contents, styles, options)
    trials = [
        Trial(pair, (("suspect", name),), bench.base.of_picture(number).changed(**changes))
        for number, pair in enumerate(bench.pairs)
        for name, changes in suspects.items()
    ]
    return Study(bench.make(trials), bench.photographs, bench.paintings)


def peaks_table(study: Study) -> list[list[str]]:
    """The mean `grid_peaks` of every setting's pictures, and of the photographs, at `PERIODS`."""
    rows = [["picture", *(f"{period} px" for period in PERIODS)]]
    of = {"photograph": [photograph.cropped for photograph in study.photographs]}
    of |= {s[-1][1]: [outcome.picture for outcome in study.of(s)] for s in study.settings}
    for name, pictures in of.items():
        peaks = np.mean([grid_peaks(picture, periods=PERIODS) for picture in pictures], axis=0)
        rows.append([name, *(f"{peak:.2f}" for peak in peaks)])
    return rows


def gradient_peaks(
    contents: Any,
    styles: Any,
    *,
    changes: Mapping[str, Mapping[str, Any]] = {
        "as trained": {},
        "avg": {"pooling": "avg"},
        "blur": {"pooling": "blur"},
        "no shortcuts": {"residual_scale": 0.0},
    },
    **options: Unpack[StudyOptions],
) -> list[GradientPeaks]:
    """Looks for a grid in the gradients of the network's style taps, before any step.

    The gradient is that of one tap's style loss at the recoloured photograph. Its luma is brought
    to a deviation of 0.1, as in a picture, and averaged over the pairs.

    Args:
      contents, styles, **options: as in `bnnjax.sweep`.
      changes: options of the network to try, by name.

    Raises:
      ValueError: as in `bnnjax.sweep`.
    """
    bench = Bench.open(contents, styles, options)
    found = []
    for change, options_of_network in changes.items():
        config = bench.base.changed(**options_of_network)
        network = configured(bench.network, config)
        objective = make_objective(network, config)
        taps = config.style_taps or network.style.style_taps
        for number, tap in enumerate(taps):
            chosen = np.eye(len(taps), dtype=np.float32)[number]
            gradient = partial(_gradient, objective, network.variables, chosen)
            peaks = [
                gradient(bench.photographs[pair.content].pixels, bench.paintings[pair.style].pixels)
                for pair in bench.pairs
            ]
            found.append(GradientPeaks(tap, change, tuple(np.mean(peaks, axis=0).tolist())))
    return found


def gradient_table(found: Sequence[GradientPeaks]) -> list[list[str]]:
    """A row per change and tap."""
    rows = [["network", "gradient of", *(f"{period} px" for period in PERIODS)]]
    return rows + [[f.change, f.tap, *(f"{peak:.1f}" for peak in f.peaks)] for f in found]


@partial(jax.jit, static_argnums=0)
def _gradient(
    objective: StyleTransfer,
    variables: Any,
    tap_weights: jax.Array,
    photograph: jax.Array,
    painting: jax.Array,
) -> jax.Array:
    jitters = random_jitters(jax.random.key(0), reach=0)
    data = objective.measure(variables, photograph, painting, jitters)
    weights = {f"{term.name}_weight": jnp.zeros(()) for term in objective.terms}
    weights |= {"style_weight": jnp.ones(()), "style_tap_weights": tap_weights}
    weights["strength"] = jnp.ones(())
    weights["content_tap_weights"] = jnp.ones(len(objective.terms[0].taps))

    def loss(picture: jax.Array) -> jax.Array:
        return objective.loss(variables, picture, data, weights, jax.random.key(0))[0]

    gradient = jax.grad(loss)(color.match(photograph, painting))
    return grid_peaks(0.5 + 0.1 * gradient / jnp.std(gradient), periods=PERIODS)
