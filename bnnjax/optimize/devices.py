"""Where pictures are optimised: on which devices, and how many at a time."""

import os
from typing import NamedTuple

import jax

_WIDEST = 32  # pictures that one step of an accelerator takes together


class Devices(NamedTuple):
    """What a run works with.

    Attributes:
      workers: a device for each group that is under way at the same time.
      most: how many pictures a group has at most.
      shared: whether all workers live in one memory.
    """

    workers: tuple[jax.Device, ...]
    most: int
    shared: bool


def find() -> Devices:
    """All local devices of JAX's default platform, or the one in ``jax_default_device``.

    Each group stays on one device and is computed by the program that a single device would run:
    pictures are the same on one device and on eight (a program partitioned over a mesh is compiled
    otherwise, and differs in the last bit), and no device ever waits for another.

    On a CPU the activations of several pictures fall out of the cache, so a group is a single one.
    It leaves cores idle between its operations, so as many groups are under way as there are cores:
    XLA runs them side by side, on one device too. An accelerator wants wide tensors.
    """
    chosen = jax.config.values["jax_default_device"]
    devices = tuple(jax.local_devices()) if chosen is None else (chosen,)
    if devices[0].platform != "cpu":
        return Devices(devices, most=_WIDEST, shared=False)
    workers = devices if len(devices) > 1 else devices * _cores()
    return Devices(workers, most=1, shared=True)


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
