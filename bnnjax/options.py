"""Fields of configuration dataclasses, described once for Python and for the command line."""

import dataclasses
from typing import Any


def option(default: Any, help: str) -> Any:
    """A dataclass field with its default and the line that ``--help`` shows for it."""
    return dataclasses.field(default=default, metadata={"help": help})
