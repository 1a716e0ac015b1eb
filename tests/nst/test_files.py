"""A stylization's files: what is written, what is read back, and what is left alone."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bnnjax
from bnnjax import images
from bnnjax.nst import files, optimize
from bnnjax.nst.config import CHOICES


@pytest.fixture(scope="module")
def result(toy, make_picture):
    contents = [make_picture(0, 32, 32), make_picture(2, 32, 40)]
    return bnnjax.stylize_batch(
        contents, make_picture(1, 32, 32), model=toy, size=32, steps=3, progress=False
    )


def names(paths):
    return [path.name for path in paths]


def test_everything_is_written_and_told(result, tmp_path):
    pytest.importorskip("matplotlib")
    directory = tmp_path / "not" / "yet"
    paths = files.save(result, directory)
    assert sorted(paths) == sorted(directory.iterdir())
    assert names(paths) == [
        "content1__style1.png",
        "content2__style1.png",
        "losses.csv",
        "losses.png",
        "contact_sheet.png",
    ]


def test_pictures_are_the_results_in_8_bits(result, tmp_path):
    paths = files.save(result, tmp_path)
    for path, image in zip(paths, result.images, strict=False):
        written = np.asarray(Image.open(path))
        np.testing.assert_array_equal(written, np.rint(255 * image))
        np.testing.assert_allclose(images.load(path), image, atol=0.5 / 255 + 1e-6)


def test_pictures_carry_their_recipes(result, tmp_path):
    paths = files.save(result, tmp_path)
    for index in range(2):
        recipe = files.read_recipe(paths[index])
        assert recipe == json.loads(json.dumps(result.recipe(index)))
        choices = files.choices_of(recipe)
        assert choices.keys() == CHOICES.keys()
        assert choices["size"] == 32


def test_losses_are_a_table(result, tmp_path):
    files.save(result, tmp_path)
    with open(tmp_path / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:2] == ["picture", "step"]
    assert set(rows[0]) == {"picture", "step", "total", "content", "style", "tv", "color"}
    assert [(row["picture"], row["step"]) for row in rows] == [
        (name, str(step)) for name in result.names for step in (1, 2, 3)
    ]
    for place, losses in enumerate(result.losses):
        for step in range(3):
            row = rows[3 * place + step]
            for term, values in losses.items():
                assert np.float32(row[term]) == values[step]


def test_the_sheet_holds_photograph_painting_and_result(result, tmp_path):
    files.save(result, tmp_path)
    sheet = images.load(tmp_path / "contact_sheet.png")
    expected = images.contact_sheet(
        [
            [result.photographs[i].pixels, result.paintings[0].pixels, result.images[i]]
            for i in range(2)
        ],
        labels=[[f"content{i}", "style1", f"content{i}__style1"] for i in (1, 2)],
    )
    np.testing.assert_allclose(sheet, expected, atol=0.5 / 255 + 1e-6)


def test_existing_pictures_are_named_and_nothing_is_written(result, tmp_path):
    (tmp_path / "content2__style1.png").write_text("mine")
    with pytest.raises(ValueError, match=r"content2__style1\.png: exists already") as raised:
        files.save(result, tmp_path)
    assert "content1" not in str(raised.value)
    assert names(tmp_path.iterdir()) == ["content2__style1.png"]
    assert (tmp_path / "content2__style1.png").read_text() == "mine"


def test_overwriting_replaces_pictures_and_keeps_older_tables(result, tmp_path):
    (tmp_path / "content2__style1.png").write_text("mine")
    (tmp_path / "losses.csv").write_text("older")
    files.save(result, tmp_path, overwrite=True)
    paths = files.save(result, tmp_path, overwrite=True)
    assert (tmp_path / "losses.csv").read_text() == "older"
    assert {"losses-3.csv", "contact_sheet-2.png"} <= set(names(paths))
    assert images.load(paths[1]).shape == result.images[1].shape


def test_without_matplotlib_all_but_the_curve_is_written(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    paths = files.save(result, tmp_path)
    assert "losses.png" not in names(paths)
    assert {"losses.csv", "contact_sheet.png"} < set(names(paths))
    assert all(path.exists() for path in paths)


@pytest.mark.parametrize("chunks", [0, 1])
@pytest.mark.filterwarnings("ignore:No artists with labels")
def test_an_interrupted_run_is_written_too(toy, make_picture, tmp_path, monkeypatch, chunks):
    """Also one in which some pictures have made steps and others none."""
    made = []
    run_chunk = optimize.run_chunk

    def interrupted(*args):
        if len(made) == chunks:
            raise KeyboardInterrupt
        made.append(args)
        return run_chunk(*args)

    interrupted.lower = run_chunk.lower  # by which memory is estimated
    monkeypatch.setattr(optimize, "run_chunk", interrupted)
    pair = [make_picture(seed, 32, 32) for seed in (0, 2)]
    result = bnnjax.stylize_batch(
        pair, make_picture(1, 32, 32), model=toy, size=32, steps=3, progress=False
    )
    assert result.interrupted
    paths = files.save(result, tmp_path)
    for path in paths[:2]:
        assert images.load(path).shape == (32, 32, 3)
    assert len((tmp_path / "losses.csv").read_text().splitlines()) == 1 + chunks
    table = files.table(result, paths)
    assert [row[2] for row in table[1:]] == [str(chunks), "0"]
    assert "2 picture(s)" in files.summary(result)


# --- before the work -----------------------------------------------------------------------


def test_paths_are_asked_for_before_the_work(tmp_path):
    (tmp_path / "b.png").write_text("")
    directory = tmp_path / "none"
    assert files.picture_paths(["a", "b"], directory, overwrite=False) == [
        directory / "a.png",
        directory / "b.png",
    ]
    assert not directory.exists()
    assert files.picture_paths(["b"], tmp_path, overwrite=True) == [tmp_path / "b.png"]
    with pytest.raises(ValueError, match=r"b\.png: exists already"):
        files.picture_paths(["a", "b"], tmp_path, overwrite=False)


def test_a_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    for directory in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(ValueError, match="out is a file"):
            files.picture_paths(["a"], directory, overwrite=True)


# --- recipes that are none -----------------------------------------------------------------


def picture_with(tmp_path, metadata):
    path = tmp_path / "picture.png"
    images.save_png(path, np.zeros((4, 4, 3), np.float32), metadata=metadata)
    return path


def test_a_picture_without_recipe_is_refused(tmp_path):
    path = picture_with(tmp_path, {"Title": "none"})
    with pytest.raises(ValueError, match=r"picture\.png: holds no recipe"):
        files.read_recipe(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"'])
def test_a_damaged_recipe_is_refused(tmp_path, text):
    path = picture_with(tmp_path, {files.RECIPE: text})
    with pytest.raises(ValueError, match=r"picture\.png: .*recipe"):
        files.read_recipe(path)


def test_other_files_hold_no_recipe(tmp_path):
    (tmp_path / "text.png").write_text("text")
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.jpg")
    for name in ("text.png", "photo.jpg", "none.png", "."):
        with pytest.raises(ValueError, match="cannot be read as PNG") as raised:
            files.read_recipe(tmp_path / name)
        assert str(tmp_path / name) in str(raised.value)


def test_only_choices_are_taken_from_a_recipe():
    recipe = {"size": 64, "content": "a.png", "content_weight": 2, "network": "toy", "new": 1}
    assert files.choices_of(recipe) == {"size": 64, "content_weight": 2}


# --- previews and tables -------------------------------------------------------------------


def test_previews_are_kept_up_to_date(tmp_path):
    write = files.previewer(tmp_path / "out")
    for grey in (0.0, 1.0):
        write(1, ["a", "b"], [np.full((4, 5, 3), grey, np.float32)] * 2)
    assert sorted(names((tmp_path / "out").iterdir())) == ["a.preview.png", "b.preview.png"]
    np.testing.assert_array_equal(images.load(tmp_path / "out" / "b.preview.png"), 1.0)


def test_the_table_has_a_row_for_each_picture(result):
    paths = [Path("x.png"), Path("y.png"), Path("losses.csv")]
    heading, first, second = files.table(result, paths)
    assert len(heading) == len(first) == len(second)
    total = result.losses[1]["total"]
    assert second[:3] == ["content2__style1", "40×32", "3"]
    assert second[3:] == [f"{total[0]:.3f}", f"{total[-1]:.3f}", "y.png"]


def test_the_summary_counts_steps_of_all_pictures(result):
    pace = 1000 * result.seconds["optimize"] / 6
    assert f"{pace:.1f}"[:-2] in files.summary(result)
    assert "2 picture(s) by toy" in files.summary(result)
