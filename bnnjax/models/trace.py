"""Finds a network's layers and the shapes of their parameters without computing anything."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.binary.backend import Arithmetic, using
from bnnjax.layers import BatchNorm, Quantized

Path = tuple[str, ...]
Sides = int | tuple[int, int]  # of a picture: one integer for both, or (height, width)

_FASTEST_TRACED = Arithmetic(backend="dense")  # shapes do not depend on the arithmetic


class Call(NamedTuple):
    """A call of a layer: its path in the variables, the layer, the shape of its result, and its
    parent module."""

    path: Path
    layer: nn.Module
    output_shape: tuple[int, ...]
    parent: Any


def trace(module: nn.Module, *, side: Sides) -> list[Call]:
    """The calls of all innermost layers in order, for one picture with these sides."""
    paths: list[Path] = []
    calls: dict[Path, Call] = {}

    def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        path, parent = context.module.path, context.module.parent  # forgotten after the call
        paths.append(path)
        result = call(*args, **kwargs)
        calls[path] = Call(path, context.module, getattr(result, "shape", ()), parent)
        return result

    with nn.intercept_methods(record):
        shapes_of(module.init, jax.random.key(0), picture(side))
    outer = {path[:depth] for path in paths for depth in range(len(path))}
    return [calls[path] for path in paths if path not in outer]


def layers(module: nn.Module, *, side: Sides) -> dict[Path, nn.Module]:
    """All innermost layers by their paths, in the order of their calls."""
    return {call.path: call.layer for call in trace(module, side=side)}


def latent_shapes(module: nn.Module, *, side: Sides) -> dict[str, Any]:
    """The collections "params" and, if present, "batch_stats" that ``init`` creates, as trees of
    `jax.ShapeDtypeStruct`."""
    made = shapes_of(module.init, jax.random.key(0), picture(side))
    return {name: tree for name, tree in made.items() if name in ("params", "batch_stats")}


def frozen_shapes(module: nn.Module, *, side: Sides) -> dict[str, Any]:
    """The variables that `forms.freeze` creates, as trees of `jax.ShapeDtypeStruct`."""
    latent = latent_shapes(module, side=side)
    params, stats = (by_layer(latent.get(name, {})) for name in ("params", "batch_stats"))
    for path, layer in layers(module, side=side).items():
        if isinstance(layer, Quantized):
            params[path] = layer.frozen_shapes(params[path])
        elif isinstance(layer, BatchNorm):
            params[path] = layer.frozen_shapes(stats[path])
    return {"params": joined(params)}


def shapes_of(function: Callable[..., Any], *arguments: Any) -> Any:
    """`jax.eval_shape` with the arithmetic that is fastest to trace."""
    with fastest_traced():
        return jax.eval_shape(function, *arguments)


def fastest_traced() -> AbstractContextManager[None]:
    """A context in which layers use the arithmetic that is fastest to trace."""
    return using(_FASTEST_TRACED)


def picture(side: Sides) -> jax.ShapeDtypeStruct:
    """One picture with these sides."""
    sides = (side, side) if isinstance(side, int) else side
    return jax.ShapeDtypeStruct((1, *sides, 3), jnp.float32)


def by_layer(tree: Mapping[str, Any]) -> dict[Path, dict[str, Any]]:
    """The arrays of a collection by the path of their layer, then by name."""
    found: dict[Path, dict[str, Any]] = {}
    for (*path, name), leaf in flatten_dict(tree).items():
        found.setdefault((*path,), {})[name] = leaf
    return found


def joined(arrays: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    """The inverse of `by_layer`."""
    flat = {(*path, name): leaf for path, each in arrays.items() for name, leaf in each.items()}
    return unflatten_dict(flat)
