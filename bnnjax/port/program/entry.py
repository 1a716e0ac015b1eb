"""The row of a network from a file, as those in the registry have."""

import dataclasses
import math
from collections.abc import Callable

from jax import Array

from bnnjax.layers import Options
from bnnjax.models.entry import Card, Entry, Sizes, Style
from bnnjax.port.program import sizes
from bnnjax.port.program.builder import ProgramBuilder
from bnnjax.port.program.landmarks import Taps
from bnnjax.port.program.module import GraphNetwork
from bnnjax.port.program.program import Program
from bnnjax.port.program.sizes import Size

UNKNOWN_SIZE = (224, 224)  # px, for files that do not state a size


@dataclasses.dataclass(frozen=True)
class Build:
    """`Entry.build` of a program. Equal programs have equal builds, so that reading a file again
    does not trigger a compilation."""

    program: Program

    def __call__(
        self, *, options: Options | None = None, num_classes: int | None = None
    ) -> GraphNetwork:
        """The module; its number of classes is fixed by the program."""
        del num_classes
        return GraphNetwork(self.program, options or Options())


@dataclasses.dataclass(frozen=True)
class Takes:
    """`Sizes.takes` of a program: the sides at which its taps can be computed, or only those of the
    file's ``size`` (height, width)."""

    program: Program
    size: Size
    free: bool

    def __call__(self, side: int) -> bool:
        """Whether a picture may have a side of ``side`` px."""
        if not self.free:
            return side in self.size
        return sizes.fits(self.program, (side, side), self.size)


def make_entry(
    name: str,
    build: Build,
    builder: ProgramBuilder,
    *,
    size: Size,
    taps: Taps,
    normalize: Callable[[Array], Array],
    card: Card,
) -> Entry:
    """The row of a network whose file states this ``size`` (height, width in px)."""
    program = build.program
    stride = math.ceil(max(max(strides) for strides in builder.strides.values()))
    larger = (size[0] + 2 * stride, size[1] + 2 * stride)
    free = sizes.has_logits(program, larger, size) or sizes.fits(program, larger, size)
    return Entry(
        name=name,
        build=build,
        normalize=normalize,
        sizes=Sizes(
            Takes(program, size, free),
            stride=stride if free else math.gcd(*size),
            example=sizes.smallest(program, size, stride) if free else size,
            free=free,
        ),
        card=card,
        style=Style(taps.style, taps.content),
    )
