"""Names for the taps of a network from a ``.tflite`` file.

- ``stem1``, ``stem2`` …: the float convolutions before the first binary one, after their
  activations; the parts of a grouped convolution that the file splits are concatenated;
- ``stem``: the tensor whose signs the first binary convolution takes;
- ``conv1`` …: the integer sums of the binary convolutions;
- ``add1`` …: sums of two computed tensors, before a fused activation: the residual stream;
- ``concat1`` …: concatenations, the stream of densely connected networks;
- ``stage1`` …: the ends of the stages (`bnnjax.port.program.landmarks`).
"""

from collections.abc import Sequence

from bnnjax.port.program.landmarks import Taps, landmarks
from bnnjax.port.tflite.builder import GraphBuilder


def name_taps(builder: GraphBuilder) -> Taps:
    """The taps of a translated graph."""
    found = landmarks(builder, builder.graph.inputs[0])
    named = _numbered("stem", found.stem)
    if builder.first_signs is not None:
        named.append(("stem", builder.first_signs))
    for role in ("conv", "add", "concat"):
        named += _numbered(role, [value for other, value in builder.roles if other == role])
    named += _numbered("stage", found.stages)
    named.sort(key=lambda tap: found.order[tap[1]])
    names: dict[int, str] = {}
    for name, value in named:
        if value in found.style and name.startswith(("stem", "stage")):
            names.setdefault(value, name)
    stages = {value: name for name, value in named if name.startswith("stage")}
    last = tuple(name for name, _ in named[-1:])
    content = last if found.content is None else (stages[found.content],)
    return Taps(tuple(named), tuple(names.values()) or content, content)


def _numbered(role: str, values: Sequence[int]) -> list[tuple[str, int]]:
    return [(f"{role}{number}", value) for number, value in enumerate(values, start=1)]
