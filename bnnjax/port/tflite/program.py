"""A network from a ``.tflite`` file as a static program of steps.

`bnnjax.port.tflite.builder` builds it from a graph, `bnnjax.port.tflite.steps` executes it.
"""

from typing import Any, NamedTuple

Params = dict[str, Any]
Ref = int | str  # the number of a value, or the name of a constant among the variables


class Step(NamedTuple):
    """One step; an operator may become several, such as a binary convolution, its activation and
    its batch norm.

    Attributes:
      kind: what it computes, a key of `bnnjax.port.tflite.steps.STEPS`.
      name: the name of its weights, if it has any.
      inputs: the values that it reads.
      output: the value that it computes.
      options: hashable options of the type that its kind needs.
      where: its operator in the file, for messages.
    """

    kind: str
    name: str
    inputs: tuple[Ref, ...]
    output: int
    options: Any
    where: str


class Window(NamedTuple):
    """The window of a convolution or a pool; a pool has 0 ``features``."""

    size: tuple[int, int]
    strides: tuple[int, int]
    padding: str
    dilations: tuple[int, int] = (1, 1)
    features: int = 0
    groups: int = 1
    pad_value: int = 0
    use_bias: bool = False


class Grid(NamedTuple):
    """The numbers ``scale · (q − zero_point)`` for integers q in [low, high]."""

    scale: float
    zero_point: int
    low: int
    high: int


class Cut(NamedTuple):
    """STRIDED_SLICE: begin, end and stride per axis, and TensorFlow's masks."""

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]
    begin_mask: int = 0
    end_mask: int = 0
    shrink_mask: int = 0


class Program(NamedTuple):
    """The static half of a network from a file; hashable.

    Attributes:
      steps: the steps in order of execution.
      constants: the names and shapes of constants that belong to no layer.
      image: the value of the input picture.
      logits: the value of the logits; None for a network that ends in a map.
      taps: the names of the taps and their values.
      head: the steps after ``steps`` that no tap needs: the classifier.
    """

    steps: tuple[Step, ...]
    constants: tuple[tuple[str, tuple[int, ...]], ...]
    image: int
    logits: int | None
    taps: tuple[tuple[str, int], ...] = ()
    head: tuple[Step, ...] = ()

    def with_taps(self, taps: tuple[tuple[str, int], ...]) -> "Program":
        """The same program with these taps, split into the steps that they need and the head."""
        needed: set[Ref] = {value for _, value in taps}
        body, head = [], []
        for step in reversed(self.steps + self.head):
            if step.output in needed or not taps:
                needed.update(step.inputs)
                body.append(step)
            else:
                head.append(step)
        return self._replace(steps=tuple(body[::-1]), taps=taps, head=tuple(head[::-1]))
