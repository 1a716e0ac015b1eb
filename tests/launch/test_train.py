"""``launch/train.py`` run by a user on a few photographs, with a network of the user's own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
SCRIPT = """
import dataclasses
from functools import partial

import bnnjax
from bnnjax.models import inknet, registry
from launch import train

build = partial(inknet.InkNet, (32,), (1,))
bnnjax.register(dataclasses.replace(registry.find("inknet"), name="mine", build=build))
train.run()
"""


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "mine.py").write_text(SCRIPT)
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (folder / "pets" / split / name).mkdir(parents=True)
            for number in range(2):
                pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "pets" / split / name / f"{number}.jpg")

    def run(*flags):
        command = [sys.executable, "mine.py", "--workdir=run", "--json", *flags]
        environment = {
            **os.environ,
            "BNNJAX_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )

    run.folder = folder
    return run


@pytest.mark.slow
def test_a_registered_network_is_trained_on_folders_of_classes(launch):
    flags = ("--data_dir=pets", "--model=mine", "--epochs=1", "--batch_size=2", "--sides=32")
    ended = launch(*flags)
    assert ended.returncode == 0, ended.stderr
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert (figures["step"], figures["epoch"], figures["top5"]) == (2, 1, 100)
    assert (launch.folder / "run" / "network.safetensors").exists()
    config = json.loads((launch.folder / "run" / "config.json").read_text())
    assert (config["model"], config["photographs"], config["sides"]) == ("mine", 4, [32])

    again = json.loads(launch(*flags).stdout.splitlines()[-1])
    assert again["top1"] == figures["top1"]
    other = launch(*flags, "--seed=1")
    assert other.returncode == 1
    assert "holds a run with seed=0, got 1" in other.stderr


@pytest.mark.slow
def test_an_unknown_optimizer_gives_an_error_of_one_line(launch):
    ended = launch("--data_dir=pets", "--optimizer=sgd")
    assert ended.returncode == 1
    assert "value should be one of <adam|bop>" in ended.stderr.splitlines()[-1]
