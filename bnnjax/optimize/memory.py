"""How much memory is available, and how much a compiled step needs, before a run begins."""

import contextlib
import ctypes
from pathlib import Path
from typing import Any

import jax
import psutil

_CGROUPS = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Free bytes on JAX's default device, or None if the device does not report them.

    On a CPU, these are the bytes that the system can still give to this process, within the limit
    of its container.
    """
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        return stats["bytes_limit"] - stats["bytes_in_use"] if "bytes_limit" in stats else None
    return min([psutil.virtual_memory().available, *_within_container()])


def _within_container(root: Path = _CGROUPS) -> list[int]:
    """Bytes left below the limit of this process's control group (Linux, version 2), if it has one.

    Inactive file cache does not count as used, because the kernel drops it first.
    """
    try:
        limit, used = (int((root / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (root / "memory.stat").read_text().splitlines()
        statistics = dict(line.split() for line in lines)
        return [limit - used + int(statistics["inactive_file"])]
    except (OSError, ValueError, KeyError):  # no such files, or "max": no limit
        return []


def release() -> None:
    """Gives freed memory back to the system, which glibc would keep.

    Compilation frees a lot, and so do programs that are dropped.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def step_bytes(compiled: Any) -> int:
    """Bytes of a compiled step's arguments, outputs and temporaries, by XLA's analysis.

    An output that takes the place of a donated argument counts once.
    """
    found = compiled.memory_analysis()
    outputs = found.output_size_in_bytes - found.alias_size_in_bytes
    return int(found.argument_size_in_bytes + outputs + found.temp_size_in_bytes)
