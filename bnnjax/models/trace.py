"""The layers of a network in the order they are called, found without computing."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

Path = tuple[str, ...]


class Call(NamedTuple):
    """A layer at work: its path in the variables, itself, the shape of its result, and the module
    that it is part of."""

    path: Path
    layer: nn.Module
    output_shape: tuple[int, ...]
    parent: Any


def trace(module: nn.Module, *, side: int | tuple[int, int]) -> list[Call]:
    """Calls of all innermost layers, in their order, for one picture [1, side, side, 3], or of
    sides (height, width)."""
    sides = (side, side) if isinstance(side, int) else side
    paths: list[Path] = []
    calls: dict[Path, Call] = {}

    def record(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        path, parent = context.module.path, context.module.parent  # which it soon forgets
        paths.append(path)
        result = call(*args, **kwargs)
        calls[path] = Call(path, context.module, getattr(result, "shape", ()), parent)
        return result

    with nn.intercept_methods(record):
        picture = jax.ShapeDtypeStruct((1, *sides, 3), jnp.float32)
        jax.eval_shape(module.init, jax.random.key(0), picture)
    outer = {path[:depth] for path in paths for depth in range(len(path))}
    return [calls[path] for path in paths if path not in outer]
