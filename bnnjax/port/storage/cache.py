"""The cache folder for downloads and compiled programs, and locks between processes."""

import os
from pathlib import Path

import jax
import platformdirs
from filelock import FileLock


def cache_folder() -> Path:
    """``$BNNJAX_CACHE``, or ``bnnjax`` in the platform's cache folder."""
    if folder := os.environ.get("BNNJAX_CACHE"):
        return Path(folder)
    return platformdirs.user_cache_path("bnnjax", appauthor=False)


def cache_compilations() -> None:
    """Keeps JAX's compiled programs in the cache folder, between sessions and processes.

    A cache that the user has configured takes precedence; ``BNNJAX_COMPILATION_CACHE=off`` disables
    this one.
    """
    if os.environ.get("BNNJAX_COMPILATION_CACHE", "").lower() in ("off", "0", "false"):
        return
    if jax.config.values.get("jax_compilation_cache_dir") is None:
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def locked(path: Path) -> FileLock:
    """A context that only one process at a time can enter for ``path``; the others wait.

    The operating system releases the lock when the process ends, for whatever reason.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))
