"""Names for the taps of a network from a ``.tflite`` file.

- ``stem1``, ``stem2`` …: the float convolutions before the first binary one, after their
  activations; the parts of a grouped convolution that the file splits are concatenated;
- ``stem``: the tensor whose signs the first binary convolution takes;
- ``conv1`` …: the integer sums of the binary convolutions;
- ``add1`` …: sums of two computed tensors, before a fused activation: the residual stream;
- ``concat1`` …: concatenations, the stream of densely connected networks;
- ``stage1`` …: the ends of the stages. A stage is everything after the stem at one total stride,
  if that includes a binary convolution, a sum or a concatenation. It ends with its last sum or
  concatenation, or else with its last tensor.

By default, content is measured at the stage of stride 16, or else at the second-to-last stage, and
style at the stem's taps and at all stages up to that one. Deeper stages add only computing time.
"""

from typing import NamedTuple

from bnnjax.port.tflite.builder import GraphBuilder

_CONTENT_STRIDES = (16, 16)


class Taps(NamedTuple):
    """All taps as (name, value) from the picture to the logits, and the default ones by name."""

    all: tuple[tuple[str, int], ...]
    style: tuple[str, ...]
    content: tuple[str, ...]


def name_taps(builder: GraphBuilder) -> Taps:
    """The taps of a translated graph."""
    order = {step.output: index for index, step in enumerate(builder.steps)}
    order[builder.graph.inputs[0]] = -1
    stem, stages = _stem(builder), _stages(builder, order)
    named = [(f"stem{n}", value) for n, value in enumerate(stem, start=1)]
    if builder.first_signs is not None:
        named.append(("stem", builder.first_signs))
    for role in ("conv", "add", "concat"):
        values = [value for found, value in builder.roles if found == role]
        named += [(f"{role}{n}", value) for n, value in enumerate(values, start=1)]
    named += [(f"stage{n}", value) for n, value in enumerate(stages, start=1)]
    named.sort(key=lambda tap: order[tap[1]])
    content = _content_stage(builder, stages)
    wanted = {*stem, *stages[: content + 1]} | ({builder.first_signs} if stem or stages else set())
    return Taps(tuple(named), *_defaults(named, wanted, f"stage{content + 1}" if stages else ""))


def _defaults(
    named: list[tuple[str, int]], wanted: set[int | None], content: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The default style taps, one name per wanted value, and the default content taps."""
    names: dict[int, str] = {}
    for name, value in named:
        if value in wanted and name.startswith(("stem", "stage")):
            names.setdefault(value, name)
    last = (content,) if content else tuple(name for name, _ in named[-1:])
    return tuple(names.values()) or last, last


def _stem(builder: GraphBuilder) -> list[int]:
    """The results of the convolutions before the first binary one, with parts concatenated."""
    whole: dict[int, int] = {}
    for op in builder.graph.operators:
        if op.kind == "CONCATENATION":
            whole |= dict.fromkeys(op.inputs, op.outputs[0])
    found = [whole.get(value, value) for role, value in builder.roles if role == "stem"]
    return list(dict.fromkeys(value for value in found if value in builder.strides))


def _stages(builder: GraphBuilder, order: dict[int, int]) -> list[int]:
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


def _content_stage(builder: GraphBuilder, stages: list[int]) -> int:
    """The index of the stage where content is measured."""
    strides = [builder.strides[value] for value in stages]
    if _CONTENT_STRIDES in strides:
        return strides.index(_CONTENT_STRIDES)
    return max(len(stages) - 2, 0)
