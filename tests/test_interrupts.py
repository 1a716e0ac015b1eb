"""Ctrl-C: processes that end at once, even within a long call, and loops that end in order."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bnnjax import interrupts

ROOT = Path(interrupts.__file__).parents[1]

# Swallows interrupts, as libraries do while they are imported, and says when it begins to.
DEAF = """
import hashlib, time
from bnnjax import interrupts
interrupts.leave_at_once()
print("ready", flush=True)
until = time.monotonic() + 60
while time.monotonic() < until:
    try:
        {busy}
    except KeyboardInterrupt:
        pass
"""
HELD = """
import time
from bnnjax import interrupts
interrupts.leave_at_once()
with interrupts.held() as noted:
    print("ready", flush=True)
    noted.wait(60)
    print("noted", flush=True)
    time.sleep({seconds})
print("ended", flush=True)
"""


@pytest.fixture
def start():
    """A function (program) → the process, which has printed that it is ready."""
    started = []

    def run(program):
        # Without bnnjax/__init__.py, which takes seconds.
        light = "import sys, types; package = sys.modules['bnnjax'] = types.ModuleType('bnnjax')"
        light += f"; package.__path__ = [{str(ROOT / 'bnnjax')!r}]"
        command = [sys.executable, "-c", f"{light}\n{program}"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "busy", ["time.sleep(0.01)", "hashlib.pbkdf2_hmac('sha1', b'', b'', 10**9)"]
)
def test_a_process_ends_whatever_it_is_doing(start, busy):
    """The function of hashlib takes minutes outside Python, as a compilation does."""
    process = start(DEAF.format(busy=busy))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert errors.split() == ["-c:", "interrupted"]


def test_a_loop_that_holds_interrupts_comes_to_its_end(start):
    process = start(HELD.format(seconds=0))
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.split() == ["noted", "ended"]
    assert len(errors.split("\n")) == 3
    assert "press again" in errors


def test_a_second_interrupt_is_not_held(start):
    process = start(HELD.format(seconds=60))
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "noted\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert output == ""


@pytest.fixture
def plain():
    """Python's own handling of Ctrl-C, which pytest leaves in place."""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("plain")
def test_in_a_program_of_its_own_the_second_interrupt_is_raised():
    with interrupts.held() as noted:
        signal.raise_signal(signal.SIGINT)
        assert noted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("plain")
def test_other_threads_hold_nothing():
    def work():
        with interrupts.held() as noted:
            found.append(noted.is_set())

    found = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("argv", "orig", "is_command"),
    [
        ([str(ROOT / "launch" / "stylize.py")], ["python"], True),
        (["/usr/bin/bnnjax-stylize", "--help"], ["python"], True),
        (["-m"], ["python", "-m", "bnnjax.launch.stylize"], True),
        (["/home/me/launch/stylize.py"], ["python"], False),
        (["-c"], ["python", "-c", "import bnnjax"], False),
        ([""], ["python"], False),
        ([], ["python"], False),
    ],
)
def test_only_our_scripts_are_watched_from_the_start(monkeypatch, argv, orig, is_command):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.setattr(sys, "orig_argv", orig)
    assert interrupts.is_command() == is_command
