"""Finds the picture sizes that a program accepts, from shapes alone."""

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
    """The shapes of all values and variables of a program for one picture of this size.

    Raises:
      ValueError: a step cannot take its inputs; the message names its operator in the file.
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
    """Whether the taps of a program can be computed at this size."""
    return has_logits(program._replace(head=(), logits=None), size)


@functools.lru_cache(maxsize=4096)
def has_logits(program: Program, size: Size) -> bool:
    """Whether a whole program, including its logits, can be computed at this size."""
    try:
        return bool(shapes(program, size))
    except ValueError:
        return False


def smallest(program: Program, size: Size, stride: int) -> Size:
    """The smallest square size in multiples of the stride at which there are logits, as there are
    at the next larger one; else the ``size`` in the file."""
    for side in range(stride, max(size) + 1, stride):
        if all(has_logits(program, (s, s)) for s in (side, side + stride)):
            return side, side
    return size
