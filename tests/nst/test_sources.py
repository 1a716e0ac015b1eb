"""Folders, patterns and names with commas."""

import numpy as np
import pytest
from PIL import Image

from bnnjax.nst import inputs, sources


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder: pictures and other files, also below it and under odd names."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.PNG", "a.jpg", "c, d.webp", "[x].png", "notes.txt", "._a.jpg", "e.heic"):
        (tmp_path / name).write_text("")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "f.png").write_text("")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


def test_a_folder_stands_for_the_pictures_in_it(folder):
    found = inputs.as_list(str(folder), kind="content")
    names = ["[x].png", "a.jpg", "b.PNG", "c, d.webp", "e.heic"]
    assert found == [str(folder / name) for name in names]
    assert inputs.as_list(folder, kind="content") == found


def test_a_pattern_stands_for_what_it_matches(folder):
    assert sources.expanded(["*.jpg", "deep/**/*.png", "b.PNG"]) == [
        "a.jpg",
        "deep/er/f.png",
        "b.PNG",
    ]


def test_a_file_of_a_patterns_name_is_that_file(folder):
    assert sources.expanded(["[x].png"]) == ["[x].png"]


def test_other_pictures_stay_as_they_are(folder):
    others = [Image.new("RGB", (2, 2)), np.zeros((2, 2, 3)), "missing.png"]
    found = sources.expanded(others)
    assert all(a is b for a, b in zip(found, others, strict=True))


def test_nothing_found_is_an_error(folder):
    with pytest.raises(ValueError, match="deep: holds no pictures"):
        sources.expanded(["deep"])
    with pytest.raises(ValueError, match=r"\*\.tif: matches no pictures"):
        sources.expanded(["*.tif"])


def test_commas_separate_paths_unless_there_is_such_a_file(folder):
    assert sources.listed(["c, d.webp", "a.jpg, b.PNG,", ""]) == ["c, d.webp", "a.jpg", "b.PNG"]
    assert sources.listed([]) == []
    assert sources.listed(None) is None


def test_plus_joins_paths_in_a_tuple_unless_a_file_has_that_name(folder):
    assert sources.expanded(["a.jpg+b.PNG", "b.PNG"]) == [("a.jpg", "b.PNG"), "b.PNG"]
    (folder / "a+b.jpg").write_text("")
    assert sources.expanded(["a+b.jpg", "*+b.jpg"]) == ["a+b.jpg", "a+b.jpg"]
