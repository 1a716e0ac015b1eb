"""``launch/atlas.py`` and ``launch/visualize.py`` as a user runs them, with the shipped network."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnjax import images

pytestmark = pytest.mark.slow

LAUNCH = Path(__file__).parents[2] / "launch"
FLAGS = [
    "--images=photographs", "--tap=stem", "--grid=2", "--layout=pca", "--least=1",
    "--image_size=64", "--size=32", "--steps=4", "--json",
]  # fmt: skip

# Runs the script, keeps a snapshot after every turn, and stops for good after the first.
STALLING = """
import runpy, sys, time
from bnnjax.optimize import snapshots
save = snapshots.Snapshots.save
def save_and_wait(self):
    save(self)
    print("saved", flush=True)
    time.sleep(600)
snapshots.EVERY, snapshots.Snapshots.save = 0, save_and_wait
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    return {**os.environ, "BNNJAX_CACHE": str(tmp_path_factory.mktemp("cache"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_picture):
    folder = tmp_path_factory.mktemp("user")
    (folder / "photographs").mkdir()
    for seed in range(8):
        picture = np.rint(255 * make_picture(seed, 70, 80)).astype(np.uint8)
        Image.fromarray(picture).save(folder / "photographs" / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def launch(environment, folder):
    def run(name, *flags):
        command = [sys.executable, str(LAUNCH / f"{name}.py"), *flags]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )

    return run


@pytest.fixture(scope="module")
def made(launch):
    ended = launch("atlas", *FLAGS, "--output_dir=whole")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_a_tiny_atlas_end_to_end(made, folder):
    assert made["activations"] == made["photographs"] == 8
    assert 2 <= made["cells"] <= 4
    assert made["files"] == [f"whole/atlas.{kind}" for kind in ("png", "html", "json")]
    assert images.load(folder / "whole" / "atlas.png").shape == (64, 64, 3)
    assert not (folder / "whole" / ".snapshots").exists()


@pytest.mark.usefixtures("made")
def test_a_killed_atlas_resumes_to_the_same_pixels(launch, environment, folder):
    flags = [*FLAGS, "--output_dir=resumed"]
    command = [sys.executable, "-c", STALLING, str(LAUNCH / "atlas.py"), *flags]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE) as process:
        line = process.stdout.readline()
        process.kill()
    assert line == b"saved\n"
    assert [*(folder / "resumed" / ".snapshots").glob("*/1")]
    (part,) = (folder / "resumed" / ".activations").glob("part*.npz")
    collected = part.stat().st_mtime_ns
    ended = launch("atlas", *flags, "--resume")
    assert ended.returncode == 0, ended.stderr
    assert part.stat().st_mtime_ns == collected
    assert not (folder / "resumed" / ".snapshots").exists()
    first, second = (folder / name / "atlas.png" for name in ("whole", "resumed"))
    np.testing.assert_array_equal(images.load(first), images.load(second))
    layouts = [json.loads((folder / n / "atlas.json").read_text()) for n in ("whole", "resumed")]
    for layout in layouts:
        del layout["figures"]["seconds"]
    assert layouts[0] == layouts[1]


@pytest.mark.usefixtures("made")
def test_an_atlas_is_not_replaced_by_mistake(launch):
    ended = launch("atlas", *FLAGS, "--output_dir=whole")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("atlas.py: whole/atlas.png, ")


def test_channels_of_two_taps(launch, folder):
    flags = ["--tap=stem_conv,stem", "--channel=0,3", "--size=32", "--steps=3", "--json"]
    ended = launch("visualize", *flags)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["files"] == ["channels/stem_conv.png", "channels/stem.png"]
    assert {tap: row["channels"] for tap, row in figures["taps"].items()} == {
        "stem_conv": 2,
        "stem": 2,
    }
    for file in figures["files"]:
        assert images.load(folder / file).shape == (68, 88, 3)
    again = launch("visualize", *flags)
    assert again.returncode == 1
    assert "exists already; choose another directory" in again.stderr
