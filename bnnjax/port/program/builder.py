"""The base of the builders that turn the graph of a file into a `Program`, step by step."""

import dataclasses
from fractions import Fraction

from bnnjax.port.program.program import Step

Strides = tuple[Fraction | int, Fraction | int]  # down and across, in pixels of the picture


@dataclasses.dataclass
class ProgramBuilder:
    """The steps so far, and what the choice of the taps needs to know about them.

    Attributes:
      steps: the steps in order of execution.
      strides: the strides of the values that are maps.
      roles: the maps to tap: ("stem", "conv", "add" or "concat", value).
      wholes: the parts of a concatenation → the concatenation.
      first_signs: the value whose signs the first binary convolution takes.
    """

    steps: list[Step] = dataclasses.field(default_factory=list)
    strides: dict[int, Strides] = dataclasses.field(default_factory=dict)
    roles: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    wholes: dict[int, int] = dataclasses.field(default_factory=dict)
    first_signs: int | None = None

    def tap(self, role: str, value: int) -> None:
        """Marks a value as a tap if it is a map."""
        if value in self.strides:
            self.roles.append((role, value))
