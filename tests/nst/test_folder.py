"""Stylization into a folder: what is on the disk, whenever and however a run ends."""

import json
import warnings
from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image

from bnnjax import destination, images
from bnnjax.nst import files, folder
from bnnjax.nst.recipe import UNFINISHED, Recipe
from bnnjax.optimize import devices, snapshots

NAMES = ["boat__wave", "hill__wave", "lake__wave"]


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, make_picture):
    """Paths of three photographs and a painting."""
    place = tmp_path_factory.mktemp("inputs")
    for seed, name in enumerate(("boat", "hill", "lake", "wave")):
        images.save_png(place / f"{name}.png", make_picture(seed, 32, 40))
    return [place / f"{name}.png" for name in ("boat", "hill", "lake")], place / "wave.png"


@pytest.fixture
def stylize_into(toy, inputs):
    def run(directory, contents=inputs[0], styles=inputs[1], **options):
        options = {"model": toy, "size": 32, "steps": 12, "progress": False, **options}
        return folder.stylize_into(directory, contents, styles, **options)

    return run


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch):
    """One picture after the other, with a snapshot after each turn."""
    one = devices.Devices((jax.local_devices()[0],), most=1, shared=True)
    monkeypatch.setattr(devices, "find", lambda: one)
    monkeypatch.setattr(snapshots, "EVERY", 0)


@pytest.fixture(scope="module")
def whole(toy, inputs, tmp_path_factory):
    """The files of a run from the beginning to the end."""
    place = tmp_path_factory.mktemp("whole")
    folder.stylize_into(place, *inputs, model=toy, size=32, steps=12, progress=False)
    return place


@pytest.fixture
def kill_after(monkeypatch):
    """A function (number): a run is killed once it has saved as many pictures."""

    def arrange(number):
        saved, save = [], folder.Saver.__call__

        def save_and_die(self, *picture):
            save(self, *picture)
            saved.append(picture)
            if len(saved) == number:
                raise Killed

        monkeypatch.setattr(folder.Saver, "__call__", save_and_die)

    yield arrange
    monkeypatch.undo()


def names(place):
    return sorted(path.name for path in place.iterdir())


def pixels(place, name):
    return np.asarray(Image.open(place / f"{name}.png"))


# --- finished pictures ---------------------------------------------------------------------


@pytest.mark.slow
def test_a_run_leaves_pictures_and_figures_and_nothing_else(whole):
    pytest.importorskip("matplotlib")
    figures = [f"boat__wave{suffix}" for suffix in files.FIGURES]
    assert names(whole) == sorted([f"{name}.png" for name in NAMES] + figures)


def test_pictures_are_on_the_disk_when_they_are_finished(stylize_into, tmp_path, kill_after):
    kill_after(2)
    with pytest.raises(Killed):
        stylize_into(tmp_path)
    assert [name for name in names(tmp_path) if name.endswith(".png")] == [
        f"{name}.png" for name in NAMES[:2]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("stroke_size", [1.0, 7.0])  # in one stage, and in several
def test_a_resumed_run_keeps_finished_pictures_and_paints_the_others(
    stylize_into, tmp_path, monkeypatch, kill_after, stroke_size
):
    options = {"stroke_size": stroke_size, "size": 48}
    stylize_into(tmp_path / "whole", **options)
    with monkeypatch.context():
        kill_after(1)
        with pytest.raises(Killed):
            stylize_into(tmp_path / "killed", **options)
    monkeypatch.undo()
    first = tmp_path / "killed" / f"{NAMES[0]}.png"
    before = first.stat().st_mtime_ns
    result, written = stylize_into(tmp_path / "killed", resume=True, **options)
    assert first.stat().st_mtime_ns == before
    assert not result.losses[0]
    assert list(written.pictures) == [0, 1, 2]
    assert names(tmp_path / "killed") == names(tmp_path / "whole")
    for name in NAMES:
        found, expected = (pixels(tmp_path / place, name) for place in ("killed", "whole"))
        np.testing.assert_array_equal(found, expected)


def test_a_finished_run_has_nothing_to_resume(stylize_into, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    result, written = stylize_into(whole, resume=True)
    assert {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before
    assert list(written.pictures) == [0, 1, 2]
    for image, name in zip(result.images, NAMES, strict=True):
        np.testing.assert_array_equal(np.rint(255 * image), pixels(whole, name))


@pytest.mark.slow
def test_interrupted_pictures_are_marked_and_painted_again(
    stylize_into, tmp_path, whole, monkeypatch
):
    """The second picture is interrupted; the third has not begun, and is not written."""

    def interrupt(_):
        def show(steps, shown, _):
            if shown == [NAMES[1]] and steps > 2:
                raise KeyboardInterrupt

        return show

    with monkeypatch.context() as patches:
        patches.setattr(folder, "previewer", interrupt)
        result, written = stylize_into(tmp_path, previews=True)
    assert result.interrupted
    assert list(written.pictures) == [0, 1]
    assert not (tmp_path / f"{NAMES[2]}.png").exists()
    marks = [images.read_metadata(path).get(UNFINISHED) for path in written.pictures.values()]
    assert marks == [None, "interrupted after step 3 of 12"]
    stylize_into(tmp_path, resume=True)
    assert names(tmp_path) == names(whole)
    for name in NAMES:
        np.testing.assert_array_equal(pixels(tmp_path, name), pixels(whole, name))
        assert UNFINISHED not in images.read_metadata(tmp_path / f"{name}.png")
    tables = [files.read_losses(place, NAMES) for place in (tmp_path, whole)]
    assert [*tables[0]] == NAMES
    np.testing.assert_equal(*tables)


@pytest.mark.slow
def test_other_pictures_are_not_resumed(stylize_into, tmp_path, whole):
    for name in NAMES:
        (tmp_path / f"{name}.png").write_bytes((whole / f"{name}.png").read_bytes())
    with pytest.raises(ValueError, match=r"boat__wave\.png was made from other pictures"):
        stylize_into(tmp_path, resume=True, style_weight=2.0)
    np.testing.assert_array_equal(pixels(tmp_path, NAMES[0]), pixels(whole, NAMES[0]))
    stylize_into(tmp_path, resume=True, overwrite=True, style_weight=2.0)
    assert Recipe.read(tmp_path / f"{NAMES[0]}.png").config.style_weight == 2


# --- pictures that cannot be written -------------------------------------------------------


@pytest.fixture
def failing(monkeypatch):
    """A function (number): the first attempts to write a picture fail."""

    def arrange(number):
        left, write = [None] * number, files.Writer.write

        def fail(self, *arguments, **options):
            if left:
                left.pop()
                raise ValueError("no space left")
            return write(self, *arguments, **options)

        monkeypatch.setattr(files.Writer, "write", fail)

    return arrange


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_is_tried_again(stylize_into, tmp_path, whole, failing):
    failing(1)
    with pytest.warns(UserWarning, match="no space left; this is tried again in the end"):
        stylize_into(tmp_path)
    assert names(tmp_path) == names(whole)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:no space left")
def test_a_disk_that_stays_full_is_an_error_and_the_run_can_resume(
    stylize_into, tmp_path, whole, failing, monkeypatch
):
    with monkeypatch.context():
        failing(5)  # two of the pictures in both attempts
        with pytest.raises(ValueError, match="no space left; no space left"):
            stylize_into(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / folder.SNAPSHOTS).exists()
    stylize_into(tmp_path, resume=True)
    np.testing.assert_array_equal(pixels(tmp_path, NAMES[2]), pixels(whole, NAMES[2]))


@pytest.mark.slow
def test_a_failed_preview_costs_one_warning_and_no_picture(
    stylize_into, tmp_path, whole, monkeypatch
):
    def fail(path, *_, **__):
        raise ValueError(f"{path}: no space left")

    monkeypatch.setattr(folder, "save_png", fail)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        stylize_into(tmp_path, previews=True)
    assert [str(w.message)[:12] for w in caught if "preview" in str(w.message)] == ["no previews:"]
    assert names(tmp_path) == names(whole)


# --- before the work -----------------------------------------------------------------------


@pytest.fixture
def refused(stylize_into, monkeypatch):
    """A function that checks that a run is refused before a network is loaded."""

    def check(message, *arguments, **options):
        def prepare(*_, **__):
            raise AssertionError("work has begun")

        monkeypatch.setattr(folder, "prepare", prepare)
        with pytest.raises(ValueError, match=message) as raised:
            stylize_into(*arguments, **options)
        assert "\n" not in str(raised.value)

    return check


def test_the_second_run_into_a_folder_is_refused(refused, tmp_path):
    with destination.claimed(tmp_path, []):
        refused("another run is writing into this directory", tmp_path)


def test_a_name_that_is_too_long_is_refused(refused, tmp_path, make_picture):
    contents, styles = (tmp_path / f"{letter * 130}.png" for letter in "ab")
    for path in (contents, styles):
        images.save_png(path, make_picture(0, 8, 8))
    refused("File name too long", tmp_path / "out", contents, styles)
    assert not (tmp_path / "out").exists()


def test_existing_pictures_are_refused(refused, whole):
    refused(r"lake__wave\.png: exists already", whole)


def test_one_file_for_several_pictures_is_refused(refused, tmp_path):
    refused("one file for 3 pictures", "out", output=tmp_path / "a.png")
    refused("must end in", "out", output=tmp_path / "a.tga")
    refused("output_format is 'gif'", tmp_path, output_format="gif")


def test_a_side_that_the_format_cannot_hold_is_refused(stylize_into, tmp_path, monkeypatch):
    monkeypatch.setitem(files.LONGEST, "webp", 39)
    with pytest.raises(ValueError, match=r"40×32 px, but a side of webp has at most 39 px"):
        stylize_into(tmp_path, output_format="webp")
    assert names(tmp_path) == []


# --- formats -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("output_format", "suffix"), [("jpeg", ".jpg"), ("webp", ".webp")])
def test_every_format_has_its_recipe(stylize_into, tmp_path, whole, output_format, suffix):
    _, written = stylize_into(tmp_path, output_format=output_format)
    recipe, expected = (
        json.loads(Recipe.read(path).to_json())
        for path in (written.pictures[0], whole / f"{NAMES[0]}.png")
    )
    assert recipe == expected
    assert written.pictures[0] == tmp_path / f"boat__wave{suffix}"
    again, _ = stylize_into(tmp_path, output_format=output_format, resume=True)
    assert again.losses == [{}, {}, {}]  # all are there already


def test_a_single_picture_has_the_name_that_is_asked_for(stylize_into, inputs, tmp_path, whole):
    output = tmp_path / "below" / "mine.png"
    _, written = stylize_into("out", inputs[0][0], output=output)
    assert written == ({0: output}, [])
    assert names(output.parent) == ["mine.png"]
    np.testing.assert_array_equal(images.load(output), images.load(whole / f"{NAMES[0]}.png"))
    with pytest.raises(ValueError, match=r"mine\.png: exists already"):
        stylize_into("out", inputs[0][0], output=output)


@pytest.mark.slow
def test_transparency_is_kept_on_request(stylize_into, inputs, tmp_path):
    photograph = Image.open(inputs[0][0]).resize((80, 64))
    ramp = np.repeat(np.linspace(0, 255, 80).astype(np.uint8)[None], 64, axis=0)
    photograph.putalpha(Image.fromarray(ramp))
    photograph.save(tmp_path / "clear.png")
    run = partial(stylize_into, contents=tmp_path / "clear.png", size=32)
    _, written = run(tmp_path / "kept", keep_alpha=True)
    alpha = images.load_alpha(written.pictures[0])
    np.testing.assert_allclose(
        alpha[:, 2:-2], np.linspace(0, 1, 40)[None, 2:-2] + 0 * alpha[:, 2:-2], atol=0.02
    )
    _, written = run(tmp_path / "plain")
    assert images.load_alpha(written.pictures[0]) is None
    with pytest.raises(ValueError, match="a JPEG cannot be transparent"):
        run(tmp_path / "jpeg", keep_alpha=True, output_format="jpeg")


@pytest.mark.slow
def test_a_panorama_of_thirty_to_one_is_painted(stylize_into, tmp_path, make_picture):
    images.save_png(tmp_path / "coast.png", make_picture(0, 32, 960))
    result, _ = stylize_into(tmp_path / "out", tmp_path / "coast.png", steps=2)
    assert result.images[0].shape == (32, 960, 3)


@pytest.mark.slow
def test_folders_and_patterns_are_painted(stylize_into, inputs, tmp_path):
    place = inputs[1].parent
    result, _ = stylize_into(tmp_path, place / "[bh]*.png", inputs[1], steps=1)
    assert result.names == NAMES[:2]
    result, _ = stylize_into(tmp_path / "all", place, inputs[1], steps=1)
    assert result.names == [*NAMES, "wave__wave"]
