"""Finds the stem and the stages of a network, from the strides of its maps.

The stem is everything before the first binary convolution. A stage is everything after the stem at
one total stride, if that includes a binary convolution, a sum or a concatenation. It ends with its
last sum or concatenation, or else with its last tensor.

By default, content is measured at the stage of stride 16, or else at the second-to-last stage, and
style at the stem and at all stages up to that one. Deeper stages add only computing time.
"""

from typing import NamedTuple

from bnnjax.port.program.builder import ProgramBuilder

_CONTENT_STRIDES = (16, 16)


class Taps(NamedTuple):
    """All taps as (name, value) from the picture to the logits, and the default ones by name."""

    all: tuple[tuple[str, int], ...]
    style: tuple[str, ...]
    content: tuple[str, ...]


class Landmarks(NamedTuple):
    """Values of a network.

    Attributes:
      stem: the results of the float convolutions before the first binary one, after their
        activations; the parts of a grouped convolution that the file splits are concatenated.
      stages: the last value of each stage.
      content: the stage where content is measured; None if there are no stages.
      style: the values where style is measured.
      order: the place of each value in the order of execution.
    """

    stem: tuple[int, ...]
    stages: tuple[int, ...]
    content: int | None
    style: frozenset[int]
    order: dict[int, int]


def landmarks(builder: ProgramBuilder, image: int) -> Landmarks:
    """The landmarks of a translated graph whose picture is the value ``image``."""
    order = {image: -1} | {step.output: index for index, step in enumerate(builder.steps)}
    stem, stages = _stem(builder), _stages(builder, order)
    content = _content_stage(builder, stages)
    signs = {builder.first_signs} if builder.first_signs is not None and (stem or stages) else set()
    style = frozenset({*stem, *stages[: content + 1], *signs})
    return Landmarks(tuple(stem), tuple(stages), stages[content] if stages else None, style, order)


def _stem(builder: ProgramBuilder) -> list[int]:
    """The results of the convolutions before the first binary one, with parts concatenated."""
    found = [builder.wholes.get(value, value) for role, value in builder.roles if role == "stem"]
    return list(dict.fromkeys(value for value in found if value in builder.strides))


def _stages(builder: ProgramBuilder, order: dict[int, int]) -> list[int]:
    """The last value of each stage."""
    start = -1 if builder.first_signs is None else order[builder.first_signs]
    maps = {value: order[value] for value in builder.strides if order.get(value, -1) > start}
    bodies = [v for role, v in builder.roles if v in maps and role in ("conv", "add", "concat")]
    joins = [v for role, v in builder.roles if v in maps and role in ("add", "concat")]
    if not bodies:  # a network without binary convolutions
        bodies = [value for role, value in builder.roles if value in maps]
    ends = []
    for stride in dict.fromkeys(builder.strides[value] for value in bodies):
        candidates = [v for v in joins if builder.strides[v] == stride]
        candidates = candidates or [v for v in maps if builder.strides[v] == stride]
        ends.append(max(candidates, key=maps.__getitem__))
    return sorted(ends, key=maps.__getitem__)


def _content_stage(builder: ProgramBuilder, stages: list[int]) -> int:
    """The index of the stage where content is measured."""
    strides = [builder.strides[value] for value in stages]
    if _CONTENT_STRIDES in strides:
        return strides.index(_CONTENT_STRIDES)
    return max(len(stages) - 2, 0)
