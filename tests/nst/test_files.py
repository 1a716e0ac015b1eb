"""A stylization's files: what is written, and what is left alone. test_recipe covers recipes."""

import csv
import sys

import numpy as np
import pytest
from PIL import Image

from bnnjax import images
from bnnjax.nst import files

NAMES = ["boat__wave", "hill__wave"]
TERMS = {"total": 3.0, "style": 2.0, "content": 1.0}
LOSSES = [
    {term: np.float32(value / np.arange(1, steps + 1)) for term, value in TERMS.items()}
    for steps in (3, 4)
]
METADATA = [{"Title": "one"}, {"Title": "two"}]


@pytest.fixture
def pictures(make_picture):
    return [make_picture(0, 32, 32), make_picture(2, 32, 40)]


def names(paths):
    return [path.name for path in paths]


# --- pictures ------------------------------------------------------------------------------


def test_pictures_are_written_in_8_bits_with_their_metadata(pictures, tmp_path):
    directory = tmp_path / "not" / "yet"
    paths = files.save_pictures(directory, NAMES, pictures, METADATA, overwrite=False)
    assert names(paths) == ["boat__wave.png", "hill__wave.png"]
    assert sorted(paths) == sorted(directory.iterdir())
    for path, picture, text in zip(paths, pictures, METADATA, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.rint(255 * picture))
        assert text.items() <= images.read_metadata(path).items()


def test_existing_pictures_are_named_and_nothing_is_written(pictures, tmp_path):
    (tmp_path / "hill__wave.png").write_text("mine")
    with pytest.raises(ValueError, match=r"hill__wave\.png: .*exists.*--overwrite") as raised:
        files.save_pictures(tmp_path, NAMES, pictures, METADATA, overwrite=False)
    assert "boat" not in str(raised.value)
    assert names(tmp_path.iterdir()) == ["hill__wave.png"]
    assert (tmp_path / "hill__wave.png").read_text() == "mine"


def test_overwriting_replaces_pictures(pictures, tmp_path):
    (tmp_path / "hill__wave.png").write_text("mine")
    paths = files.save_pictures(tmp_path, NAMES, pictures, METADATA, overwrite=True)
    np.testing.assert_allclose(images.load(paths[1]), pictures[1], atol=0.51 / 255)


def test_the_paths_are_known_before_the_work(tmp_path):
    (tmp_path / "b.png").write_text("")
    directory = tmp_path / "none"
    found = files.picture_paths(["a", "b"], directory, overwrite=False)
    assert found == [directory / "a.png", directory / "b.png"]
    assert not directory.exists()
    assert files.picture_paths(["b"], str(tmp_path), overwrite=True) == [tmp_path / "b.png"]
    with pytest.raises(ValueError, match=r"b\.png: .*exists"):
        files.picture_paths(["a", "b"], tmp_path, overwrite=False)


def test_a_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    for directory in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(ValueError, match="out is a file, needs to be a directory"):
            files.picture_paths(["a"], directory, overwrite=True)


# --- table, curve and contact sheet --------------------------------------------------------


@pytest.fixture
def save_figures(pictures, tmp_path):
    """A function that saves the figures of these losses; the sheet has rows of several lengths."""
    rows, labels = [pictures, pictures[:1]], [["boat", "wave"], ["hill"]]

    def save(losses=LOSSES):
        return files.save_figures(tmp_path, NAMES, losses, rows, labels)

    save.sheet = images.contact_sheet(rows, labels=labels)
    return save


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_losses_are_a_table_with_a_row_for_each_step(save_figures, tmp_path):
    save_figures()
    rows = read_table(tmp_path / "losses.csv")
    assert list(rows[0]) == ["picture", "step", "total", "content", "style"]
    steps = [
        (name, step) for name, count in zip(NAMES, (3, 4), strict=True) for step in range(count)
    ]
    assert [(row["picture"], int(row["step"])) for row in rows] == [(n, s + 1) for n, s in steps]
    for row, (name, step) in zip(rows, steps, strict=True):
        for term, values in LOSSES[NAMES.index(name)].items():
            assert np.float32(row[term]) == values[step]


def test_the_contact_sheet_holds_the_rows(save_figures, tmp_path):
    save_figures()
    sheet = images.load(tmp_path / "contact_sheet.png")
    np.testing.assert_allclose(sheet, save_figures.sheet, atol=0.51 / 255)


def test_all_files_are_written_and_returned(save_figures, tmp_path):
    pytest.importorskip("matplotlib")
    assert names(save_figures()) == ["losses.csv", "losses.png", "contact_sheet.png"]
    assert images.load(tmp_path / "losses.png").std() > 0.01


def test_older_figures_are_kept(save_figures, tmp_path):
    (tmp_path / "losses.csv").write_text("older")
    save_figures()
    assert {"losses-3.csv", "contact_sheet-2.png"} <= {*names(save_figures())}
    assert (tmp_path / "losses.csv").read_text() == "older"


def test_without_matplotlib_all_but_the_curve_is_written(save_figures, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    paths = save_figures()
    assert names(paths) == ["losses.csv", "contact_sheet.png"]
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("losses", [[{}, {}], [{}, LOSSES[1]]])
@pytest.mark.filterwarnings("ignore:No artists with labels")
def test_pictures_without_a_step_are_not_in_the_table(save_figures, tmp_path, losses):
    """An interruption may leave such losses."""
    assert all(path.exists() for path in save_figures(losses))
    rows = read_table(tmp_path / "losses.csv")
    assert [row["picture"] for row in rows] == [NAMES[1]] * (4 if losses[1] else 0)
