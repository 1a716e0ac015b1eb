"""Snapshots of groups on disk, from which a killed run resumes and reaches the same pixels."""

import hashlib
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bnnjax.optimize.groups import Group, Run

EVERY = 20  # seconds between snapshots of a group


class _Other(Exception):
    """A snapshot of another run."""


class Snapshots:
    """The folder in which Orbax keeps the latest snapshot of a group.

    Only a group that computes the same thing resumes from a snapshot. A fingerprint covers the
    lowered program, the variables, the key, the initial pictures, their data and weights, and the
    number of steps.

    Args:
      directory: the folder for all groups of the run; created if missing.
      run: what the groups share.
      group: the group before its first step.
      program: the lowered program of its step.
      began: when the run began, by `time.monotonic`.
    """

    def __init__(
        self, directory: Path, run: Run, group: Group, program: str, *, began: float
    ) -> None:
        self._path = directory.expanduser().absolute() / f"group{group.members[0]}"
        variables, state, data, weights, rate, key, steps = group.arguments(run, 0)
        given = (variables, state, data, weights, rate, jax.random.key_data(key), steps)
        self._fingerprint = _digest(np.frombuffer(program.encode(), np.uint8), given)
        self._run = run
        self._group = group
        self._began = self._taken = began

    def restore(self) -> None:
        """Restores the group from its latest snapshot, if there is one.

        Raises:
          ValueError: the snapshot belongs to another run, or is damaged.
        """
        if not self._path.exists():
            return
        try:
            self._restore()
        except _Other:
            raise ValueError(
                f"{self._path.parent} holds snapshots of another run; resume with the pictures and "
                "options of that run, or choose another folder"
            ) from None
        except Exception as error:  # Orbax raises nearly any exception on damaged files
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(
                f"{self._path}: a damaged snapshot; remove this folder to begin anew ({reason})"
            ) from error

    def _restore(self) -> None:
        import orbax.checkpoint as ocp

        with self._manager() as manager:
            if (step := manager.latest_step()) is None:
                return
            found = manager.restore(step, args=ocp.args.PyTreeRestore())
        if not np.array_equal(found["fingerprint"], self._fingerprint):
            raise _Other
        leaves, structure = jax.tree.flatten(self._group.state)
        loaded = [np.asarray(found["state"][f"{place:04}"]) for place in range(len(leaves))]
        for leaf, value in zip(leaves, loaded, strict=True):
            if (leaf.shape, leaf.dtype) != (value.shape, value.dtype):
                raise ValueError(f"an array is {value.dtype} {value.shape}")
        state = jax.tree.unflatten(structure, loaded)
        self._group.state = jax.device_put(state, self._group.device)
        self._group.history = {name: np.array(rows) for name, rows in found["history"].items()}
        self._group.done = step

    def save(self) -> None:
        """Saves the group if its latest snapshot is old, or if it is finished and the run is old:
        a run shorter than `EVERY` seconds is not worth a snapshot."""
        finished = self._group.finished(self._run.total)
        if time.monotonic() - (self._began if finished else self._taken) < EVERY:
            return
        import orbax.checkpoint as ocp

        leaves = jax.tree.leaves(self._group.state)
        tree = {
            "fingerprint": self._fingerprint,
            "state": {f"{place:04}": np.asarray(leaf) for place, leaf in enumerate(leaves)},
            "history": self._group.history,
        }
        with self._manager() as manager:
            if manager.latest_step() != self._group.done:
                manager.save(self._group.done, args=ocp.args.PyTreeSave(tree))
        self._taken = time.monotonic()

    def _manager(self) -> Any:
        import orbax.checkpoint as ocp  # takes a second to import

        options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
        return ocp.CheckpointManager(self._path, options=options)


def _digest(*trees: Any) -> np.ndarray:
    """The sha256 of all arrays in these trees, uint8 [32]."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(trees):
        array = np.ascontiguousarray(leaf)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array.tobytes())
    return np.frombuffer(found.digest(), np.uint8)
