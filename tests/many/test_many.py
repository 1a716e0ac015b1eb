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
from bnnjax.many import stylize_many
from bnnjax.models import registry
from bnnjax.nst.recipe import Recipe
from bnnjax.port.storage import network_file
from tests.nst.conftest import TOY

SCRIPT = Path(__file__).parents[2] / "launch" / "stylize_many.py"
COMMAND = [sys.executable, str(SCRIPT), "--size=32", "--json", "--batch=2"]


@pytest.fixture(scope="session")
def toy(with_random_weights):
    """The network of the tests of style transfer, with random weights."""
    return with_random_weights(TOY)


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


NETWORK = """
import bnnjax
from tests.nst.conftest import TOY

bnnjax.register(TOY)
"""


@pytest.fixture
def own(photos, toy, monkeypatch):
    """A command in a folder with a network of its own: its file, and the module that registers
    it."""
    pytest.importorskip("ray.data")
    folder = photos.parent
    (folder / "own_network.py").write_text(NETWORK, encoding="utf-8")
    monkeypatch.setitem(registry.REGISTRY, TOY.name, TOY)
    network_file.save(toy, folder / "own")
    (photos / "6.png").unlink()
    monkeypatch.setenv("PYTHONPATH", str(SCRIPT.parents[1]))
    given = ["--pictures=photos", "--style=wave.png", "--cpus=1", "--model=own.safetensors"]
    return [*COMMAND, *given, "--import=own_network"]


@pytest.mark.slow
def test_workers_import_what_registers_a_network(photos, own):
    run = subprocess.run([*own, "--steps=2"], cwd=photos.parent, stdout=subprocess.PIPE, text=True)
    assert run.returncode == 0
    assert json.loads(run.stdout.splitlines()[-1])["done"] == 6
    assert Recipe.read(photos.parent / "out" / "0__wave.png").model == "own.safetensors"


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("early", [True, False])
def test_interrupts_end_all_processes_and_the_same_command_goes_on(photos, own, early, times):
    psutil = pytest.importorskip("psutil")
    folder, out = photos.parent, photos.parent / "out"
    process = subprocess.Popen([*own, "--steps=300"], cwd=folder, stderr=subprocess.PIPE, text=True)
    this = psutil.Process(process.pid)
    while process.poll() is None and not (this.children() if early else [*out.glob("*.png")]):
        time.sleep(0.1)
    time.sleep(3 * early)  # Ray is starting more
    others = this.children(recursive=True)
    assert others
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "stylize_many.py: interrupted"
    _, left = psutil.wait_procs(others, timeout=10)
    assert not left
    assert not [*out.glob(".*")]
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert early or kept
    if times == 1:
        again = subprocess.run([*own, "--steps=300"], cwd=folder)
        assert again.returncode == 0
        assert len(table(out)) == len([*out.glob("*__wave.png")]) == 6
        assert {path: path.stat().st_mtime_ns for path in kept} == kept


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--gpus=99"], "a worker needs 1 CPU, 99 GPU, but machines have"),
        (["--address=127.0.0.1:1"], "no Ray at 127.0.0.1:1: "),
        (["--address=auto"], "no Ray at auto: Could not find any running Ray instance"),
    ],
)
def test_faults_of_ray_are_one_line(photos, own, flags, message):
    run = subprocess.run([*own, *flags], cwd=photos.parent, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert run.stderr.splitlines()[-1].startswith(f"stylize_many.py: {message}")


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
