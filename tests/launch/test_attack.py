"""``launch/attack.py`` as a user runs it."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnjax import images

SCRIPT = Path(__file__).parents[2] / "launch" / "attack.py"
SMALL = ["--size=64", "--steps=5", "--checks=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_picture):
    """A user's folder of two pictures."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "photos").mkdir()
    for name, seed in (("boat", 0), ("lion", 1)):
        picture = np.rint(255 * make_picture(seed, 70, 90)).astype(np.uint8)
        Image.fromarray(picture).save(folder / "photos" / f"{name}.png")
    return folder


def launch(*flags, cwd):
    command = [sys.executable, str(SCRIPT), *flags]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_a_folder_is_attacked_and_figures_are_json(folder):
    ended = launch("--images=photos", "--epsilon=2,8", "--json", *SMALL, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert (figures["n"], figures["clean_top1"]) == (2, 100)
    assert figures["adversarial_top1"].keys() == figures["success_rate"].keys() == {"2", "8"}
    assert figures["success_rate"]["8"] == 100
    for name in ("boat", "lion"):
        assert images.load(folder / "attacked" / f"{name}__eps8.png").shape == (64, 64, 3)
    with open(folder / "attacked" / "attack.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 4
    again = launch("--images=photos", "--epsilon=2,8", *SMALL, cwd=folder)
    assert again.returncode == 1
    assert "exists already" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--images=photos", "--target=beagel"], "did you mean 'beagle'?"),
        (["--images=photos", "--attack=style"], "needs styles"),
    ],
)
def test_bad_input_ends_in_one_line(folder, flags, message):
    ended = launch(*flags, "--output_dir=bad", *SMALL, cwd=folder)
    assert ended.returncode == 1
    assert len([line for line in ended.stderr.splitlines() if "step" not in line]) == 1
    assert message in ended.stderr
    assert not (folder / "bad").exists()
