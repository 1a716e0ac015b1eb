"""The sample pictures exist, are small, and equal those that our programs draw."""

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnjax import assets, images

ROOT = Path(__file__).parents[2]
PATHS = {path.stem: path for paths in assets.samples() for path in paths}


@pytest.fixture(scope="module")
def make():
    sys.path.insert(0, str(ROOT))
    try:
        from artwork import make
    finally:
        sys.path.remove(str(ROOT))
    return make


def test_the_named_samples_are_those_in_the_directory():
    assert [[path.stem for path in paths] for paths in assets.samples()] == [
        ["lake", "still_life"],
        ["night", "town"],
    ]
    folder = ROOT / "bnnjax" / "assets" / "samples"
    assert {path.resolve() for path in PATHS.values()} == set(folder.glob("*.jpg"))


@pytest.mark.parametrize("name", PATHS)
def test_samples_are_small_files_of_one_size(name):
    path = PATHS[name]
    assert images.load(path).shape == (384, 512, 3)
    assert path.stat().st_size <= 60_000


@pytest.mark.parametrize("name", PATHS)
def test_samples_have_contrast_and_colour(name):
    picture = images.load(PATHS[name])
    dark, bright = np.percentile(picture.mean(2), (2, 98))
    assert dark < 0.25
    assert bright > 0.6
    assert np.ptp(picture, axis=2).mean() > 0.1


def coarse(picture):
    """float [24, 32, 3]; at another size single strokes differ, but the scene does not."""
    return np.asarray(picture.resize((32, 24), Image.Resampling.BOX), np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", PATHS)
def test_the_programs_draw_the_samples(make, name):
    """Drawing them at a quarter of the size takes only seconds."""
    drawn = coarse(Image.fromarray(make.picture(name, width=128, height=96)))
    with Image.open(PATHS[name]) as picture:
        sample = coarse(picture)
    difference = np.abs(drawn - sample).mean()
    assert difference < 10  # of 255
    shuffled = np.random.default_rng(0).permutation(sample.reshape(-1, 3)).reshape(sample.shape)
    assert difference < 0.25 * np.abs(drawn - shuffled).mean()


def test_the_wheel_contains_the_samples_and_all_packages():
    with open(ROOT / "pyproject.toml", "rb") as file:
        chosen = tomllib.load(file)["tool"]["setuptools"]
    package = ROOT / "bnnjax"
    taken = {path for pattern in chosen["package-data"]["bnnjax"] for path in package.glob(pattern)}
    assert {package / "assets" / "samples" / f"{name}.jpg" for name in PATHS} <= taken
    folders = {path.parent.relative_to(ROOT) for path in package.rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in folders} <= set(chosen["packages"])
