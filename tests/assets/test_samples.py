"""The sample pictures: there, small, of our own making, and worth looking at."""

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bnnjax import assets, images

ROOT = Path(__file__).parents[2]
NAMES = (*assets.PHOTOGRAPHS, *assets.PAINTINGS)


@pytest.fixture(scope="module")
def make():
    sys.path.insert(0, str(ROOT))
    try:
        from artwork import make
    finally:
        sys.path.remove(str(ROOT))
    return make


def test_every_sample_has_a_name_and_every_name_a_sample():
    paths = assets.samples()
    assert tuple(paths) == NAMES
    folder = ROOT / "bnnjax" / "assets" / "samples"
    assert {path.resolve() for path in paths.values()} == set(folder.glob("*.jpg"))


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_small_files_of_one_size(name):
    path = assets.samples()[name]
    assert images.load(path).shape == (384, 512, 3)
    assert path.stat().st_size <= 60_000


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_light_and_shade_and_colour(name):
    picture = images.load(assets.samples()[name])
    dark, bright = np.percentile(picture.mean(2), (2, 98))
    assert dark < 0.25
    assert bright > 0.6
    assert np.ptp(picture, axis=2).mean() > 0.1


def coarse(picture):
    """float [24, 32, 3]: strokes fall differently at another size, what they show is the same."""
    return np.asarray(picture.resize((32, 24), Image.Resampling.BOX), np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_the_programs_draw_the_samples(make, name):
    """At a quarter of the size, which takes seconds."""
    drawn = coarse(Image.fromarray(make.picture(name, width=128, height=96)))
    with Image.open(assets.samples()[name]) as picture:
        sample = coarse(picture)
    difference = np.abs(drawn - sample).mean()
    assert difference < 10  # of 255
    shuffled = np.random.default_rng(0).permutation(sample.reshape(-1, 3)).reshape(sample.shape)
    assert difference < 0.25 * np.abs(drawn - shuffled).mean()


def test_the_wheel_takes_the_samples_and_all_packages():
    with open(ROOT / "pyproject.toml", "rb") as file:
        chosen = tomllib.load(file)["tool"]["setuptools"]
    package = ROOT / "bnnjax"
    taken = {path for pattern in chosen["package-data"]["bnnjax"] for path in package.glob(pattern)}
    assert {package / "assets" / "samples" / f"{name}.jpg" for name in NAMES} <= taken
    folders = {path.parent.relative_to(ROOT) for path in package.rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in folders} <= set(chosen["packages"])
