"""Where pictures are optimised: how many at a time, and on which devices."""

import os
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bnnjax.optimize.step import AXIS

_WIDEST = 32  # pictures that one step of an accelerator takes together


class Devices(NamedTuple):
    """How the pictures of a run are spread.

    Attributes:
      mesh: all devices that a group is spread over; None for a single one.
      most: pictures that a device takes together at most.
      workers: groups that are under way at the same time.
    """

    mesh: Mesh | None
    most: int
    workers: int

    @property
    def number(self) -> int:
        """How many devices a group is spread over."""
        return 1 if self.mesh is None else self.mesh.size

    def share(self, tree: Any) -> Any:
        """The tree with a copy of every leaf on each device."""
        return self._put(tree, PartitionSpec())

    def spread(self, tree: Any) -> Any:
        """The tree with the leading axis of every leaf cut up between the devices."""
        return self._put(tree, PartitionSpec(AXIS))

    def _put(self, tree: Any, spec: PartitionSpec) -> Any:
        return jax.device_put(tree, None if self.mesh is None else NamedSharding(self.mesh, spec))


def find() -> Devices:
    """All local devices of JAX's default platform, or the one in ``jax_default_device``.

    On a CPU the activations of several pictures fall out of the cache, so a step takes a single
    one; and one picture leaves cores idle between its operations, so that as many pictures are
    under way as there are cores, each in a thread of its own (XLA runs them side by side on its one
    device). An accelerator wants wide tensors, and has no use for threads.
    """
    chosen = jax.config.values["jax_default_device"]
    devices = jax.local_devices() if chosen is None else [chosen]
    mesh = Mesh(np.array(devices), (AXIS,)) if len(devices) > 1 else None
    if jax.default_backend() != "cpu":
        return Devices(mesh, most=_WIDEST, workers=1)
    return Devices(mesh, most=1, workers=1 if mesh else _cores())


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
