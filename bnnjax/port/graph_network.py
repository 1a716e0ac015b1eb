"""Any network of Larq Compute Engine out of its ``.tflite`` file, ready to be looked through.

The file's operators are computed by the package's own layers: binary kernels stay packed and have
the package's speed, pseudo-gradients and options. Rounded (int8) tensors are carried as the numbers
they stand for, and the gradient passes the rounding straight through.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax import Array

from bnnjax.layers import Options
from bnnjax.models import imagenet, trace
from bnnjax.models.entry import Card, Entry, Sizes, Style
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.models.tapped import TAPS, Tapped
from bnnjax.port.download import file_sha256
from bnnjax.port.graph_program import Program, Translation
from bnnjax.port.graph_steps import perform
from bnnjax.port.graph_taps import name_taps
from bnnjax.port.graph_translate import translate
from bnnjax.port.tflite_graph import Graph, read_graph

_DEFAULT = Options()
UNKNOWN_SIZE = (224, 224)  # px, of a file that leaves it open

PREPROCESSINGS: dict[str, Callable[[Array], Array]] = {
    "imagenet": imagenet.normalize,
    "unit": lambda images: images,
    "symmetric": lambda images: 2 * images - 1,
    "bytes": lambda images: 255 * images,
}


class GraphNetwork(Tapped):
    """[N, H, W, 3] → logits [N, num_classes] or None: the steps of a program, in order."""

    program: Program
    options: Options

    @nn.compact
    def __call__(self, x: Array) -> Array | None:
        program = self.program
        values: dict[Any, Any] = {program.image: x}
        for name, shape in program.constants:
            values[name] = self.param(name, nn.initializers.zeros, shape)
        for step in program.steps:
            inputs = (values[ref] for ref in step.inputs)
            values[step.output] = perform(step, self.options, *inputs)
        for name, value in program.taps:
            self.tap(name, values[value])
        return None if program.logits is None else values[program.logits]


@dataclasses.dataclass(frozen=True)
class Builder:
    """The function program → module that `Entry` holds; equal for equal programs, so that a file
    that is read again is not compiled again."""

    program: Program

    def __call__(
        self, *, options: Options = _DEFAULT, num_classes: int | None = None
    ) -> GraphNetwork:
        """The module."""
        return GraphNetwork(self.program, options)


@dataclasses.dataclass(frozen=True)
class Sides:
    """Which sides a picture may have, px: those that the program fits, or the file's ``size``
    (height, width) alone."""

    program: Program
    size: tuple[int, int]
    free: bool

    def __call__(self, side: int) -> bool:
        """Whether it may have this one."""
        return fits(self.program, (side, side)) if self.free else side in self.size


def load_graph(path: str | Path, *, preprocessing: str = "imagenet") -> Network:
    """A network from any ``.tflite`` file of the operators in `graph_translate.HANDLERS`.

    Args:
      path: the file.
      preprocessing: what it takes: "imagenet" (zero mean and unit deviation over ImageNet, as all
        networks of Larq Zoo), "unit" ([0, 1], such as a file that normalises by itself),
        "symmetric" ([−1, 1]) or "bytes" (0 to 255).

    Raises:
      ValueError: in one line, what the file holds that is not known here and where, or that it is
        damaged; an unknown ``preprocessing``. ModuleNotFoundError without the extra ``port``.
    """
    if preprocessing not in PREPROCESSINGS:
        raise ValueError(f"preprocessing is {preprocessing!r}, needs one of {(*PREPROCESSINGS,)}")
    graph = read_graph(path)
    try:
        entry, variables = network_of(graph, Path(path).name)
    except ValueError as error:
        raise ValueError(f"{path}: {_first_line(error)}") from None
    except Exception as error:  # a damaged file may break any step of the way, in any manner
        what = f"{type(error).__name__}: {_first_line(error)}"
        raise ValueError(f"{path}: damaged .tflite file ({what})") from error
    entry = dataclasses.replace(entry, normalize=PREPROCESSINGS[preprocessing])
    provenance = {
        "source": Path(path).name,
        "sha256": file_sha256(path),
        "kernels": "binarized",
        "preprocessing": preprocessing,
    }
    return Network(Architecture.published(entry), variables, provenance, str(path))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def network_of(graph: Graph, name: str) -> tuple[Entry, Variables]:
    """An entry and the variables of a graph.

    Raises:
      ValueError: operators or shapes that are not known here.
    """
    _check_image(graph)
    bare, params, translation = translate(graph)
    found = name_taps(translation)
    program = bare._replace(taps=found.all)
    variables = {"params": jax.tree.map(jnp.asarray, params)}
    size = graph.tensors[graph.inputs[0]].shape[1:3]
    size = (size[0], size[1]) if min(size) > 1 else UNKNOWN_SIZE
    shapes = _check_shapes(graph, translation, program, size)
    stride = _total_stride(translation)
    free = fits(program, (size[0] + 2 * stride, size[1] + 2 * stride))
    leaves = jax.tree.leaves(params)
    entry = Entry(
        name=name,
        build=Builder(program),
        normalize=imagenet.normalize,
        sizes=Sizes(
            Sides(program, size, free),
            stride=stride if free else math.gcd(*size),
            example=_smallest(program, size, stride) if free else size,
            free=free,
        ),
        card=Card(
            num_classes=None if program.logits is None else shapes[program.logits][-1],
            parameters=sum(leaf.size for leaf in leaves),
            mebibytes=sum(leaf.nbytes for leaf in leaves) / 2**20,
        ),
        style=Style(found.style, found.content),
    )
    return entry, variables


def _check_image(graph: Graph) -> None:
    shapes = [list(graph.tensors[index].shape) for index in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        raise ValueError(f"takes inputs of shapes {shapes}, needs a single one [1, h, w, 3]")


# --- sizes ---------------------------------------------------------------------------------


def _shapes(program: Program, size: tuple[int, int]) -> tuple[dict[int, tuple[int, ...]], Any]:
    """Shapes of all values for a picture of this size, and of the variables; nothing is computed.

    Raises:
      ValueError: a step that cannot take what comes, with its place.
    """
    every = tuple((str(step.output), step.output) for step in program.steps)
    module = GraphNetwork(program._replace(taps=every), Options())
    variables, picture = trace.latent_shapes(module, side=size), trace.picture(size)
    _, state = trace.shapes_of(functools.partial(module.apply, mutable=[TAPS]), variables, picture)
    found = {int(value): tuple(leaf.shape) for value, leaf in state[TAPS].items()}
    needed = trace.frozen_shapes(module, side=size)["params"]
    return {program.image: picture.shape, **found}, needed


@functools.lru_cache(maxsize=4096)
def fits(program: Program, size: tuple[int, int]) -> bool:
    """Whether a network takes pictures of this height and width."""
    try:
        trace.latent_shapes(GraphNetwork(program, Options()), side=size)
        return True
    except ValueError:
        return False


def _check_shapes(
    graph: Graph, t: Translation, program: Program, size: tuple[int, int]
) -> dict[int, tuple[int, ...]]:
    """Compares what we compute with what the file says of its tensors and weights."""
    shapes, needed = _shapes(program, size)
    stated = graph.tensors[program.image].shape[1:3] == size
    for step in program.steps:
        if step.output >= len(graph.tensors) or not stated:
            continue
        last = -1 if step.output in t.signs else None  # words, or channels
        shape, wanted = shapes[step.output][:last], graph.tensors[step.output].shape[:last]
        if shape != wanted:
            raise ValueError(f"{step.where} has the shape {list(wanted)}, not {list(shape)}")
    given = flatten_dict(t.params, sep="/")
    for name, leaf in flatten_dict(needed, sep="/").items():
        if leaf.shape != given[name].shape:
            raise ValueError(f"{name} has shape {given[name].shape}, needs {leaf.shape}")
    return shapes


def _total_stride(t: Translation) -> int:
    return max(max(strides) for strides in t.strides.values())


def _smallest(program: Program, size: tuple[int, int], stride: int) -> tuple[int, int]:
    """The smallest square picture of whole strides that fits as the next larger one does."""
    for side in range(stride, max(size) + 1, stride):
        if all(fits(program, (s, s)) for s in (side, side + stride)):
            return side, side
    return size
