"""bnnjax.images.png against the PNG specification and Pillow's own reader."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, PngImagePlugin

from bnnjax import images

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
# The folder is shared by all examples, which overwrite one file.
IN_ONE_FOLDER = {"suppress_health_check": [HealthCheck.function_scoped_fixture]}


def chunks(path):
    """Returns (type, content) of every chunk and verifies checksums (PNG specification, 5.3)."""
    data = Path(path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, found = 8, []
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, position + 8 + length)
        assert checksum == zlib.crc32(kind + body)
        found.append((kind, body))
        position += 12 + length
    return found


@settings(max_examples=25, **IN_ONE_FOLDER)
@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9).map(lambda s: (*s, 3))))
def test_bytes_loaded_saved_and_loaded_are_the_same(tmp_path, pixels):
    loaded = images.load(pixels)
    images.save_png(tmp_path / "a.png", loaded, overwrite=True)
    assert (np.asarray(Image.open(tmp_path / "a.png")) == pixels).all()
    assert (images.load(tmp_path / "a.png") == loaded).all()


def test_the_file_is_eight_bit_srgb_with_international_text(tmp_path):
    images.save_png(tmp_path / "a.png", images.load(PIXELS), metadata={"Title": "Woge 波"})
    found = chunks(tmp_path / "a.png")
    assert found[0] == (b"IHDR", struct.pack(">IIBBBBB", 7, 5, 8, 2, 0, 0, 0))
    assert (b"sRGB", b"\0") in found
    assert (b"iTXt", b"Title\0\0\0\0\0" + "Woge 波".encode()) in found
    assert found[-1] == (b"IEND", b"")


def test_values_are_rounded_to_the_nearest(tmp_path):
    levels = np.repeat(np.array([[0, 0.49, 0.51, 254.49, 254.51, 255]]) / 255, 3).reshape(1, 6, 3)
    images.save_png(tmp_path / "a.png", levels)
    stored = np.asarray(Image.open(tmp_path / "a.png"))[0, :, 0]
    assert stored.tolist() == [0, 0, 1, 254, 255, 255]


@settings(max_examples=40, **IN_ONE_FOLDER)
@given(
    st.dictionaries(
        st.text("abcXYZ-_é§", min_size=1, max_size=79),
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
        max_size=4,
    )
)
def test_metadata_comes_back(tmp_path, metadata):
    images.save_png(tmp_path / "a.png", images.load(PIXELS), metadata=metadata, overwrite=True)
    back = images.read_metadata(tmp_path / "a.png")
    assert back == metadata
    assert all(type(text) is str for text in back.values())
    assert (images.load(tmp_path / "a.png") == images.load(PIXELS)).all()


def test_metadata_is_read_without_decoding_the_pixels(tmp_path):
    path = tmp_path / "a.png"
    images.save_png(path, images.load(PIXELS), metadata={"Title": "Wave"})
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"IDAT") + 5])
    assert images.read_metadata(path) == {"Title": "Wave"}


def test_metadata_of_other_programs(tmp_path):
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "plain é")
    info.add_text("Packed", "long " * 99, zip=True)
    Image.fromarray(PIXELS).save(tmp_path / "a.png", pnginfo=info)
    assert images.read_metadata(tmp_path / "a.png") == {
        "Comment": "plain é",
        "Packed": "long " * 99,
    }


@pytest.mark.parametrize(
    "metadata",
    [{key: "x"} for key in ("", "k" * 80, " a", "a  b", "画", "a\n", "bbox", "interlace")]
    + [{"a": 1}, {"a": "x\0y"}],
)
def test_metadata_that_png_cannot_hold_is_refused(metadata, tmp_path, one_line_error):
    path = tmp_path / "a.png"
    one_line_error(lambda: images.save_png(path, images.load(PIXELS), metadata=metadata), str(path))
    assert not list(tmp_path.iterdir())


def test_an_existing_file_is_replaced_only_on_demand(tmp_path, one_line_error):
    path = tmp_path / "a.png"
    images.save_png(path, np.zeros((2, 2, 3)))
    one_line_error(lambda: images.save_png(path, np.ones((2, 2, 3))), str(path), "exists")
    assert images.load(path).max() == 0
    images.save_png(path, np.ones((2, 2, 3)), overwrite=True)
    assert images.load(path).min() == 1
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_failed_write_leaves_everything_as_it_was(tmp_path, monkeypatch, one_line_error):
    path = tmp_path / "a.png"
    images.save_png(path, np.zeros((2, 2, 3)))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    save = lambda: images.save_png(path, np.ones((2, 2, 3)), overwrite=True)  # noqa: E731
    one_line_error(save, str(path), "No space left")
    assert images.load(path).max() == 0
    assert os.listdir(tmp_path) == ["a.png"]


def test_a_saved_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").touch()
    images.save_png(tmp_path / "a.png", np.zeros((2, 2, 3)))
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_invalid_paths_and_pictures_are_refused(tmp_path, one_line_error):
    black = np.zeros((2, 2, 3))
    (tmp_path / "folder.png").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "a.bmp")
    one_line_error(lambda: images.save_png(tmp_path / "a.gif", black), "a.gif", ".png")
    one_line_error(lambda: images.save_png(tmp_path / "no" / "a.png", black), "a.png", "No such")
    replace = lambda: images.save_png(tmp_path / "folder.png", black, overwrite=True)  # noqa: E731
    one_line_error(replace, "folder.png", "directory")
    one_line_error(lambda: images.save_png(tmp_path / "b.png", black + 2), "must lie in [0, 1]")
    one_line_error(lambda: images.read_metadata(tmp_path / "none.png"), "none.png", "No such file")
    one_line_error(lambda: images.read_metadata(tmp_path / "a.bmp"), "a.bmp", "PNG")
    assert sorted(os.listdir(tmp_path)) == ["a.bmp", "folder.png"]
