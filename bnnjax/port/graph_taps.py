"""Names for what a network from a ``.tflite`` file lets one see.

- ``stem1``, ``stem2`` …: the float convolutions before the first binary one, after their
  activation; of a grouped one that the file holds in parts, all parts together;
- ``stem``: what the first binary convolution takes the signs of;
- ``conv1`` …: the whole-numbered results of the binary convolutions;
- ``add1`` …: sums of two computed tensors, before an activation that is fused with them: the
  residual stream;
- ``concat1`` …: concatenations, the same of dense ones;
- ``stage1`` …: the ends of the stages. A stage is all that follows the stem at one total stride and
  holds a binary convolution, a sum or a concatenation; its end is its last sum or concatenation,
  and where it has none, its last tensor.

By default style is measured at the stem's taps and the ends of the stages up to the one where
content is: that at a sixteenth of the picture's size, or else the last but one. What lies deeper
adds nothing to a picture but time.
"""

from typing import NamedTuple

from bnnjax.port.graph_program import Translation

_CONTENT_STRIDES = (16, 16)


class Taps(NamedTuple):
    """Names and values from the picture to the logits; names of those used by default."""

    all: tuple[tuple[str, int], ...]
    style: tuple[str, ...]
    content: tuple[str, ...]


def name_taps(t: Translation) -> Taps:
    """The taps of a translated graph."""
    order = {step.output: place for place, step in enumerate(t.steps)}
    order[t.graph.inputs[0]] = -1
    stem, stages = _stem(t), _stages(t, order)
    named = [(f"stem{n}", value) for n, value in enumerate(stem, start=1)]
    if t.first_signs is not None:
        named.append(("stem", t.first_signs))
    for role in ("conv", "add", "concat"):
        values = [value for found, value in t.roles if found == role]
        named += [(f"{role}{n}", value) for n, value in enumerate(values, start=1)]
    named += [(f"stage{n}", value) for n, value in enumerate(stages, start=1)]
    named.sort(key=lambda tap: order[tap[1]])
    content = _content_stage(t, stages)
    wanted = {*stem, *stages[: content + 1]} | ({t.first_signs} if stem or stages else set())
    return Taps(tuple(named), *_defaults(named, wanted, f"stage{content + 1}" if stages else ""))


def _defaults(
    named: list[tuple[str, int]], wanted: set[int | None], content: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """One name for each value that style is wanted of; and where content is."""
    names: dict[int, str] = {}
    for name, value in named:
        if value in wanted and name.startswith(("stem", "stage")):
            names.setdefault(value, name)
    last = (content,) if content else tuple(name for name, _ in named[-1:])
    return tuple(names.values()) or last, last


def _stem(t: Translation) -> list[int]:
    """Results of the convolutions before the first binary one, parts put together."""
    whole: dict[int, int] = {}
    for op in t.graph.operators:
        if op.kind == "CONCATENATION":
            whole |= dict.fromkeys(op.inputs, op.outputs[0])
    found = [whole.get(value, value) for role, value in t.roles if role == "stem"]
    return list(dict.fromkeys(value for value in found if value in t.strides))


def _stages(t: Translation, order: dict[int, int]) -> list[int]:
    """The last value of each stage, by its stride."""
    start = -1 if t.first_signs is None else order[t.first_signs]
    maps = {value: order[value] for value in t.strides if order.get(value, -1) > start}
    bodies = [v for role, v in t.roles if v in maps and role in ("conv", "add", "concat")]
    joins = [v for role, v in t.roles if v in maps and role in ("add", "concat")]
    if not bodies:  # a network without binary convolutions
        bodies = [value for role, value in t.roles if value in maps]
    ends = []
    for stride in dict.fromkeys(t.strides[value] for value in bodies):
        candidates = [v for v in joins if t.strides[v] == stride]
        candidates = candidates or [v for v in maps if t.strides[v] == stride]
        ends.append(max(candidates, key=maps.__getitem__))
    return sorted(ends, key=maps.__getitem__)


def _content_stage(t: Translation, stages: list[int]) -> int:
    """The place of the stage where content is measured."""
    strides = [t.strides[value] for value in stages]
    if _CONTENT_STRIDES in strides:
        return strides.index(_CONTENT_STRIDES)
    return max(len(stages) - 2, 0)
