"""How many binary weights flip during training (``larq.metrics.FlipRatio``).

If few weights flip, the network has settled at this learning rate or threshold of Bop; if many do,
it has not (Helwegen et al. 2019, arXiv 1906.02107).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax import Array


def flip_ratio(before: Array, after: Array) -> Array:
    """The fraction of values that differ between two arrays of the same shape; a scalar."""
    return jnp.mean(before != after)


def sign_flips(
    before: Mapping[str, Any], after: Mapping[str, Any], clips: Mapping[str, Any]
) -> dict[str, Array]:
    """The `flip_ratio` of the signs of every binary kernel, by path.

    Args:
      before: the collection ``params`` of a network's variables.
      after: the same some steps later.
      clips: the collection ``weight_clip`` of its variables, which lists the binary kernels.
    """
    old, new = flatten_dict(before), flatten_dict(after)
    paths = flatten_dict(clips)
    return {"/".join(path): flip_ratio(old[path] >= 0, new[path] >= 0) for path in paths}


class FlipRatio(NamedTuple):
    """The mean of `flip_ratio` over a sequence, each array compared with the previous; a pytree.

    ``FlipRatio(first)`` starts it, `update` adds an array, `mean` is the result.

    Examples:
      >>> ratio = FlipRatio(jnp.array([1.0, 1.0]))
      >>> ratio.update(jnp.array([1.0, -1.0])).mean.item()
      0.5
    """

    last: Array
    total: Array | float = 0.0
    comparisons: Array | int = 0

    def update(self, values: Array) -> "FlipRatio":
        """Adds an array."""
        total = self.total + flip_ratio(self.last, values)
        return FlipRatio(values, total, self.comparisons + 1)

    @property
    def mean(self) -> Array:
        """The mean, from 0 to 1; 0 if there is only one array."""
        return self.total / jnp.maximum(self.comparisons, 1)
