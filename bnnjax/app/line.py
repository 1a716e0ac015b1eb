"""The line in which jobs wait, and the thread that paints one after another.

One picture at a time: its step keeps all cores busy, and two would take twice the memory.
"""

import threading
from collections.abc import Callable
from typing import Any

from bnnjax.app.job import Job


class Line:
    """Jobs in the order in which they came; the first is being painted.

    Args:
      after: called in the painting thread after every job.
    """

    def __init__(self, *, after: Callable[[], Any] = lambda: None) -> None:
        self._after = after
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="painter", daemon=True)
        self._thread.start()

    def join(self, job: Job) -> None:
        """Puts a job at the end."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def leave(self, job: Job, *, keep: bool) -> None:
        """Ends a job, wherever it is; see `Job.stop`."""
        job.stop(keep=keep)
        with self._changed:
            if job in self._jobs[1:]:
                self._jobs.remove(job)
                job.state = "stopped"

    def before(self, job: Job) -> int:
        """How many jobs are before this one, the one that is being painted included."""
        with self._changed:
            return self._jobs.index(job) if job in self._jobs else 0

    def close(self, *, timeout: float = 5.0) -> None:
        """Ends all jobs, and the thread as soon as it can; waits for ``timeout`` seconds."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.stop(keep=False)
            self._changed.notify()
        self._thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if self._closed:
                    return
                job = self._jobs[0]
            job.run()
            with self._changed:
                self._jobs.remove(job)
            self._after()
