"""Translates a Keras model to a program."""

from typing import Any, NamedTuple

from jax import Array

from bnnjax.port.keras.builder import KerasBuilder, Value
from bnnjax.port.keras.connect import connect
from bnnjax.port.keras.handlers import (
    activations,
    convolutions,
    local,
    merges,
    operations,
    pointwise,
    pools,
    shapes,
)
from bnnjax.port.keras.model import Layer, input_shape
from bnnjax.port.program import sizes
from bnnjax.port.program.entry import UNKNOWN_SIZE
from bnnjax.port.program.program import Call, Program, Step
from bnnjax.port.program.sizes import Shape, Size

HANDLERS = {
    **operations.HANDLERS,
    **convolutions.HANDLERS,
    **local.HANDLERS,
    **pointwise.HANDLERS,
    **pools.HANDLERS,
    **shapes.HANDLERS,
    **merges.HANDLERS,
}
GREY = (0.2989, 0.587, 0.114)  # of tf.image.rgb_to_grayscale


class Translation(NamedTuple):
    """A program without taps, and what is known of it.

    Attributes:
      program: the program; its logits are those before a final softmax.
      builder: its builder, which knows the names of the layers and the arrays that they need.
      size: height and width in the file, in pixels.
      shapes: the shape of each value at that size, for one picture.
      needed: the tree of `jax.ShapeDtypeStruct` that latent variables must match.
    """

    program: Program
    builder: KerasBuilder
    size: Size
    shapes: dict[int, Shape]
    needed: dict[str, Any]


def grey(x: Array) -> Array:
    """Colours [N, H, W, 3] → greys [N, H, W, 1], as ``tf.image.rgb_to_grayscale`` does."""
    red, green, blue = (x[..., channel : channel + 1] for channel in range(3))
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def translate(model: Layer, *, version: int) -> Translation:
    """Translates a model whose only input is a picture, in colours or in greys.

    Args:
      model: the model.
      version: of Keras, 2 or 3.

    Raises:
      ValueError: the model takes anything else, or has a layer that is not supported, in one line.
    """
    builder = KerasBuilder(version=version)
    image = builder.new_value()
    builder.strides[image] = (1, 1)
    height, width, channels = _picture(model)
    first = builder.call(model, grey, image) if channels == 1 else image
    outputs = connect(builder, HANDLERS, model, [first])
    size = (height, width) if height and width else UNKNOWN_SIZE
    program = Program(tuple(builder.steps), (), image, None)
    found, needed = sizes.shapes(program, size)
    program = program._replace(
        steps=tuple(_pinned(step, found) for step in program.steps),
        logits=next((_logits(builder, out) for out in outputs if len(found[out]) == 2), None),
    )
    return Translation(program, builder, size, found, needed)


def _picture(model: Layer) -> tuple[int | None, int | None, int]:
    shape = input_shape(model)
    if shape is None or len(shape) != 4 or shape[3] not in (1, 3):
        stated = "of unknown shape" if shape is None else f"of shape {list(shape)}"
        raise ValueError(f"takes an input {stated}, needs a picture [None, height, width, 3 or 1]")
    return shape[1], shape[2], shape[3]


def _pinned(step: Step, found: dict[int, Shape]) -> Step:
    """The step, whose map must have the shape in the file if it is flattened."""
    call = step.options
    if not isinstance(call, Call) or call.function is not shapes.flatten:
        return step
    (source,) = step.inputs
    assert isinstance(source, int)
    return step._replace(options=call.replaced(shape=found[source][1:]))


def _logits(builder: KerasBuilder, output: Value) -> int:
    """The value of an output, or that before its softmax."""
    for step in reversed(builder.steps):
        is_softmax = isinstance(step.options, Call) and step.options.function is activations.softmax
        if step.output == output and is_softmax:
            (source,) = step.inputs
            assert isinstance(source, int)
            return source
    return output
