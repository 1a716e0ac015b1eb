"""Many pictures by Ray's workers: every picture exactly once, whatever is killed on the way."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bnnjax import images
from bnnjax.many import Workers, stylize_many
from bnnjax.nst.recipe import Recipe

SCRIPT = Path(__file__).parents[2] / "launch" / "stylize_many.py"
COMMAND = [sys.executable, str(SCRIPT), "--size=32", "--json", "--batch=2"]


@pytest.fixture
def photos(tmp_path, make_picture):
    """A folder with six photographs and a file that is none, beside a painting."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(6):
        images.save_png(folder / f"{number}.png", make_picture(number, 32, 32))
    (folder / "6.png").write_bytes(b"no picture")
    images.save_png(tmp_path / "wave.png", make_picture(7, 32, 32))
    return folder


def workers_of(process):
    """The processes of Ray that paint for this one."""
    psutil = pytest.importorskip("psutil")
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "MapWorker" in " ".join(child.cmdline()[:1])]


def table(folder):
    with open(folder / "results.csv", newline="", encoding="utf-8") as file:
        return [*csv.DictReader(file)]


@pytest.mark.slow
def test_a_killed_worker_costs_no_picture_and_a_second_run_paints_what_is_missing(photos):
    pytest.importorskip("ray.data")
    folder, out = photos.parent, photos.parent / "out"
    command = [*COMMAND, "--pictures=photos", "--style=wave.png", "--workers=2", "--steps=300"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    while process.poll() is None and not [*out.glob("*.png")]:
        time.sleep(0.1)
    killed = workers_of(process)[0].pid
    os.kill(killed, signal.SIGKILL)
    last = process.communicate(timeout=900)[0].splitlines()[-1]
    assert process.returncode == 1  # because of the file that is no picture
    assert {n: json.loads(last)[n] for n in ("done", "failed")} == {"done": 6, "failed": 1}
    rows = table(out)
    assert [row["name"] for row in rows] == [f"{n}__wave" for n in range(7)]
    assert [row["status"] for row in rows] == ["done"] * 6 + ["failed"]
    assert len({row["worker"] for row in rows}) >= 2
    pictures = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert {path.stem for path in pictures} == {row["name"] for row in rows[:6]}
    assert all(Recipe.read(path).config.steps == 300 for path in pictures)

    images.save_png(photos / "6.png", images.load(photos / "0.png"), overwrite=True)
    again = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert again.returncode == 0
    assert [row["status"] for row in table(out)] == ["done"] * 7
    assert {path: path.stat().st_mtime_ns for path in pictures} == pictures
    third = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert json.loads(third.stdout.splitlines()[-1])["done"] == 7
    assert len(table(out)) == 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch": 0}, "batch is 0, needs at least 1"),
        ({"workers": 0}, "count of workers is 0, needs at least 1"),
        ({"output_format": "gif"}, "output_format is 'gif', needs one of png, jpeg, webp"),
        ({"stepss": 3}, "did you mean 'steps'"),
        ({"model": "inknot"}, "did you mean 'inknet'"),
    ],
)
def test_mistakes_are_told_before_any_work(photos, given, message):
    out = photos.parent / "out"
    with pytest.raises(ValueError, match=message):
        stylize_many(photos, styles=[str(photos.parent / "wave.png")], output_dir=out, **given)
    assert not Path(out).exists()


def test_the_workers_share_the_cores_of_this_machine():
    cores = os.cpu_count() or 1
    assert Workers().cores == cores
    assert Workers(2 * cores).cores == 1
    assert Workers(2, cpus=3).cores == 3
