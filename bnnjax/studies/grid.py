"""Grids: what varies in a study, as a command line and a notebook write it.

``style_weight=2,4,8`` are three values, ``tv_weight=0,1e-3..1e6:10`` zero and ten more at equal
ratios, ``pooling=max,avg`` two choices, ``style_taps=stem,stem+section1`` two sets of taps.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bnnjax.nst.config import OPTIONS, PER_TAP, TRACED, StylizeConfig
from bnnjax.nst.inputs import Pair
from bnnjax.options import nearest
from bnnjax.studies.trials import Trial

VARIABLE = tuple(name for name in OPTIONS if name != "size" and name not in PER_TAP)


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high`` on a log scale; a grid takes ``count`` of them."""

    low: float
    high: float
    count: int = 5

    @property
    def values(self) -> list[float]:
        """The numbers of a grid, rounded to three digits."""
        return [float(f"{v:.3g}") for v in np.geomspace(self.low, self.high, self.count)]


Vary = Mapping[str, str | Sequence[Any]]
Items = tuple[Any, ...]  # values and ranges


def parse(text: str) -> tuple[str, Items]:
    """The name and the items of ``NAME=ITEM,ITEM…``.

    Raises:
      ValueError: an unknown name (the nearest is suggested), or an invalid item.
    """
    name, equals, rest = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} varies nothing; it has the form NAME=VALUE,VALUE or NAME=A..B")
    return name, items(name, rest)


def items(name: str, values: str | Sequence[Any]) -> Items:
    """The checked items of one option, from text or as a sequence.

    Raises:
      ValueError: as `parse`.
    """
    if name not in VARIABLE:
        raise ValueError(f"cannot vary {name!r}{nearest(name, VARIABLE)}")
    listed = values.split(",") if isinstance(values, str) else list(values)
    found = tuple(_item(name, value) for value in listed)
    if not found:
        raise ValueError(f"{name} varies over {values!r}, needs at least one value")
    return found


def expand(found: Items) -> list[Any]:
    """All values of a grid, each range replaced by its numbers."""
    spread = (item.values if isinstance(item, Range) else [item] for item in found)
    return list(dict.fromkeys(itertools.chain.from_iterable(spread)))


def trials(pairs: Iterable[Pair], config: StylizeConfig, vary: Vary) -> list[Trial]:
    """Every pair with every combination of values.

    Raises:
      ValueError: as `parse`, or an invalid value.
    """
    axes = [expand(items(name, values)) for name, values in vary.items()]
    made = []
    for number, pair in enumerate(pairs):
        own = config.of_picture(number)
        for values in itertools.product(*axes):
            setting = tuple(zip(vary, values, strict=True))
            made.append(Trial(pair, setting, own.changed(**dict(setting))))
    return made


def _item(name: str, value: Any) -> Any:
    """One item: a `Range`, or a value as the config holds it."""
    if isinstance(value, Range):
        return value
    if isinstance(value, str) and ".." in value:
        return _range(name, value)
    plain = _plain(name, value) if isinstance(value, str) else value
    return getattr(StylizeConfig().changed(**{name: plain}), name)


def _plain(name: str, text: str) -> Any:
    if name.endswith("_taps"):
        return text.split("+")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _range(name: str, text: str) -> Range:
    low, _, rest = text.partition("..")
    high, _, count = rest.partition(":")
    try:
        found = Range(float(low), float(high), int(count or Range.count))
    except ValueError:
        found = Range(0, 0, 0)
    if not (name in TRACED and 0 < found.low < found.high < np.inf and found.count >= 2):
        raise ValueError(
            f"{name}={text} is no range; a weight's has the form LOW..HIGH or LOW..HIGH:COUNT with "
            "0 < LOW < HIGH and COUNT of at least 2"
        )
    return found
