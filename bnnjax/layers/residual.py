"""Residual additions, whose shortcuts may be scaled or cut."""

from jax import Array

from bnnjax.layers.options import Options


def add_shortcut(x: Array, shortcut: Array, options: Options) -> Array:
    """``x + residual_scale · shortcut``, arrays of the same shape.

    A scale of 1 is the addition that networks are trained with; with 0, the blocks form a plain
    chain.
    """
    if options.residual_scale == 1:
        return x + shortcut
    return x if options.residual_scale == 0 else x + options.residual_scale * shortcut
