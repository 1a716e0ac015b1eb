"""Studies of a network's layers: what each one stands for, as style and as content.

Every tap is measured in every trial, and weights of 0 and 1 choose which taps count. One compiled
step thus serves all trials of a study.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Unpack

import jax
import numpy as np

from bnnjax.models.network import Network
from bnnjax.nst.config import Init
from bnnjax.nst.ensemble import Ensemble
from bnnjax.options import nearest
from bnnjax.studies.bench import Bench, StudyOptions
from bnnjax.studies.study import Study
from bnnjax.studies.trials import Trial

# What a layer shows by itself: no photograph, no palette.
ALONE = {"content_weight": 0.0, "color_weight": 0.0}


def style_layers(
    contents: Any,
    styles: Any,
    *,
    taps: Sequence[str] | None = None,
    inits: Sequence[Init] = ("matched",),
    **options: Unpack[StudyOptions],
) -> Study:
    """Paints with the style of one tap at a time, without any content.

    Args:
      contents, styles, **options: as in `bnnjax.sweep`; content and colour have no weight unless
        the options say so.
      taps: the taps; by default all that differ, see `distinct_taps`.
      inits: what to start from.

    Raises:
      ValueError: an unknown tap (the nearest is suggested), or as in `bnnjax.sweep`.
    """
    bench = Bench.open(contents, styles, options, **ALONE)
    names = _checked(bench.network, taps)
    base = bench.base.changed(style_taps=names)
    trials = [
        Trial(
            pair,
            (("init", init), ("tap", tap)),
            base.of_picture(number).changed(init=init, style_tap_weights=_chosen(names, [tap])),
        )
        for number, pair in enumerate(bench.pairs)
        for init in inits
        for tap in names
    ]
    return Study(bench.make(trials), bench.photographs, bench.paintings)


def content_layers(
    contents: Any,
    styles: Any,
    *,
    taps: Sequence[str] | None = None,
    **options: Unpack[StudyOptions],
) -> Study:
    """Keeps the content of one tap at a time, with the network's own style taps.

    Args:
      contents, styles, taps, **options: as in `style_layers`.

    Raises:
      ValueError: as in `style_layers`.
    """
    bench = Bench.open(contents, styles, options)
    names = _checked(bench.network, taps)
    base = bench.base.changed(content_taps=names)
    trials = [
        Trial(
            pair,
            (("content_tap", tap),),
            base.of_picture(number).changed(content_tap_weights=_chosen(names, [tap])),
        )
        for number, pair in enumerate(bench.pairs)
        for tap in names
    ]
    return Study(bench.make(trials), bench.photographs, bench.paintings)


def cross_layers(
    contents: Any,
    styles: Any,
    *,
    taps: Sequence[str] | None = None,
    style_sets: Sequence[Sequence[str]] | None = None,
    **options: Unpack[StudyOptions],
) -> Study:
    """Combines every content tap with every set of style taps; see `bnnjax.studies.validation`.

    Args:
      contents, styles, **options: as in `bnnjax.sweep`; several pairs make a validation.
      taps: the content taps; by default the network's own style taps.
      style_sets: the sets of style taps; by default the network's own style taps from the first
        one up to each of them.

    Raises:
      ValueError: as in `style_layers`.
    """
    bench = Bench.open(contents, styles, options)
    own = bench.network.style.style_taps
    names = _checked(bench.network, own if taps is None else taps)
    sets = style_sets or [own[: count + 1] for count in range(len(own))]
    used = _checked(bench.network, [tap for chosen in sets for tap in chosen])
    base = bench.base.changed(content_taps=names, style_taps=used)
    trials = [
        Trial(
            pair,
            (("content_tap", tap), ("style_taps", tuple(chosen))),
            base.of_picture(number).changed(
                content_tap_weights=_chosen(names, [tap]), style_tap_weights=_chosen(used, chosen)
            ),
        )
        for number, pair in enumerate(bench.pairs)
        for tap in names
        for chosen in sets
    ]
    return Study(bench.make(trials), bench.photographs, bench.paintings)


def distinct_taps(network: Network | Ensemble) -> tuple[str, ...]:
    """The names of all feature maps from the picture to the logits, each map only once: the end of
    a section is also the end of its last block."""
    if isinstance(network, Ensemble):
        return tuple(f"{one.name}:{tap}" for one in network.networks for tap in distinct_taps(one))
    picture = jax.random.uniform(jax.random.key(0), (1, *network.entry.sizes.smallest, 3))
    _, taps = network(picture)
    found: dict[bytes, str] = {}
    for name in network.taps:
        if name in taps and taps[name].ndim == 4:
            found.setdefault(np.asarray(taps[name]).tobytes(), name)
    return tuple(found.values())


def _checked(network: Network | Ensemble, taps: Iterable[str] | None) -> tuple[str, ...]:
    """The given taps, each once, or all that differ."""
    if taps is None:
        return distinct_taps(network)
    for tap in (names := tuple(dict.fromkeys(taps))):
        if tap not in network.taps:
            raise ValueError(f"{network.name} has no tap {tap!r}{nearest(tap, network.taps)}")
    return names


def _chosen(names: Sequence[str], chosen: Iterable[str]) -> tuple[float, ...]:
    """Weights of 1 for the chosen taps and of 0 for the others."""
    wanted = set(chosen)
    return tuple(float(name in wanted) for name in names)
