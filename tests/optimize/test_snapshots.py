"""A run that is killed at any moment and started again ends with the same pixels."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from bnnjax.optimize import minimize, pyramid, snapshots
from tests.optimize.bowl import VARIABLES, WEIGHTS, Bowl

# Noise makes the key matter; slowness leaves time to kill the run.
KILLED = """
import sys, time
import numpy as np
from bnnjax.optimize import groups, minimize, pyramid, snapshots
from tests.optimize.bowl import VARIABLES, WEIGHTS, Bowl

snapshots.EVERY = 0
advance = groups.Group.advance
groups.Group.advance = lambda *args: (advance(*args), time.sleep(0.1))[0]
goals = np.load(sys.argv[1])
minimize(
    Bowl(0.5), VARIABLES, np.full_like(goals, 0.5), {"goal": goals}, WEIGHTS,
    parametrization=pyramid(), steps=400, progress=False, snapshots=sys.argv[2],
)
"""


@pytest.fixture
def run(goals):
    """A function that makes the run of `KILLED`."""

    def make(**options):
        data, grey = {"goal": goals}, np.full_like(goals, 0.5)
        options = {"parametrization": pyramid(), "steps": 400, "progress": False, **options}
        return minimize(Bowl(0.5), VARIABLES, grey, data, WEIGHTS, **options)

    return make


def saved(folder):
    """Each group's folder → the step of its latest complete snapshot."""
    return {p.parent.name: int(p.name) for p in folder.glob("group*/*") if p.name.isdigit()}


def assert_equal(found, expected):
    for place, picture in enumerate(expected.pictures):
        np.testing.assert_array_equal(found.pictures[place], picture)
        for name, values in expected.history[place].items():
            np.testing.assert_array_equal(found.history[place][name], values)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_pixels(run, goals, tmp_path):
    np.save(tmp_path / "goals.npy", goals)
    folder = tmp_path / "snapshots"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / "goals.npy"), str(folder)],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    deadline = time.monotonic() + 120
    while "group2" not in saved(folder):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < saved(folder)["group2"] < 400  # in the middle
    assert_equal(run(snapshots=folder), run())


@pytest.mark.slow
def test_finished_pictures_are_not_made_again(run, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "EVERY", 0)
    first = run(snapshots=tmp_path)
    updates = []
    again = run(snapshots=tmp_path, watch=updates.append)
    assert_equal(again, first)
    assert [update.steps for update in updates] == [400] * 5  # from the start


@pytest.mark.slow
@pytest.mark.parametrize("other", [{"steps": 401}, {"learning_rate": 0.5}, {"optimizer": "sgd"}])
def test_snapshots_of_another_run_are_refused(run, tmp_path, monkeypatch, other):
    monkeypatch.setattr(snapshots, "EVERY", 0)
    run(snapshots=tmp_path)
    with pytest.raises(ValueError, match="holds snapshots of another run"):
        run(snapshots=tmp_path, **other)


@pytest.mark.slow
def test_a_short_run_leaves_no_snapshots(run, tmp_path):
    run(snapshots=tmp_path, steps=3)
    assert list(tmp_path.iterdir()) == []
