"""A stylization's files: what is written, and what is left alone. test_recipe covers recipes."""

import csv
import sys

import numpy as np
import pytest

from bnnjax import images
from bnnjax.nst import files

NAMES = ["boat__wave", "hill__wave"]
TERMS = {"total": 3.0, "style": 2.0, "content": 1.0}
LOSSES = [
    {term: np.float32(value / np.arange(1, steps + 1)) for term, value in TERMS.items()}
    for steps in (3, 4)
]


@pytest.fixture
def pictures(make_picture):
    return [make_picture(0, 32, 32), make_picture(2, 32, 40)]


def names(paths):
    return [path.name for path in paths]


# --- paths ----------------------------------------------------------------------------------


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
    rows = read_table(tmp_path / "boat__wave.losses.csv")
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
    sheet = images.load(tmp_path / "boat__wave.sheet.png")
    np.testing.assert_allclose(sheet, save_figures.sheet, atol=0.51 / 255)


def test_all_files_are_written_and_returned(save_figures, tmp_path):
    pytest.importorskip("matplotlib")
    assert names(save_figures()) == [
        "boat__wave.losses.csv",
        "boat__wave.losses.png",
        "boat__wave.sheet.png",
    ]
    assert images.load(tmp_path / "boat__wave.losses.png").std() > 0.01


def test_figures_of_a_run_are_replaced_together_and_others_are_kept(
    save_figures, tmp_path, monkeypatch
):
    (tmp_path / "losses.csv").write_text("mine")
    (tmp_path / "boat__wave.losses.png").write_text("older")
    save_figures()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    save_figures([*LOSSES[:1], {}])
    assert names(sorted(tmp_path.iterdir())) == [
        "boat__wave.losses.csv",
        "boat__wave.sheet.png",
        "losses.csv",
    ]
    assert {row["picture"] for row in read_table(tmp_path / "boat__wave.losses.csv")} == {NAMES[0]}
    assert (tmp_path / "losses.csv").read_text() == "mine"


def test_the_table_is_read_back(save_figures, tmp_path):
    assert files.read_losses(tmp_path, NAMES) == {}
    save_figures([{}, LOSSES[1]])
    found = files.read_losses(tmp_path, NAMES)
    assert found.keys() == {NAMES[1]}
    for term, values in LOSSES[1].items():
        np.testing.assert_array_equal(found[NAMES[1]][term], values, strict=True)


def test_without_matplotlib_all_but_the_curve_is_written(save_figures, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    paths = save_figures()
    assert names(paths) == ["boat__wave.losses.csv", "boat__wave.sheet.png"]
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("losses", [[{}, {}], [{}, LOSSES[1]]])
@pytest.mark.filterwarnings("ignore:No artists with labels")
def test_pictures_without_a_step_are_not_in_the_table(save_figures, tmp_path, losses):
    """An interruption may leave such losses."""
    assert all(path.exists() for path in save_figures(losses))
    rows = read_table(tmp_path / "boat__wave.losses.csv")
    assert [row["picture"] for row in rows] == [NAMES[1]] * (4 if losses[1] else 0)
