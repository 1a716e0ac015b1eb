"""``launch/train_cifar10.py`` run by a user on a handful of pictures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "train_cifar10.py"


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    rng = np.random.default_rng(0)
    for name in ("test_batch", *(f"data_batch_{number}" for number in range(1, 6))):
        records = rng.integers(0, 256, (4, 3073), dtype=np.uint8)
        records[:, 0] %= 10
        records.tofile(folder / f"{name}.bin")

    def run(*flags):
        command = [sys.executable, str(SCRIPT), "--workdir=run", "--json", *flags]
        environment = {**os.environ, "BNNJAX_CACHE": str(folder / "cache")}
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600
        )

    return run


@pytest.mark.slow
def test_it_trains_and_prints_the_accuracy_and_the_size(launch):
    ended = launch("--data_dir=.", "--epochs=1", "--batch_size=10")
    assert ended.returncode == 0, ended.stderr
    assert "31.3 times smaller" in ended.stdout
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["accuracy"][0] in (0, 25, 50, 75, 100)  # of four pictures
    assert f"epoch 1: accuracy {figures['accuracy'][0]:.2f} %" in ended.stdout

    again = launch("--data_dir=.", "--epochs=1", "--batch_size=10")
    assert json.loads(again.stdout.splitlines()[-1])["accuracy"] == figures["accuracy"]


@pytest.mark.slow
def test_a_directory_without_pictures_gives_an_error_of_one_line(launch):
    ended = launch("--data_dir=run")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(
        "train_cifar10.py: run: needs CIFAR-10's binary"
    )
