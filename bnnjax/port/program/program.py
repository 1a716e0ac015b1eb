"""A network from a file as a static program of steps.

`bnnjax.port.program.builder` is the base of what builds it from a graph, and
`bnnjax.port.program.steps` executes it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Params = dict[str, Any]
Ref = int | str  # the number of a value, or the name of a constant among the variables


class Step(NamedTuple):
    """One step; an operator may become several, such as a binary convolution, its activation and
    its batch norm.

    Attributes:
      kind: what it computes, a key of `bnnjax.port.program.steps.STEPS`.
      name: the name of its weights, if it has any.
      inputs: the values that it reads.
      output: the value that it computes.
      options: hashable options of the type that its kind needs.
      where: its operator or layer in the file, for messages.
    """

    kind: str
    name: str
    inputs: tuple[Ref, ...]
    output: int
    options: Any
    where: str


class Call(NamedTuple):
    """A function, or a class of layers, with its keyword arguments.

    Unlike `functools.partial`, equal calls are equal, so that reading a file again does not trigger
    a compilation.
    """

    function: Callable[..., Any]
    keywords: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, function: Callable[..., Any], **keywords: Any) -> "Call":
        """A call with these keyword arguments, which must be hashable."""
        return cls(function, tuple(keywords.items()))

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        """The result for these positional arguments."""
        return self.function(*arguments, **dict(self.keywords), **more)

    def replaced(self, **keywords: Any) -> "Call":
        """The same call with some keyword arguments changed."""
        return Call.of(self.function, **{**dict(self.keywords), **keywords})


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


class Norm(NamedTuple):
    """A batch norm: the layer without its epsilon, the axis of its channels, its epsilon, and the
    least one for maps and volumes."""

    layer: Call
    axis: int
    epsilon: float
    least_of_maps: float


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
