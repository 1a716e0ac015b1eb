"""The devices that pictures are optimised on, and how many pictures run at a time."""

import os
from typing import NamedTuple

import jax

_WIDEST = 32  # pictures per step on an accelerator


class Devices(NamedTuple):
    """The devices of a run.

    Attributes:
      workers: one device for each group that runs concurrently.
      most: the largest number of pictures per group.
      shared: whether all workers share one memory.
    """

    workers: tuple[jax.Device, ...]
    most: int
    shared: bool


def find() -> Devices:
    """All local devices of JAX's default platform, or the one in ``jax_default_device``.

    Each group stays on one device and runs the program that a single device would run. Pictures are
    therefore the same on one device and on eight (a program partitioned over a mesh is compiled
    differently and differs in the last bit), and no device ever waits for another.

    On a CPU, the activations of several pictures overflow the cache, so a group is one picture. It
    leaves cores idle between operations, so as many groups run as there are cores; XLA overlaps
    them even on one device. An accelerator prefers wide tensors.
    """
    chosen = jax.config.values["jax_default_device"]
    devices = tuple(jax.local_devices()) if chosen is None else (chosen,)
    if devices[0].platform != "cpu":
        return Devices(devices, most=_WIDEST, shared=False)
    workers = devices if len(devices) > 1 else devices * _cores()
    return Devices(workers, most=1, shared=True)


def _cores() -> int:
    """The number of cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
