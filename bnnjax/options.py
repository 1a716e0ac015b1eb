"""Options as dataclass fields: their help, which every interface shows, and their checks."""

import dataclasses
import difflib
import inspect
import operator
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, get_args

F = TypeVar("F", bound=Callable[..., Any])


def option(default: Any, help: str, **metadata: Any) -> Any:
    """A field with its default and the line that command-line help shows."""
    return dataclasses.field(default=default, metadata={"help": help, **metadata})


def names_every(config: type, hints: type) -> Callable[[F], F]:
    """Decorates a function whose ``**options`` are fields of a dataclass.

    The signature then names every option, for completion in notebooks and for ``help``.

    Args:
      config: the dataclass, which has the defaults.
      hints: the ``TypedDict`` of the options, which has the types that callers may give.
    """

    def decorate(function: F) -> F:
        plain = inspect.signature(function)
        *own, _ = plain.parameters.values()
        options = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=hints.__annotations__[field.name],
            )
            for field in dataclasses.fields(config)
        ]
        function.__signature__ = plain.replace(parameters=[*own, *options])  # type: ignore[attr-defined]
        return function

    return decorate


def one_of(name: str, value: Any, choices: Any) -> Any:
    """The value of a ``Literal`` type (or of a sequence) that equals this one.

    Raises:
      ValueError: there is none.
    """
    allowed = get_args(choices) or tuple(choices)
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, needs one of {', '.join(map(str, allowed))}")
    return allowed[allowed.index(value)]


def integer(name: str, value: Any, low: int, high: int) -> int:
    """The value as an ``int``; NumPy's integers and 0-d arrays are accepted too.

    Raises:
      ValueError: it is not an integer from ``low`` to ``high``.
    """
    try:
        found = operator.index(value)
    except TypeError:
        found = low - 1
    if isinstance(value, bool) or not low <= found <= high:
        raise ValueError(f"{name} is {value!r}, needs an integer from {low} to {high}")
    return found


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest name, and all available ones."""
    names = list(names)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} There are: {', '.join(names)}"
