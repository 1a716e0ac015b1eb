"""Folders that runs write into: tried before the work, and claimed by one run at a time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bnnjax import destination


def claim(*arguments, **options):
    with destination.claimed(*arguments, **options):
        pass


def test_a_claimed_folder_is_there_and_goes_if_it_stays_empty(tmp_path):
    directory = tmp_path / "a" / "b"
    with destination.claimed(directory, ["x.png"]):
        assert directory.is_dir()
    assert not directory.exists()
    with destination.claimed(directory, []):
        (directory / "x.png").write_text("")
    assert os.listdir(directory) == ["x.png"]


def test_a_second_claim_is_refused_until_the_first_ends(tmp_path):
    with destination.claimed(tmp_path, []):
        with pytest.raises(ValueError, match="another run is writing into this directory"):
            claim(tmp_path, [])
        with pytest.raises(ValueError, match="another run"):  # the refusal released nothing
            claim(tmp_path, [])
        claim(tmp_path, [], lock=".other")
    claim(tmp_path, [])


@pytest.mark.slow
def test_a_killed_run_leaves_no_claim(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from bnnjax import destination\n"
        "with destination.claimed(Path(sys.argv[1]), []): os.kill(os.getpid(), 9)"
    )
    path = str(Path(destination.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run([sys.executable, "-c", code, tmp_path], env=environment)
    assert ended.returncode == -9
    (tmp_path / ".0.part").write_text("half a picture")
    claim(tmp_path, [])
    assert os.listdir(tmp_path) == []


def test_names_that_are_too_long_are_refused(tmp_path):
    claim(tmp_path / "out", ["x" * 255])
    with pytest.raises(ValueError, match=r"out: cannot be written to \(File name too long"):
        claim(tmp_path / "out", ["x" * 256])
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs Linux")
def test_folders_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="/proc/none/out: cannot be written to"):
        claim(Path("/proc/none/out"), [])


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ValueError, match="No space left on device"):
        claim(tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


def test_errors_within_are_not_disguised(tmp_path):
    with pytest.raises(OSError, match="mine"), destination.claimed(tmp_path, []):
        raise OSError("mine")


def test_many_existing_files_are_one_short_line(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(100)]
    for path in paths:
        path.touch()
    with pytest.raises(ValueError, match=r"0\.png.* and 96 more: exists already") as raised:
        destination.check(paths, overwrite=False)
    assert "--overwrite" in str(raised.value)
    destination.check(paths, overwrite=True)
    destination.check([tmp_path / "new.png"], overwrite=False)


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "out").touch()
    for path in (tmp_path / "out" / "a.png", tmp_path / "out" / "below" / "a.png"):
        with pytest.raises(ValueError, match="out is a file, needs to be a directory"):
            destination.check([path], overwrite=True)
