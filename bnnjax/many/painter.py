"""The worker: holds a network and its compiled steps, and paints batches of pictures."""

import importlib
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bnnjax.images import FORMATS
from bnnjax.many.manifest import Task
from bnnjax.many.results import DONE, FAILED, Row
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.ensemble import Model, load_models
from bnnjax.nst.files import Writer
from bnnjax.nst.folder import Saver, finished_before
from bnnjax.nst.prepare import prepare


class Painter:
    """Paints batches of pictures into a folder; an actor of Ray Data.

    Args:
      directory: the folder, which exists and which all workers see.
      model, config: see `stylize_batch`.
      output_format: a name in `bnnjax.images.FORMATS`.
      cpus: the number of threads that XLA uses; None for one per core.
      imports, folder: modules that are imported first, and where they are besides Python's path.
    """

    def __init__(
        self,
        directory: Path,
        *,
        model: Model,
        config: StylizeConfig,
        output_format: str,
        cpus: int | None = None,
        imports: Sequence[str] = (),
        folder: str = "",
    ) -> None:
        if cpus is not None:  # read when JAX starts its backend, at the first computation
            os.environ["PJRT_NPROC"] = str(cpus)
        if imports and folder not in sys.path:
            sys.path.append(folder)
        for module in imports:
            importlib.import_module(module)
        self._network = load_models(model)
        self._directory, self._config, self._format = directory, config, output_format
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    def __call__(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Paints the tasks in these columns, and returns the columns of their rows."""
        columns = (batch[name].tolist() for name in Task._fields)
        rows = self.paint([Task(*values) for values in zip(*columns, strict=True)])
        return {n: np.array([getattr(row, n) for row in rows]) for n in Row._fields}

    def paint(self, tasks: Sequence[Task]) -> list[Row]:
        """Paints pictures side by side. One that cannot be painted costs the others nothing."""
        began = time.monotonic()
        try:
            faults, status = self._paint(tasks), DONE
        except ValueError as error:
            if len(tasks) > 1:  # find out whose fault it is
                half = len(tasks) // 2
                return self.paint(tasks[:half]) + self.paint(tasks[half:])
            faults, status = {0: " ".join(str(error).split())}, FAILED
        seconds = round((time.monotonic() - began) / len(tasks), 3)
        return [
            Row(*task, status, faults.get(n, ""), seconds, self._name)
            for n, task in enumerate(tasks)
        ]

    def _paint(self, tasks: Sequence[Task]) -> dict[int, str]:
        """Paints and saves pictures; returns what is wrong with them, by their indices."""
        contents, styles = [t.content for t in tasks], [t.style for t in tasks]
        work = prepare(contents, styles, model=self._network, config=self._config)
        suffix = FORMATS[self._format]
        paths = [self._directory / f"{task.name}{suffix}" for task in tasks]
        writer = Writer(work, paths)
        writer.check()
        done = finished_before(writer)
        saver = Saver(writer)
        result = work.run(progress=False, finished=saver, done=done)
        if result.interrupted:
            raise KeyboardInterrupt
        saver.finish(result, done)
        diverged = result.minimized.diverged
        return {n: f"the loss was no longer finite at step {s}" for n, s in diverged.items()}
