"""Checks of named arrays against their expected shapes and dtypes."""

from collections.abc import Mapping
from typing import Any


def faults(arrays: Mapping[str, Any], needed: Mapping[str, Any]) -> list[str]:
    """One line for every array that is missing, left over, or of the wrong shape or dtype.

    Args:
      arrays: the arrays by name.
      needed: objects with ``shape`` and ``dtype`` by the same names.
    """
    missing = [f"missing: {name}" for name in needed if name not in arrays]
    left_over = [f"left over: {name}" for name in arrays if name not in needed]
    pairs = [(name, _kind(arrays[name]), _kind(needed[name])) for name in needed if name in arrays]
    wrong = [f"{name}: is {is_}, needs {needs}" for name, is_, needs in pairs if is_ != needs]
    return missing + left_over + wrong


def _kind(array: Any) -> str:
    return f"{array.dtype}{list(array.shape)}"
