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
from bnnjax.models import imagenet
from bnnjax.models.entry import Entry
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.port.download import file_sha256
from bnnjax.port.graph_program import Program, Translation
from bnnjax.port.graph_steps import perform
from bnnjax.port.graph_taps import name_taps
from bnnjax.port.graph_translate import translate
from bnnjax.port.tflite_graph import Graph, read_graph

UNKNOWN_SIZE = (224, 224)  # px, of a file that leaves it open

PREPROCESSINGS: dict[str, Callable[[Array], Array]] = {
    "imagenet": imagenet.normalize,
    "unit": lambda images: images,
    "symmetric": lambda images: 2 * images - 1,
    "bytes": lambda images: 255 * images,
}


class GraphNetwork(nn.Module):
    """[N, H, W, 3] → (logits [N, classes] or None, taps): the steps of a program, in order."""

    program: Program
    options: Options

    @nn.compact
    def __call__(self, x: Array) -> tuple[Array | None, dict[str, Array]]:
        program = self.program
        values: dict[Any, Any] = {program.image: x}
        for name, shape in program.constants:
            values[name] = self.param(name, nn.initializers.zeros, shape)
        for step in program.steps:
            inputs = (values[ref] for ref in step.inputs)
            values[step.output] = perform(step, self.options, *inputs)
        logits = None if program.logits is None else values[program.logits]
        return logits, {name: values[value] for name, value in program.taps}


@dataclasses.dataclass(frozen=True)
class Builder:
    """The function program → module that `Entry` holds; equal for equal programs, so that a file
    that is read again is not compiled again."""

    program: Program

    def __call__(self, *, frozen: bool, options: Options, classes: int | None) -> GraphNetwork:
        """The module.

        Raises:
          ValueError: a latent network was asked for.
        """
        if not frozen:
            raise ValueError("a network read from a .tflite file is frozen, and cannot be trained")
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
    return Network(Architecture(entry, True, entry.options), variables, provenance, str(path))


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
        options=Options(),
        taps=tuple(tap for tap, _ in found.all),
        style_taps=found.style,
        content_taps=found.content,
        takes=Sides(program, size, free),
        stride=stride if free else math.gcd(*size),
        classes=None if program.logits is None else shapes[program.logits][-1],
        top1=None,
        top5=None,
        parameters=sum(leaf.size for leaf in leaves),
        mebibytes=sum(leaf.nbytes for leaf in leaves) / 2**20,
        paper="",
        example=_smallest(program, size, stride) if free else size,
        free=free,
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
    # Whatever the arithmetic, shapes are the same; of this one they are soonest found.
    module = GraphNetwork(program._replace(taps=every), Options(backend="dense"))
    picture = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    (_, values), variables = jax.eval_shape(module.init_with_output, jax.random.key(0), picture)
    found = {int(value): tuple(leaf.shape) for value, leaf in values.items()}
    return {program.image: picture.shape, **found}, variables.get("params", {})


@functools.lru_cache(maxsize=4096)
def fits(program: Program, size: tuple[int, int]) -> bool:
    """Whether a network takes pictures of this height and width."""
    try:
        return bool(_shapes(program, size))
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
