"""Loads any network of Larq Compute Engine from its ``.tflite`` file, with taps and gradients.

The package's own layers compute the file's operators, so binary kernels stay packed, and the
network has the package's speed, pseudo-gradients and options. Quantized (int8) tensors are
represented by dequantized floats, and the gradient passes straight through the rounding.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from bnnjax.models import trace
from bnnjax.models.entry import Card, Entry
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.port.program import sizes
from bnnjax.port.program.entry import UNKNOWN_SIZE, Build, make_entry
from bnnjax.port.program.preprocessing import PREPROCESSINGS, check
from bnnjax.port.program.program import Program
from bnnjax.port.program.sizes import Shape, Size
from bnnjax.port.storage.download import file_sha256
from bnnjax.port.tflite.builder import GraphBuilder
from bnnjax.port.tflite.graph import Graph, read_graph
from bnnjax.port.tflite.taps import name_taps
from bnnjax.port.tflite.translate import translate


def load_graph(path: str | Path, *, preprocessing: str = "imagenet") -> Network:
    """Loads a network from any ``.tflite`` file with the operators in `translate.HANDLERS`.

    Args:
      path: the path of the file.
      preprocessing: how the file expects its pictures: "imagenet" (zero mean and unit deviation
        over ImageNet, as in all networks of Larq Zoo), "unit" ([0, 1], for a file that normalizes
        them itself), "symmetric" ([−1, 1]) or "bytes" (0 to 255).

    Raises:
      ValueError: an unsupported operator (the message says where), a damaged file, or an unknown
        ``preprocessing``.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    check(preprocessing)
    graph = read_graph(path)
    try:
        entry, variables = network_of(graph, Path(path).name, preprocessing=preprocessing)
    except ValueError as error:
        raise ValueError(f"{path}: {_first_line(error)}") from None
    except Exception as error:  # a damaged file may break any step in any way
        what = f"{type(error).__name__}: {_first_line(error)}"
        raise ValueError(f"{path}: damaged .tflite file ({what})") from error
    provenance = {
        "source": Path(path).name,
        "sha256": file_sha256(path),
        "kernels": "binarized",
        "preprocessing": preprocessing,
    }
    return Network(Architecture.published(entry), variables, provenance, path=str(path))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def network_of(
    graph: Graph, name: str, *, preprocessing: str = "imagenet"
) -> tuple[Entry, Variables]:
    """The entry and the variables of a graph.

    Raises:
      ValueError: unsupported operators or shapes.
    """
    _check_image(graph)
    bare, builder = translate(graph)
    taps = name_taps(builder)
    program = bare.with_taps(taps.all)
    height, width = graph.tensors[graph.inputs[0]].shape[1:3]
    size = (height, width) if min(height, width) > 1 else UNKNOWN_SIZE
    shapes = _check_shapes(graph, builder, program, size)
    leaves = jax.tree.leaves(builder.params)
    entry = make_entry(
        name,
        Build(program),
        builder,
        size=size,
        taps=taps,
        normalize=PREPROCESSINGS[preprocessing],
        card=Card(
            num_classes=None if program.logits is None else shapes[program.logits][-1],
            parameters=sum(leaf.size for leaf in leaves),
            mebibytes=sum(leaf.nbytes for leaf in leaves) / 2**20,
        ),
    )
    return entry, {"params": jax.tree.map(jnp.asarray, builder.params)}


def _check_image(graph: Graph) -> None:
    shapes = [list(graph.tensors[index].shape) for index in graph.inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][3] != 3:
        raise ValueError(f"takes inputs of shapes {shapes}, needs a single one [1, h, w, 3]")


def _check_shapes(
    graph: Graph, builder: GraphBuilder, program: Program, size: Size
) -> dict[int, Shape]:
    """The shapes of all values; checks them and those of the weights against the file."""
    shapes, _ = sizes.shapes(program, size)
    needed = trace.frozen_shapes(Build(program)(), side=size)["params"]
    stated = graph.tensors[program.image].shape[1:3] == size
    for step in program.steps + program.head:
        if step.output >= len(graph.tensors) or not stated:
            continue
        last = -1 if step.output in builder.signs else None  # packed words, or channels
        shape, wanted = shapes[step.output][:last], graph.tensors[step.output].shape[:last]
        if shape != wanted:
            raise ValueError(f"{step.where} has the shape {list(wanted)}, not {list(shape)}")
    given = flatten_dict(builder.params, sep="/")
    for name, leaf in flatten_dict(needed, sep="/").items():
        if leaf.shape != given[name].shape:
            raise ValueError(f"{name} has shape {given[name].shape}, needs {leaf.shape}")
    return shapes
