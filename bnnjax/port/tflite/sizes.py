"""The sizes of pictures that a program takes, from shapes alone: nothing is computed."""

import functools
from typing import Any

from bnnjax.layers import Options
from bnnjax.models import trace
from bnnjax.models.tapped import TAPS
from bnnjax.port.tflite.module import GraphNetwork
from bnnjax.port.tflite.program import Program

Size = tuple[int, int]  # height and width, px
Shape = tuple[int, ...]


def shapes(program: Program, size: Size) -> tuple[dict[int, Shape], dict[str, Any]]:
    """The shapes of all values of a program, and those of its variables, for a picture of a size.

    Raises:
      ValueError: a step that cannot take its inputs, with its operator in the file.
    """
    steps = program.steps + program.head
    whole = program.with_taps(tuple((str(step.output), step.output) for step in steps))
    module = GraphNetwork(whole, Options())
    variables, picture = trace.latent_shapes(module, side=size), trace.picture(size)
    _, state = trace.shapes_of(functools.partial(module.apply, mutable=[TAPS]), variables, picture)
    found = {int(value): tuple(leaf.shape) for value, leaf in state.get(TAPS, {}).items()}
    needed = trace.frozen_shapes(module, side=size)["params"]
    return {program.image: picture.shape, **found}, needed


@functools.lru_cache(maxsize=4096)
def fits(program: Program, size: Size) -> bool:
    """Whether the taps of a program can be computed at a size."""
    return has_logits(program._replace(head=(), logits=None), size)


@functools.lru_cache(maxsize=4096)
def has_logits(program: Program, size: Size) -> bool:
    """Whether a whole program can be computed at a size, its logits included."""
    try:
        return bool(shapes(program, size))
    except ValueError:
        return False


def smallest(program: Program, size: Size, stride: int) -> Size:
    """The smallest square picture whose sides are multiples of the stride and that has logits, as
    the next larger one does; else the ``size`` that the file states."""
    for side in range(stride, max(size) + 1, stride):
        if all(has_logits(program, (s, s)) for s in (side, side + stride)):
            return side, side
    return size
