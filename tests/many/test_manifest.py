"""Manifests: tables and folders become tasks with unique names, and mistakes are named."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bnnjax.many import manifest
from bnnjax.many.manifest import Task
from tests.damage import damaged, reads_or_refuses


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with pictures ``photos/a.png``, ``photos/b.jpg`` and ``wave.png``."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("photos/a.png", "photos/b.jpg", "wave.png", "night.png"):
        Image.new("RGB", (8, 8)).save(name)
    return tmp_path


def write(text, path="list.csv"):
    Path(path).write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("pictures", ["photos", "photos/*", Path("photos")])
def test_a_folder_meets_every_painting(folder, pictures):
    found = manifest.read(pictures, ["wave.png", "night.png"])
    assert [task.name for task in found] == ["a__wave", "a__night", "b__wave", "b__night"]
    assert found[3] == Task("b__night", str(folder / "photos" / "b.jpg"), str(folder / "night.png"))


def test_the_paths_of_a_table_are_beside_it(folder):
    Path("lists").mkdir()
    table = write("content,style\n../photos/a.png,../wave.png\n", "lists/list.csv")
    [task] = manifest.read(table)
    assert task.name == "a__wave"
    assert Path(task.content).samefile("photos/a.png")
    assert Path(task.style).samefile("wave.png")


def test_rows_have_styles_and_names_of_their_own(folder):
    rows = [
        "content,style,name",
        "photos/a.png,night.png,first",
        "photos/b.jpg,,",
        "photos/b.jpg,,",
    ]
    found = manifest.read(write("\n".join(rows)), ["wave.png"])
    assert [task.name for task in found] == ["first", "b__wave", "b__wave-2"]
    assert found[0].style == str(folder / "night.png")


def test_paintings_are_blended(folder):
    [task] = manifest.read(write("content,style\nphotos/a.png,wave.png+night.png\n"))
    assert task.name == "a__wave+night"
    assert task.style == f"{folder / 'wave.png'}+{folder / 'night.png'}"


def test_a_painting_for_all_may_be_a_blend_and_names_may_have_a_plus(folder):
    Image.new("RGB", (8, 8)).save("photos/c+d.png")
    found = manifest.read("photos/c+d.png", ["wave.png+night.png"])
    blend = f"{folder / 'wave.png'}+{folder / 'night.png'}"
    assert found == [Task("c+d__wave+night", str(folder / "photos" / "c+d.png"), blend)]
    [task] = manifest.read(write("content,style\nphotos/c+d.png,wave.png\n"))
    assert task.content == str(folder / "photos" / "c+d.png")


@pytest.mark.parametrize(("pictures", "styles"), [("x", ["wave.png"]), ("photos", ["x"])])
def test_a_path_that_does_not_exist_is_named_before_any_work(folder, pictures, styles):
    with pytest.raises(ValueError, match="x: no such file or folder"):
        manifest.read(pictures, styles)


def test_files_of_one_name_in_two_folders_are_two_pictures(folder):
    Path("more").mkdir()
    Image.new("RGB", (8, 8)).save("more/a.png")
    found = manifest.read(write("content\nphotos/a.png\nmore/a.png\n"), ["wave.png"])
    assert [task.name for task in found] == ["a__wave", "a-2__wave"]


@pytest.mark.parametrize(
    ("text", "styles", "message"),
    [
        ("contents\nx.png\n", [], "no column 'contents'; did you mean 'content'"),
        ("style\nwave.png\n", [], "has no column 'content'"),
        ("content\nx.png\n", [], "x.png has no style; give one for all"),
        ("content\n", ["wave.png"], "lists no pictures"),
        ("", ["wave.png"], "has no column 'content'"),
        ("content,style\nx.png\n", [], "line 2 has other columns"),
        ("content,style\nx.png,y.png,z.png\n", [], "line 2 has other columns"),
        ("content,style\n,y.png\n", [], "line 2 has other columns"),
        ("content,name\nx.png,n\nx.png,n\n", ["wave.png"], "'n' is the name of two pictures"),
        ("content,name\nx.png,../n\n", ["wave.png"], "'../n' cannot name a file"),
        ("content,name\nx.png,.n\n", ["wave.png"], "'.n' cannot name a file"),
        ("content,name\nx.png,n\n", ["wave.png", "night.png"], "n is one name for 2 paintings"),
    ],
)
def test_mistakes_are_named(folder, text, styles, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        manifest.read(write(text), styles)


def test_what_cannot_be_read_is_refused(folder):
    Path("list.csv").write_bytes(b"content\n\xff\xfe.png\n")
    with pytest.raises(ValueError, match="not a readable table"):
        manifest.read("list.csv", ["wave.png"])
    with pytest.raises(ValueError, match="not a readable table"):
        manifest.read("missing.csv", ["wave.png"])
    Path("empty").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        manifest.read("empty", ["wave.png"])


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_tables_are_read_or_refused(tmp_path, data):
    content = data.draw(damaged(b"content,style,name\na.png,b.png,first\nc.png,d.png+e.png,\n"))
    reads_or_refuses(manifest.read, tmp_path / "list.csv", content)


@pytest.mark.parametrize("cell", ["a" * 5000, "a" * 200_000, "a\0b"])
def test_cells_that_are_no_paths_are_read_or_refused(tmp_path, cell):
    reads_or_refuses(manifest.read, tmp_path / "list.csv", f"content,style\n{cell},b.png".encode())


def test_ten_thousand_equal_rows_take_a_moment(tmp_path):
    """Names are numbered without trying all that are taken; that took minutes."""
    (tmp_path / "list.csv").write_text("content,style\n" + 10_000 * "a.png,b.png\n")
    began = time.monotonic()
    found = manifest.read(tmp_path / "list.csv")
    assert [task.name for task in found[:3]] == ["a__b", "a__b-2", "a__b-3"]
    assert found[-1].name == "a__b-10000"
    assert time.monotonic() - began < 20
