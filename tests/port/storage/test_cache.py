"""The location of the cache, and locks between processes."""

import subprocess
import sys
import threading

import jax
import platformdirs
import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

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
        (Unix, {}, "/home/me/.cache/bnnjax"),
        (Unix, {"XDG_CACHE_HOME": "/xdg"}, "/xdg/bnnjax"),
        (Unix, {"XDG_CACHE_HOME": ""}, "/home/me/.cache/bnnjax"),
        (Unix, {"XDG_CACHE_HOME": "/xdg", "BNNJAX_CACHE": "ours"}, "ours"),
        (Unix, {"BNNJAX_CACHE": ""}, "/home/me/.cache/bnnjax"),
        (MacOS, {}, "/home/me/Library/Caches/bnnjax"),
        (MacOS, {"BNNJAX_CACHE": "ours"}, "ours"),
        (Windows, {}, "/home/me/AppData/Local/bnnjax/Cache"),
        (Windows, {"BNNJAX_CACHE": "ours"}, "ours"),
    ],
)
def test_the_folder_is_where_the_platform_keeps_caches(monkeypatch, platform, variables, folder):
    for name in ("BNNJAX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(platformdirs, "PlatformDirs", platform)
    local = {"CSIDL_LOCAL_APPDATA": "/home/me/AppData/Local"}  # what Windows would answer
    monkeypatch.setattr(platformdirs.windows, "get_win_folder", local.__getitem__)
    assert cache.cache_folder().as_posix() == folder


def enter(path):
    """An event that is set as soon as another thread has the lock."""
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
        assert enter(tmp_path / "folder" / "other").wait(10)  # a lock of its own
        assert not entered.wait(0.2)
        holder.kill()
        assert entered.wait(10)
    assert not path.exists()


def test_a_lock_ends_with_an_error_inside(tmp_path):
    with pytest.raises(KeyboardInterrupt), cache.locked(tmp_path / "network"):
        raise KeyboardInterrupt
    assert enter(tmp_path / "network").wait(10)


@pytest.fixture
def folder():
    """A function that returns the folder of compilations; nothing is configured initially."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: jax.config.values[name] for name in names}
    jax.config.update(names[0], None)
    yield lambda: jax.config.values[names[0]]
    for name, value in before.items():
        jax.config.update(name, value)


def test_compilations_are_kept_in_the_cache_folder(monkeypatch, tmp_path, folder):
    monkeypatch.setenv("BNNJAX_CACHE", str(tmp_path))
    monkeypatch.delenv("BNNJAX_COMPILATION_CACHE", raising=False)
    cache.cache_compilations()
    assert folder() == str(tmp_path / "compiled")


@pytest.mark.parametrize("off", ["off", "0", "False"])
def test_compilations_are_not_kept_where_the_user_says_so(monkeypatch, folder, off):
    monkeypatch.setenv("BNNJAX_COMPILATION_CACHE", off)
    cache.cache_compilations()
    assert folder() is None


def test_a_cache_of_the_users_own_stays_in_place(monkeypatch, folder):
    jax.config.update("jax_compilation_cache_dir", "mine")
    monkeypatch.delenv("BNNJAX_COMPILATION_CACHE", raising=False)
    cache.cache_compilations()
    assert folder() == "mine"
