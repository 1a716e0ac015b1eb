"""Finds the picture sizes that a program accepts, from shapes alone."""

import functools
from typing import Any

from flax.traverse_util import flatten_dict

from bnnjax.layers import Options
from bnnjax.models import trace
from bnnjax.models.tapped import TAPS
from bnnjax.port.program.module import GraphNetwork
from bnnjax.port.program.program import Program

Size = tuple[int, int]  # height and width, px
Shape = tuple[int, ...]


def shapes(program: Program, size: Size) -> tuple[dict[int, Shape], dict[str, Any]]:
    """The shapes of all values of a program for one picture of this size, and those of its latent
    variables.

    Raises:
      ValueError: a step cannot take its inputs; the message names its operator in the file.
    """
    steps = program.steps + program.head
    whole = program.with_taps(tuple((str(step.output), step.output) for step in steps))
    module = GraphNetwork(whole, Options())
    variables, picture = trace.latent_shapes(module, side=size), trace.picture(size)
    _, state = trace.shapes_of(functools.partial(module.apply, mutable=[TAPS]), variables, picture)
    found = {int(value): tuple(leaf.shape) for value, leaf in state.get(TAPS, {}).items()}
    return {program.image: picture.shape, **found}, variables


@functools.lru_cache(maxsize=4096)
def fits(program: Program, size: Size, stated: Size) -> bool:
    """Whether the taps of a program, whose file states one size, can be computed at another."""
    return has_logits(program._replace(head=(), logits=None), size, stated)


@functools.lru_cache(maxsize=4096)
def has_logits(program: Program, size: Size, stated: Size) -> bool:
    """Whether a whole program, including its logits, can be computed at this size: its steps take
    their inputs, and its weights have the same shapes as at the stated size."""
    try:
        return _weights(program, size) == _weights(program, stated)
    except ValueError:
        return False


@functools.lru_cache(maxsize=64)
def _weights(program: Program, size: Size) -> list[tuple[str, Shape]]:
    """The weights of all steps and their shapes."""
    whole = program._replace(steps=program.steps + program.head, head=())
    found = trace.latent_shapes(GraphNetwork(whole, Options()), side=size)
    return [(name, leaf.shape) for name, leaf in flatten_dict(found, sep="/").items()]


def smallest(program: Program, size: Size, stride: int) -> Size:
    """The smallest square size in multiples of the stride at which there are logits, as there are
    at the next larger one; else the ``size`` in the file, as for a head of that size only."""
    if not has_logits(program, (size[0] + 2 * stride, size[1] + 2 * stride), size):
        return size
    for side in range(stride, max(size) + 1, stride):
        if all(has_logits(program, (s, s), size) for s in (side, side + stride)):
            return side, side
    return size
