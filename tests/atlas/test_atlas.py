"""Atlases of the linear network: every step against NumPy, files, and errors."""

import dataclasses
import json
import re

import numpy as np
import pytest
from flax import linen as nn

import bnnjax
from bnnjax import images
from bnnjax.atlas import VisualizeConfig, channels, visualize
from bnnjax.atlas.directions import cosines
from bnnjax.atlas.files import atlas_into, save
from bnnjax.layers import Options
from bnnjax.models.network import Architecture
from bnnjax.models.tapped import Tapped

OPTIONS = {
    "grid": 3, "layout": "pca", "least": 2, "image_size": 32, "size": 32, "steps": 30,
    "learning_rate": 0.1, "jitter": 2, "seed": 3, "progress": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def atlas(linear, photographs):
    return bnnjax.activation_atlas(photographs, model=linear, **OPTIONS)


@pytest.mark.slow
def test_directions_are_the_means_of_the_cells(atlas):
    assert len(atlas.cells) >= 4
    centered = atlas.samples.activations - atlas.samples.activations.mean(axis=0)
    x = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    ends = []
    for cell in atlas.cells:
        members = [
            number
            for number, place in enumerate(atlas.assigned.tolist())
            if place == [cell.row, cell.column]
        ]
        np.testing.assert_array_equal(cell.members, members)
        np.testing.assert_allclose(
            cell.direction, atlas.samples.activations[members].mean(axis=0), rtol=1e-5
        )
        ends.append((cell.column, np.abs(x[members].mean())))
    middle = [end for column, end in ends if column == 1]
    assert max(middle) < min(end for column, end in ends if column != 1)


@pytest.mark.slow
def test_pictures_turn_towards_their_directions(linear, atlas):
    """The linear network sees the mean colour only, so every reachable direction is reached."""
    kernel = linear.variables["params"]["colors"]["kernel"]
    for cell in atlas.cells:
        response = cell.picture.reshape(-1, 3).mean(axis=0) @ kernel
        np.testing.assert_allclose(cell.response, response, rtol=1e-3, atol=1e-4)
        expected = response @ cell.direction
        expected /= np.linalg.norm(response) * np.linalg.norm(cell.direction)
        assert cell.cosine == pytest.approx(expected, abs=1e-4)
    assert atlas.figures()["cosine"]["median"] > 0.9


def test_classes_are_the_attributions_beyond_the_average(linear, atlas):
    dense = linear.variables["params"]["dense"]["kernel"]
    mean = atlas.samples.activations.mean(axis=0)
    for cell in atlas.cells:
        beyond = (cell.direction - mean) @ dense / 32**2
        order = np.argsort(-beyond)
        assert [name for name, _ in cell.classes] == [str(i) for i in order]
        np.testing.assert_allclose([v for _, v in cell.classes], beyond[order], atol=1e-5)
        assert sum(value for _, value in cell.seen) == pytest.approx(1, abs=1e-3)


def test_the_same_seed_gives_the_same_atlas(linear, photographs, atlas):
    again = bnnjax.activation_atlas(photographs, model=linear, **OPTIONS)
    np.testing.assert_array_equal(again.picture(), atlas.picture())
    np.testing.assert_array_equal(again.assigned, atlas.assigned)
    other = bnnjax.activation_atlas(photographs, model=linear, **{**OPTIONS, "seed": 4})
    assert (other.samples.places != atlas.samples.places).any()


def test_the_picture_shows_cells_in_their_places_on_white(atlas):
    whole = atlas.picture()
    assert whole.shape == (96, 96, 3)
    tiles = whole.reshape(3, 32, 3, 32, 3).swapaxes(1, 2)
    taken = {(cell.row, cell.column): cell.picture for cell in atlas.cells}
    for row in range(3):
        for column in range(3):
            np.testing.assert_array_equal(
                tiles[row, column], taken.get((row, column), np.float32(1))
            )


@pytest.mark.slow
def test_a_network_without_logits_has_an_atlas_without_classes(linear, photographs):
    architecture = dataclasses.replace(linear.architecture, num_classes=None)
    network = dataclasses.replace(linear, architecture=architecture)
    atlas = bnnjax.activation_atlas(photographs, model=network, **{**OPTIONS, "steps": 2})
    assert atlas.samples.attributions.shape == (40, 0)
    assert all(cell.classes == cell.seen == [] for cell in atlas.cells)


def test_figures_are_what_they_say():
    a, b = np.eye(3)[:2], np.array([[3.0, 4, 0], [0, 0, 2]])
    np.testing.assert_allclose(cosines(a, b), [[0.6, 0], [0.8, 0]])


def test_an_atlas_in_files(atlas, tmp_path):
    paths = save(atlas, tmp_path / "atlas")
    assert [path.name for path in paths] == ["atlas.png", "atlas.html", "atlas.json"]
    np.testing.assert_allclose(images.load(paths[0]), atlas.picture(), atol=0.5 / 255 + 1e-6)
    layout = json.loads(paths[2].read_text())
    assert len(layout["activations"]) == 40
    members = [number for cell in layout["cells"] for number in cell["members"]]
    assert all(
        layout["activations"][number]["cell"] == cell["cell"]
        for cell in layout["cells"]
        for number in cell["members"]
    )
    assert len({*members}) == len(members)
    with pytest.raises(ValueError, match="exists already"):
        save(atlas, tmp_path / "atlas")


def test_the_page_has_everything_inside(atlas, tmp_path):
    text = save(atlas, tmp_path)[1].read_text()
    assert not re.search(r"(src|href)=|https?:|@import|fetch\(", text)
    data = json.loads(re.search(r'type="application/json" id="data">(.*?)</script>', text)[1])
    assert data["image"].startswith("data:image/jpeg;base64,")
    assert [cell["members"] for cell in data["cells"]] == [len(c.members) for c in atlas.cells]
    assert all(len(cell["names"]) == min(8, cell["members"]) for cell in data["cells"])
    assert all(cell["photographs"].startswith("data:image/jpeg") for cell in data["cells"])
    assert "$" not in re.sub(r"\$\{", "", text.split("<script>")[1])  # the template is filled


def test_activations_serve_another_grid(linear, photographs, tmp_path, monkeypatch):
    options = {**OPTIONS, "steps": 2}
    atlas_into(tmp_path, photographs, model=linear, **options)
    monkeypatch.setattr("bnnjax.images.square", None)  # would be needed to collect again
    with pytest.raises(ValueError, match="exists already"):
        atlas_into(tmp_path, photographs, model=linear, **options)
    monkeypatch.setattr("bnnjax.atlas.page._cell", lambda atlas, cell: {})
    found, _ = atlas_into(
        tmp_path, photographs, model=linear, resume=True, **{**options, "grid": 2}
    )
    assert found.config.grid == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tap": "maps"}, "no tap 'maps'; did you mean 'map'"),
        ({"least": 41}, "no cell has 41 activations of 40"),
        ({"size": 33}, "size is 33, needs an even number"),
        ({"gird": 3}, "no option 'gird'; did you mean 'grid'"),
        ({"layout": "map"}, "layout is 'map', needs one of"),
        ({"ridge": 0}, "ridge is 0, needs a positive number"),
        ({"zoom": 1.0}, "zoom is 1.0, needs"),
        ({"preprocessing": "unit"}, "a loaded network has its preprocessing"),
    ],
)
def test_what_is_wrong_is_told(linear, photographs, options, message):
    with pytest.raises(ValueError, match=message):
        bnnjax.activation_atlas(photographs, model=linear, **{**OPTIONS, **options})


@pytest.mark.parametrize("name", ["size", "image_size"])
def test_sizes_that_the_network_does_not_take(linear, photographs, name):
    sizes = dataclasses.replace(linear.entry.sizes, takes=lambda side: side % 32 == 0)
    entry = dataclasses.replace(linear.entry, sizes=sizes)
    network = dataclasses.replace(linear, architecture=Architecture.published(entry))
    with pytest.raises(ValueError, match=f"{name} is 40, which linear does not take"):
        bnnjax.activation_atlas(photographs, model=network, **{**OPTIONS, name: 40})


# --- visualize -----------------------------------------------------------------------------------


QUICK = {
    "size": 32, "steps": 400, "learning_rate": 0.1, "jitter": 0, "zoom": 0.0, "progress": False,
}  # fmt: skip
COLORS = np.stack(np.meshgrid(*[np.linspace(0.05, 0.95, 25)] * 3), axis=-1).reshape(-1, 3)


def carter(colors, direction, power):
    """The objective of colours [N, 3] times the matrix, in NumPy."""
    cosine = cosines(colors, direction[None])[:, 0]
    return colors @ direction * np.maximum(cosine, 0.1) ** power


@pytest.fixture
def from_grey(monkeypatch):
    """Pictures that start from plain grey and stay plain, so that a colour is all they are."""
    monkeypatch.setattr(channels, "NOISE", 0.0)


@pytest.mark.slow
@pytest.mark.usefixtures("from_grey")
def test_channels_side_by_side(linear):
    """Each picture's mean colour drives its channel as far as any colour of a fine grid does."""
    found = visualize("map", channels=[0, 2, 4], model=linear, **QUICK)
    kernel = linear.variables["params"]["colors"]["kernel"]
    assert found.labels == ["channel 0", "channel 2", "channel 4"]
    colors = np.stack([picture.mean((0, 1)) for picture in found.pictures])
    np.testing.assert_allclose(found.responses, colors @ kernel, rtol=1e-3, atol=1e-4)
    for color, channel in zip(colors, (0, 2, 4), strict=True):
        assert color @ kernel[:, channel] > 0.95 * (COLORS @ kernel[:, channel]).max()
    assert found.own_strongest() == 1
    assert found.sheet().shape == (8 + 32 + 8 + 20, 8 + 3 * 40, 3)


class Threshold(Tapped):
    """A tap that is zero, gradient and all, for pixels below .52: grey drives nothing."""

    options: Options = Options()
    num_classes: int | None = None

    @nn.compact
    def __call__(self, x):
        self.tap("map", nn.relu(x - 0.52))


@pytest.mark.slow
def test_a_channel_that_is_silent_for_grey_is_driven(linear):
    entry = dataclasses.replace(linear.entry, build=Threshold)
    architecture = Architecture(entry, Options(), None)
    network = dataclasses.replace(linear, architecture=architecture, variables={})
    found = visualize("map", channels=[0, 1, 2], model=network, **QUICK)
    assert np.diag(found.responses).min() > 0.2


@pytest.mark.slow
@pytest.mark.usefixtures("from_grey")
def test_directions_side_by_side(linear):
    """Each picture's mean colour is as good as the best of a fine grid."""
    kernel = linear.variables["params"]["colors"]["kernel"]
    wanted = np.array([[0.9, 0.2, 0.2], [0.1, 0.2, 0.9]]) @ kernel
    found = visualize("map", directions=wanted, model=linear, **QUICK)
    for response, direction in zip(found.responses, wanted, strict=True):
        best = carter(COLORS @ kernel, direction, 4).max()
        assert carter(response[None], direction, 4)[0] > 0.95 * best


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": [5]}, r"channels are \[5\], need integers from 0 to 4 of map"),
        ({"channels": []}, r"channels are \[\]"),
        ({"directions": np.ones((2, 4))}, r"directions have shape \(2, 4\), need \[N, 5\]"),
        ({"directions": np.ones((2, 5)), "channels": [1]}, "not both"),
    ],
)
def test_directions_that_do_not_fit(linear, options, message):
    with pytest.raises(ValueError, match=message):
        visualize("map", model=linear, config=VisualizeConfig(size=32), **options)
