"""The table of results, which survives a kill at any moment."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bnnjax.many.manifest import Task

TABLE, RUN = "results.csv", "run.json"
DONE, FAILED = "done", "failed"


class Row(NamedTuple):
    """What became of a picture.

    Attributes:
      name, content, style: see `manifest.Task`.
      status: "done" or "failed".
      error: why it failed; or what is wrong with it, if its loss diverged and it is the best
        picture before that; empty otherwise.
      seconds: its share of the time of the batch that it was painted in.
      worker: the machine and the process that painted it.
    """

    name: str
    content: str
    style: str
    status: str
    error: str
    seconds: float
    worker: str

    @property
    def task(self) -> Task:
        """The picture."""
        return Task(self.name, self.content, self.style)


class Results:
    """The rows of a folder. Each is written when it comes; in the end every picture has one row.

    Args:
      directory: the folder, which exists.
      run: everything that the pictures depend on besides their tasks, as JSON values.

    Raises:
      ValueError: the folder has results of a run with other options, or its table is not one.
    """

    def __init__(self, directory: Path, run: Mapping[str, Any]) -> None:
        self._path = directory / TABLE
        _check_run(directory / RUN, json.loads(json.dumps(run)))
        self._rows = {row.name: row for row in _read(self._path)}
        self._write(self.rows)  # mends a line that a kill has cut

    @property
    def rows(self) -> list[Row]:
        """The latest row of every picture."""
        return [*self._rows.values()]

    def is_done(self, task: Task) -> bool:
        """Whether this picture has been painted."""
        row = self._rows.get(task.name)
        return row is not None and row.status == DONE and row.task == task

    def add(self, rows: Iterable[Row]) -> None:
        """Adds rows to the end of the table."""
        rows = [*rows]
        self._rows |= {row.name: row for row in rows}
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)

    def finish(self, tasks: Iterable[Task]) -> list[Row]:
        """Rewrites the table with one row per picture, in the order of ``tasks``."""
        named = {task.name: None for task in tasks}
        ordered = [self._rows[name] for name in named if name in self._rows]
        others = [row for name, row in self._rows.items() if name not in named]
        self._write([*ordered, *others])
        return ordered

    def _write(self, rows: Iterable[Row]) -> None:
        part = self._path.with_name(f".{self._path.name}.part")
        with open(part, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([Row._fields, *rows])
        part.replace(self._path)


def _check_run(path: Path, run: Mapping[str, Any]) -> None:
    if not path.exists():
        path.write_text(json.dumps(run, indent=1), encoding="utf-8")
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path} was not written by bnnjax; choose another directory") from None
    if before != run:
        names = {*before, *run} if isinstance(before, dict) else ()
        changed = ", ".join(sorted(n for n in names if before.get(n) != run.get(n)))
        raise ValueError(
            f"{path.parent} has pictures that were made with other options ({changed}); choose "
            "another directory"
        )


def _read(path: Path) -> list[Row]:
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            heading, *lines = [*csv.reader(file)] or [[]]
    except csv.Error as error:
        raise ValueError(f"{path} is damaged ({error}); choose another directory") from None
    if tuple(heading) != Row._fields:
        raise ValueError(f"{path} is not a table of results; choose another directory")
    return [row for line in lines if (row := _row(line))]


def _row(line: list[str]) -> Row | None:
    """A row of the table, or None for one that a kill has cut."""
    try:
        name, content, style, status, error, seconds, worker = line
        row = Row(name, content, style, status, error, float(seconds), worker)
        return row if row.status in (DONE, FAILED) else None
    except ValueError:
        return None
