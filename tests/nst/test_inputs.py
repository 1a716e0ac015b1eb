"""Users' inputs: names, pairs, canvases, and bad ones."""

import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bnnjax import images
from bnnjax.nst import inputs


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((255 * picture).astype(np.uint8)).save(path)
    return path


# --- one or many ---------------------------------------------------------------------------


def test_single_pictures_become_lists_of_one(make_picture):
    picture = make_picture(0)
    for single in ("a.png", Path("a.png"), Image.new("RGB", (4, 4)), picture, picture[..., 0]):
        (listed,) = inputs.as_list(single, kind="content")
        assert listed is single
    (listed,) = inputs.as_list(jnp.asarray(picture), kind="content")
    np.testing.assert_array_equal(listed, picture)


def test_many_pictures_become_lists(make_picture):
    assert inputs.as_list(("a.png", "b.png"), kind="style") == ["a.png", "b.png"]
    assert inputs.as_list(iter(["a.png"]), kind="style") == ["a.png"]
    stack = np.stack([make_picture(0), make_picture(1)])
    listed = inputs.as_list(stack, kind="style")
    assert len(listed) == 2
    np.testing.assert_array_equal(listed[1], stack[1])


@pytest.mark.parametrize("nothing", [[], (), np.zeros((0, 4, 4, 3))])
def test_no_pictures_are_refused(nothing):
    with pytest.raises(ValueError, match="no style pictures"):
        inputs.as_list(nothing, kind="style")


@pytest.mark.parametrize("wrong", [5, None, 1.5])
def test_values_that_are_not_pictures_are_refused(wrong):
    with pytest.raises(ValueError, match="style"):
        inputs.as_list(wrong, kind="style")


# --- names ---------------------------------------------------------------------------------


def test_files_are_named_by_their_stems_and_others_by_number(make_picture):
    sources = ["a/boat.jpg", make_picture(0), Path("b/wave.tar.png"), Image.new("RGB", (4, 4))]
    names = inputs.names_of(sources, kind="content")
    assert names == ["boat", "content2", "wave.tar", "content4"]


def test_different_files_of_one_stem_get_different_names():
    names = inputs.names_of(["a/boat.jpg", "b/boat.jpg", "boat.png"], kind="content")
    assert names == ["boat", "boat-2", "boat-3"]


def test_a_blend_is_named_after_all_its_files(make_picture):
    sources = [
        ("a/wave.jpg", "night.jpg"),
        ("b/wave.jpg", "night.jpg"),
        ("a/wave.jpg", "night.jpg"),
    ]
    names = inputs.names_of(sources, kind="style")
    assert names == ["wave+night", "wave+night-2", "wave+night"]
    assert inputs.names_of([("wave.jpg", make_picture(0))], kind="style") == ["style1"]


def test_the_same_file_keeps_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "boat.jpg").write_text("")
    (tmp_path / "b").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "boat.jpg")
    sources = ["boat.jpg", "b/boat.jpg", tmp_path / "boat.jpg", "./b/../boat.jpg", "b/boat.jpg"]
    names = inputs.names_of(sources, kind="content")
    assert names == ["boat", "boat-2", "boat", "boat", "boat-2"]
    assert inputs.names_of(["link.jpg", "boat.jpg"], kind="content") == ["link", "boat"]


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["x/a.png", "y/a.png", "a-2.png", "z/a-2.png", "content1.png"]),
            st.sampled_from([np.zeros((1, 1, 3)), np.ones((1, 1, 3))]),
        ),
        max_size=8,
    )
)
def test_different_pictures_have_different_names(sources):
    names = inputs.names_of(sources, kind="content")
    stands_for = {}
    for number, (name, source) in enumerate(zip(names, sources, strict=True)):
        what = source if isinstance(source, str) else number  # arrays always differ
        assert stands_for.setdefault(name, what) == what
    files = {source: n for n, source in zip(names, sources, strict=True) if isinstance(source, str)}
    for name, source in zip(names, sources, strict=True):
        if isinstance(source, str):
            assert files[source] == name


# --- pairs ---------------------------------------------------------------------------------


def indices(pairs):
    return [(pair.content, pair.style) for pair in pairs]


def test_zip_pairs_the_first_with_the_first():
    pairs = inputs.make_pairs(["a", "b"], ["x", "y"], pairing="zip")
    assert indices(pairs) == [(0, 0), (1, 1)]
    assert [pair.name for pair in pairs] == ["a__x", "b__y"]


def test_zip_pairs_a_single_one_with_all():
    assert indices(inputs.make_pairs("abc", "x", pairing="zip")) == [(0, 0), (1, 0), (2, 0)]
    assert indices(inputs.make_pairs("a", "xy", pairing="zip")) == [(0, 0), (0, 1)]


def test_product_pairs_all_with_all():
    pairs = inputs.make_pairs(["a", "b"], ["x", "y", "z"], pairing="product")
    assert indices(pairs) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert [pair.name for pair in pairs][:2] == ["a__x", "a__y"]


def test_numbers_of_pictures_that_do_not_zip_are_refused():
    with pytest.raises(ValueError, match=r"2 contents and 3 styles do not zip.*product"):
        inputs.make_pairs("ab", "xyz", pairing="zip")


def test_pictures_are_paired_as_their_names_are(make_picture):
    pairs = inputs.pair_up(["a/x.png", "b/x.png"], make_picture(0), pairing="zip")
    assert [pair.name for pair in pairs] == ["x__style1", "x-2__style1"]
    with pytest.raises(ValueError, match="no style pictures"):
        inputs.pair_up("x.png", [], pairing="zip")


def test_an_unknown_pairing_is_refused():
    with pytest.raises(ValueError, match="pairing is 'all', needs one of"):
        inputs.make_pairs("a", "x", pairing="all")


@given(
    st.lists(st.sampled_from(["a", "a__b", "b"]), min_size=1, max_size=4),
    st.lists(st.sampled_from(["c", "b__c", "c-2"]), min_size=1, max_size=4),
)
def test_pairs_never_share_a_name(contents, styles):
    pairs = inputs.make_pairs(contents, styles, pairing="product")
    assert len({pair.name for pair in pairs}) == len(contents) * len(styles)


# --- reading -------------------------------------------------------------------------------


def read(sources, kind="content", size=40, stride=8):
    return inputs.read_pictures(sources, kind=kind, size=size, stride=stride)


def test_pictures_are_read_with_their_names_paths_and_hashes(tmp_path, make_picture):
    path, array = save(tmp_path / "boat.png", make_picture(0, 20, 30)), make_picture(1, 10, 12)
    from_file, from_array = read([path, array])
    assert (from_file.name, from_file.path) == ("boat", str(path))
    assert from_file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(from_file.cropped, images.fit(images.load(path), size=40))
    assert (from_array.name, from_array.path) == ("content2", None)
    assert from_array.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
    np.testing.assert_array_equal(from_array.cropped, images.fit(array, size=40))


def test_a_canvas_is_cropped_like_its_picture(make_picture):
    (picture,) = read([make_picture(0, 20, 30)], size=20, stride=16)
    assert picture.pixels.shape == (32, 32, 3)
    np.testing.assert_array_equal(picture.cropped, make_picture(0, 20, 30))
    np.testing.assert_array_equal(picture.crop(1 - picture.pixels), 1 - make_picture(0, 20, 30))


def test_an_invalid_array_is_named_by_its_index():
    good = np.zeros((4, 4, 3), np.float32)
    for bad in (good + 2, good[..., :2], np.full((4, 4, 3), np.nan), np.array(["a"]), object()):
        with pytest.raises(ValueError, match="content2: "):
            read([good, bad])


def test_a_file_that_is_not_a_picture_is_named(tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("text.jpg", "none.jpg", "."):
        with pytest.raises(ValueError, match="cannot be read") as raised:
            read([tmp_path / name])
        assert str(tmp_path / name) in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1


def test_panoramas_of_any_shape_are_read(make_picture, tmp_path):
    path = save(tmp_path / "coast.png", make_picture(0, 16, 480))
    for source in (path, make_picture(0, 16, 480), make_picture(0, 480, 16)):
        (picture,) = read([source])
        assert sorted(picture.cropped.shape) == [3, 40, 1200]


# --- canvases ------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    size=st.integers(24, 70),
    stride=st.sampled_from([4, 16, 32]),
)
def test_a_canvas_holds_the_picture_and_mirrors_it_outwards(height, width, size, stride):
    picture = np.random.default_rng(0).random((height, width, 3)).astype(np.float32)
    canvas, *places = inputs.put_on_canvas(picture, size=size, stride=stride)
    fitted = images.fit(picture, size=size)
    assert min(fitted.shape[:2]) == size
    np.testing.assert_array_equal(canvas[tuple(places)], fitted)
    cells = []
    for length, part, side in zip(canvas.shape[:2], places, fitted.shape[:2], strict=True):
        assert length % stride == 0
        assert side <= length < side + stride
        cells.append(mirrored(length, part.start, side))
    np.testing.assert_array_equal(canvas, fitted[cells[0]][:, cells[1]])


def mirrored(length, start, side):
    """Which cell of the picture each cell of the canvas shows: 1 0 | 0 1 2 | 2 1."""
    place = (np.arange(length) - start) % (2 * side)
    return np.minimum(place, 2 * side - 1 - place)


@given(side=st.integers(32, 200), stride=st.sampled_from([4, 32]))
def test_a_picture_lies_in_the_middle_of_its_canvas(side, stride):
    picture = np.zeros((side, side, 3), np.float32)
    canvas, *places = inputs.put_on_canvas(picture, size=side, stride=stride)
    for part, length in zip(places, canvas.shape[:2], strict=True):
        assert abs(part.start - (length - part.stop)) <= 1


def test_a_picture_of_fitting_sides_is_its_own_canvas(make_picture):
    picture = make_picture(0, 64, 96)
    canvas, _, _ = inputs.put_on_canvas(picture, size=64, stride=32)
    np.testing.assert_array_equal(canvas, picture)
