"""Where the cache lies on each platform, and locks between processes."""

import errno
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from bnnjax.port.storage import cache

LOCKING = """
import runpy, sys, time
from pathlib import Path
with runpy.run_path(sys.argv[1])["locked"](Path(sys.argv[2])):
    print("locked", flush=True)
    time.sleep(20)
"""


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "home/.cache/bnnjax"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/bnnjax"),
        ("linux", {"XDG_CACHE_HOME": ""}, "home/.cache/bnnjax"),
        ("linux", {"XDG_CACHE_HOME": "xdg", "BNNJAX_CACHE": "ours"}, "ours"),
        ("linux", {"BNNJAX_CACHE": ""}, "home/.cache/bnnjax"),
        ("darwin", {}, "home/Library/Caches/bnnjax"),
        ("darwin", {"BNNJAX_CACHE": "ours"}, "ours"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/bnnjax/Cache"),
        ("win32", {}, "home/AppData/Local/bnnjax/Cache"),
        ("win32", {"BNNJAX_CACHE": "ours"}, "ours"),
    ],
)
def test_the_folder_is_where_the_platform_has_its_caches(monkeypatch, platform, variables, folder):
    for name in ("BNNJAX_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "home", **variables}.items():
        monkeypatch.setenv(name, value)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", platform)
        found = cache.cache_folder()
    assert found == Path(folder)


def enter(path):
    """An event that is set when another thread has the lock."""
    entered = threading.Event()

    def wait():
        with cache.locked(path):
            entered.set()

    threading.Thread(target=wait, daemon=True).start()
    return entered


def test_a_lock_keeps_others_out_until_its_process_ends_even_if_killed(tmp_path):
    path = tmp_path / "folder" / "network"
    command = [sys.executable, "-c", LOCKING, cache.__file__, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"locked\n"
        entered = enter(path)
        assert enter(tmp_path / "folder" / "other").wait(10)  # which is another matter
        assert not entered.wait(0.2)
        holder.kill()
        assert entered.wait(10)
    assert not path.exists()


def test_a_lock_ends_with_an_error_inside(tmp_path):
    with pytest.raises(KeyboardInterrupt), cache.locked(tmp_path / "network"):
        raise KeyboardInterrupt
    assert enter(tmp_path / "network").wait(10)


def test_on_windows_a_lock_is_waited_for_although_the_system_gives_up(tmp_path, monkeypatch):
    answers = iter([OSError(errno.EDEADLK, "gave up"), OSError(errno.EDEADLK, "gave up"), None])

    def locking(descriptor, mode, count):
        assert (mode, count) == ("wait", 1)
        if (error := next(answers)) is not None:
            raise error

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_LOCK="wait"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        with cache.locked(tmp_path / "network"):
            assert next(answers, "all asked") == "all asked"
