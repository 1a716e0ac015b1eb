"""Activations and attributions in closed form, and what is kept of a run that was killed."""

import numpy as np
import pytest

from bnnjax import images
from bnnjax.atlas import samples
from bnnjax.atlas.config import AtlasConfig
from bnnjax.atlas.samples import collect, pictures_in

CONFIG = AtlasConfig(image_size=32, per_picture=3, seed=4)


@pytest.fixture
def gather(linear, photographs):
    """A function (**options) → samples and problems of the photographs."""

    def run(paths=None, config=CONFIG, **options):
        paths = pictures_in(photographs) if paths is None else paths
        return collect(linear, paths, tap="map", config=config, progress=False, **options)

    return run


def test_activations_and_attributions_have_their_closed_form(linear, photographs, gather):
    """The map is x·W, and one of its 32 × 32 positions contributes a·D / 32² to the logits."""
    found, problems = gather()
    params = linear.variables["params"]
    colors, dense = params["colors"]["kernel"], params["dense"]["kernel"]
    paths = pictures_in(photographs)
    assert not problems
    np.testing.assert_array_equal(found.pictures, np.repeat(np.arange(40), 3))
    for number in range(120):
        pixels = images.square(images.load(paths[found.pictures[number]]), size=32)
        row, column = (found.places[number] * 32 - 0.5).round().astype(int)
        activation = pixels[row, column] @ colors
        np.testing.assert_allclose(found.activations[number], activation, atol=1e-5)
        attribution = activation @ dense / 32**2
        np.testing.assert_allclose(found.attributions[number], attribution, rtol=2e-3, atol=1e-6)
        logits = pixels.reshape(-1, 3).mean(axis=0) @ colors @ dense
        chances = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(found.chances[number], chances, rtol=2e-3)


def test_positions_are_in_the_interior_and_differ(gather):
    found, _ = gather()
    places = found.places * 32 - 0.5
    assert 1 <= places.min() < 6
    assert 25 < places.max() <= 30
    assert len({*map(tuple, found.places)}) > 100


def test_the_same_seed_draws_the_same_and_another_does_not(gather):
    first, again = (gather()[0] for _ in range(2))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    other, _ = gather(config=CONFIG.changed(seed=5))
    assert (other.places != first.places).any()


def test_a_killed_run_resumes_after_its_last_part(gather, tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "PART", 16)
    whole, _ = gather()
    gather(folder=tmp_path)
    parts = sorted(tmp_path.glob("part*.npz"))
    assert len(parts) == 3
    parts[1].unlink()
    read = []
    load = images.load
    monkeypatch.setattr(images, "load", lambda path: read.append(path) or load(path))
    resumed, _ = gather(folder=tmp_path)
    assert len(read) == 16
    for a, b in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_activations_of_another_run_are_refused(gather, tmp_path, photographs):
    gather(folder=tmp_path)
    with pytest.raises(ValueError, match=r"another run \(not the same seed\)"):
        gather(folder=tmp_path, config=CONFIG.changed(seed=5))
    with pytest.raises(ValueError, match=r"another run \(not the same pictures\)"):
        gather(pictures_in(photographs)[:-1], folder=tmp_path)


def test_unreadable_pictures_are_reported_and_left_out(gather, photographs, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    first, second, *_ = pictures_in(photographs)
    found, problems = gather([first, broken, second], folder=tmp_path / "kept")
    np.testing.assert_array_equal(np.unique(found.pictures), [0, 2])
    assert len(problems) == 1
    assert "broken.png" in problems[0]
    assert gather([first, broken, second], folder=tmp_path / "kept")[1] == problems
    with pytest.raises(ValueError, match=r"none of 1 pictures can be read; the first: .*broken"):
        gather([broken])


def test_pictures_are_found_in_subfolders_in_order(tmp_path):
    for name in ("b/2.JPG", "a.png", "b/.hidden.png", "notes.txt", "b/1.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in pictures_in(tmp_path)]
    assert found == ["a.png", "b/1.webp", "b/2.JPG"]
    with pytest.raises(ValueError, match="no pictures in"):
        pictures_in(tmp_path / "c")


def test_a_replaced_tap_is_what_the_network_computes_with(linear):
    value = np.random.default_rng(0).normal(size=(1, 8, 8, 5)).astype(np.float32)
    logits, taps = linear.apply(
        {**linear.variables, "replaced": {"map": value}}, np.zeros((1, 8, 8, 3), np.float32)
    )
    expected = value.mean((1, 2)) @ linear.variables["params"]["dense"]["kernel"]
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    np.testing.assert_array_equal(taps["map"], value)
