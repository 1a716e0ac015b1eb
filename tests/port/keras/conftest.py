"""Models that Larq and Keras 3 saved (tests/reference/own_models.py and keras3.py)."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

REFERENCE = Path(__file__).parents[2] / "reference"


class Own(NamedTuple):
    """A model in a file, and what Larq computes with it."""

    path: Path
    answers: dict[str, np.ndarray]

    def copied(self, folder):
        """A copy that may be changed."""
        path = folder / self.path.name
        path.write_bytes(self.path.read_bytes())
        return path


@pytest.fixture(scope="session")
def own_model(tmp_path_factory):
    """A function name → `Own`."""
    archive = np.load(REFERENCE / "own_models.npz")
    folder = tmp_path_factory.mktemp("own")

    def of(name):
        keys = [key for key in archive.files if key.startswith(f"{name}/")]
        found = {key.removeprefix(f"{name}/"): archive[key] for key in keys}
        files = [key for key in found if key.startswith("file ")]
        for key in files:
            path = folder / f"{name}{key.removeprefix('file ')}"
            path.write_bytes(found.pop(key).tobytes())
        return Own(folder / f"{name}{min(files).removeprefix('file ')}", found)

    return of


@pytest.fixture(scope="session")
def reference_archive():
    """A function name → the arrays of that reference."""
    return lambda name: np.load(REFERENCE / f"{name}.npz")


@pytest.fixture
def edited(own_model, tmp_path):
    """A function (name of an .h5 model, function) → a copy whose configuration the function has
    changed: it takes the layers by their names, and the configuration of the whole model."""
    h5py = pytest.importorskip("h5py")

    def edit(name, change):
        path = own_model(name).copied(tmp_path)
        with h5py.File(path, "a") as file:
            config = json.loads(file.attrs["model_config"])
            change({layer["name"]: layer for layer in config["config"]["layers"]}, config)
            file.attrs["model_config"] = json.dumps(config)
        return path

    return edit
