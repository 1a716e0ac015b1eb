"""Arrays that depend on weights alone."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np


class Known:
    """An array that is computed when its ``value`` is first needed, if it is."""

    def __init__(self, compute: Callable[[], np.ndarray]) -> None:
        self._compute = compute

    @classmethod
    def of(cls, value: Any) -> "Known":
        return cls(lambda: np.asarray(value))

    @functools.cached_property
    def value(self) -> np.ndarray:
        return self._compute()

    def broadcast(self, *, shape: Any, broadcast_dimensions: Any, **others: Any) -> "Known":
        """The array repeated along axes, without copies of its values (``broadcast_in_dim``)."""

        def compute() -> np.ndarray:
            sides = [1] * len(shape)
            for side, axis in zip(self.value.shape, broadcast_dimensions, strict=True):
                sides[axis] = side
            return np.broadcast_to(self.value.reshape(sides), shape)

        return Known(compute)

    @property
    def once(self) -> np.ndarray:
        """The array without repetitions and without leading axes of size 1."""
        array = self.value
        repeated = [n > 1 and step == 0 for n, step in zip(array.shape, array.strides, strict=True)]
        array = array[tuple(slice(0, 1) if twice else slice(None) for twice in repeated)]
        while array.ndim and array.shape[0] == 1:
            array = array[0]
        return array
