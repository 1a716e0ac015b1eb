"""The memory of a process that serves for months."""

import gc

import jax
import psutil

from bnnjax.optimize import memory


def forget_programs(*, above: int) -> bool:
    """Drops JAX's programs if this process has more than ``above`` bytes; whether it did.

    A picture of a new shape leaves a traced and compiled program of some 200 MiB. The next picture
    traces its own again, which takes as long as that of a new shape.
    """
    if psutil.Process().memory_info().rss <= above:
        return False
    jax.clear_caches()
    gc.collect()
    memory.release()
    return True
