"""The training loop: progress, curves, checkpoints, and resuming an interrupted run exactly."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from tqdm.auto import tqdm

from bnnjax.images import failure
from bnnjax.train.curves import CurveWriter

SAVE_EVERY = 150  # steps between checkpoints
CONFIG = "config.json"


class Task(Protocol):
    """Something that `train` can train."""

    epochs: int
    steps_per_epoch: int

    @property
    def saved_config(self) -> Mapping[str, Any]:
        """JSON values that a run must share with the one that it resumes.

        If they include ``epochs``, the run may be resumed with more of them, but not with fewer.
        """

    def init(self) -> Any:
        """The state before the first step, a pytree of arrays."""

    def step(self, state: Any, index: int) -> tuple[Any, dict[str, Any]]:
        """The state after step number ``index``, counted from 0, and scalar metrics of the step.

        The result must depend on the arguments alone, so that a run can be resumed exactly.
        """

    def evaluate(self, state: Any) -> dict[str, float]:
        """Metrics on validation data."""


def train(
    task: Task,
    workdir: str | Path,
    *,
    after_epoch: Callable[[Any, int, dict[str, float]], None] | None = None,
    progress: bool = True,
) -> Any:
    """Trains to the end, from the last checkpoint in ``workdir`` if there is one.

    An interrupted run resumes from its last checkpoint and gives the same result, bit by bit, as
    one that was never interrupted.

    Args:
      task: the network and its data.
      workdir: directory for the checkpoints, ``config.json``, and the curves ``training.csv`` and
        ``validation.csv`` (see `CurveWriter`).
      after_epoch: called with the state, the number of epochs done, and the validation metrics.
      progress: whether to show a progress bar with the time left.

    Returns:
      The final state.

    Raises:
      ValueError: there are fewer pictures than one step takes, or ``workdir`` holds a run with
        another config, or one whose files are damaged.
    """
    if task.steps_per_epoch < 1:
        raise ValueError("an epoch has no steps; use more pictures or a smaller batch size")
    import orbax.checkpoint as ocp  # takes a second to import

    workdir = Path(workdir).absolute()
    _check_config(workdir, task.saved_config)
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    with ocp.CheckpointManager(workdir / "checkpoints", options=options) as manager:
        state, done = task.init(), manager.latest_step() or 0
        if done:
            state = _restored(manager, done, state)
        curves = CurveWriter(workdir, done)
        last = task.epochs * task.steps_per_epoch
        bar = tqdm(range(done, last), initial=done, total=last, unit="step", disable=not progress)
        for index in bar:
            state, metrics = task.step(state, index)
            step = index + 1
            curves.add(step, metrics)
            epoch, rest = divmod(step, task.steps_per_epoch)
            is_saved = step % SAVE_EVERY == 0 or step == last
            if rest and not is_saved:
                continue
            with curves.paused(metrics):
                if not rest:
                    validation = task.evaluate(state)
                    curves.add_validation(step, epoch, validation)
                    bar.set_postfix(validation)
                    if after_epoch:
                        after_epoch(state, epoch, validation)
                if is_saved:
                    manager.save(step, args=ocp.args.StandardSave(state))
    return state


def _restored(manager: Any, step: int, like: Any) -> Any:
    """The state in the checkpoint of a step."""
    import orbax.checkpoint as ocp

    try:
        return manager.restore(step, args=ocp.args.StandardRestore(like))
    except Exception as error:  # Orbax raises nearly any exception on damaged files
        folder = manager.directory / str(step)
        what = "a damaged checkpoint; without this folder, the one before is taken"
        raise failure(folder, what, error) from error


def _check_config(workdir: Path, config: Mapping[str, Any]) -> None:
    """Writes the config of a new run, or compares it with that of the run to resume."""
    path, new = workdir / CONFIG, json.loads(json.dumps(config))
    old = _read_config(path) if path.exists() else new
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        is_more = name == "epochs" and type(before) is type(now) is int and now > before
        if not is_more:
            fewer = " or more" if name == "epochs" else ""
            raise ValueError(
                f"{workdir} holds a run with {name}={before!r}{fewer}, got {now!r}; "
                "choose another workdir"
            )
        tqdm.write(
            f"{workdir}: the run was started with epochs={before}; whatever depends on the number, "
            f"such as the learning rate, follows epochs={now} from now on",
            file=sys.stderr,
        )
    workdir.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(new, indent=2) + "\n", "utf-8")
    draft.replace(path)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise failure(path, "damaged; choose another workdir", error) from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: damaged (no object of options); choose another workdir")
    return found
