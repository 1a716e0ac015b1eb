"""How many binary weights flip as training goes on (``larq.metrics.FlipRatio``).

Few flips tell of a learning rate, or a threshold of Bop, that has settled; many of one that has not
(Helwegen et al. 2019, arXiv 1906.02107).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax.traverse_util import flatten_dict
from jax import Array


def flip_ratio(before: Array, after: Array) -> Array:
    """The share of values, 0 to 1, that differ between two arrays of one shape; a scalar."""
    return jnp.mean(before != after)


def sign_flips(
    before: Mapping[str, Any], after: Mapping[str, Any], clips: Mapping[str, Any]
) -> dict[str, Array]:
    """`flip_ratio` of the signs of every binary kernel, by its path.

    Args:
      before: the collection ``params`` of a network's variables.
      after: the same, some steps later.
      clips: the collection ``weight_clip`` of its variables: which kernels are binary.
    """
    old, new = flatten_dict(before), flatten_dict(after)
    paths = flatten_dict(clips)
    return {"/".join(path): flip_ratio(old[path] >= 0, new[path] >= 0) for path in paths}


class FlipRatio(NamedTuple):
    """Mean of `flip_ratio` over a sequence of arrays, each compared with the one before; a pytree.

    ``FlipRatio(first)`` begins it, `then` goes on, `mean` is the result.
    """

    last: Array
    total: Array | float = 0.0
    comparisons: Array | int = 0

    def then(self, values: Array) -> "FlipRatio":
        """With one array more."""
        total = self.total + flip_ratio(self.last, values)
        return FlipRatio(values, total, self.comparisons + 1)

    @property
    def mean(self) -> Array:
        """0 to 1; of the first array alone, 0."""
        return self.total / jnp.maximum(self.comparisons, 1)
