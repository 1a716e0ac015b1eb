"""Options as fields of dataclasses: their help, which every interface shows, and their checks."""

import dataclasses
import difflib
import operator
from collections.abc import Iterable
from typing import Any, get_args


def option(default: Any, help: str, **metadata: Any) -> Any:
    """A field with its default and the line that command-line help shows."""
    return dataclasses.field(default=default, metadata={"help": help, **metadata})


def one_of(name: str, value: Any, choices: Any) -> Any:
    """The one of a ``Literal`` type's values (or of a sequence's) that equals this value.

    Raises:
      ValueError: it is none of them.
    """
    allowed = get_args(choices) or tuple(choices)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, needs one of {', '.join(map(str, allowed))}")
    return allowed[allowed.index(value)]


def integer(name: str, value: Any, low: int, high: int) -> int:
    """The value as an ``int``; NumPy's integers and 0-d arrays are taken too.

    Raises:
      ValueError: it is no integer from ``low`` to ``high``.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = low - 1
    if isinstance(value, bool) or not low <= found <= high:
        raise ValueError(f"{name} is {value!r}, needs an integer from {low} to {high}")
    return found


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest one, and all there are."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} There are: {', '.join(names)}"
