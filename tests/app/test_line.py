"""The line, with jobs whose painting the test controls."""

import threading

import pytest

from bnnjax.app.line import Line


class Job:
    """A job that is painted until it is told to end."""

    def __init__(self):
        self.state = "waiting"
        self.begun, self.end = threading.Event(), threading.Event()
        self.kept = None

    def stop(self, *, keep):
        self.kept = keep
        self.end.set()

    def run(self):
        self.begun.set()
        self.end.wait(20)
        self.state = "done"


@pytest.fixture
def line():
    made = Line()
    yield made
    made.close()


def test_jobs_are_painted_in_the_order_in_which_they_came(line):
    jobs = [Job() for _ in range(3)]
    for job in jobs:
        line.join(job)
    for number, job in enumerate(jobs):
        assert job.begun.wait(20)
        assert [line.before(other) for other in jobs[number:]] == [*range(3 - number)]
        assert not any(other.begun.is_set() for other in jobs[number + 1 :])
        job.end.set()


def test_who_leaves_is_not_painted_and_others_move_up(line):
    first, second, third = (Job() for _ in range(3))
    for job in (first, second, third):
        line.join(job)
    assert first.begun.wait(20)
    line.leave(second, keep=True)
    assert second.state == "stopped"
    assert line.before(third) == 1
    line.leave(first, keep=False)
    assert third.begun.wait(20)
    assert (first.state, first.kept) == ("done", False)
    assert not second.begun.is_set()


def test_after_every_job_something_is_called():
    calls = threading.Semaphore(0)
    line = Line(after=calls.release)
    for _ in range(2):
        job = Job()
        job.end.set()
        line.join(job)
        assert calls.acquire(timeout=20)
    line.close()


def test_closing_ends_all(line):
    jobs = [Job(), Job()]
    for job in jobs:
        line.join(job)
    assert jobs[0].begun.wait(20)
    line.close(timeout=20)
    assert [job.kept for job in jobs] == [False, False]
    assert not jobs[1].begun.is_set()
