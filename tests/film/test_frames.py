"""Films as streams of frames."""

import struct
import sys
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from bnnjax.film.frames import Film, pyav

pytest.importorskip("av", reason="films need PyAV")
IRREGULAR = [0, 40, 100, 140, 300, 340]  # ms


def test_frames_have_their_pixels_and_their_times(tmp_path, write_film, panned):
    film = Film.open(write_film(tmp_path / "a.mp4", panned(6), times=IRREGULAR), size=64)
    assert (film.height, film.width, film.count) == (64, 96, 6)
    found = [*film.frames()]
    assert [frame.pts * film.time_base * 1000 for frame in found] == IRREGULAR
    for frame, expected in zip(found, panned(6), strict=True):
        assert np.abs(frame.pixels - expected).mean() < 0.01


def test_the_shorter_side_has_the_size_and_both_are_even(tmp_path, write_film, panned):
    path = write_film(tmp_path / "a.mp4", panned(1), sound=None)
    for size, shape in ((32, (32, 48)), (34, (34, 52)), (96, (96, 144))):
        film = Film.open(path, size=size)
        assert next(film.frames()).pixels.shape == (*shape, 3) == (film.height, film.width, 3)


def test_a_film_held_sideways_is_upright(tmp_path, write_film, panned):
    """The display matrix of ISO 14496-12, 8.3.2, for a quarter turn to the right."""
    path, frames = write_film(tmp_path / "a.mp4", panned(2), sound=None), panned(2)
    one, content = 1 << 16, bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    content[place : place + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 64 * one, 0, 1 << 30)
    path.write_bytes(content)
    film = Film.open(path, size=64)
    assert (film.height, film.width) == (96, 64)
    expected = np.rot90(frames[0], -1)
    assert np.abs(next(film.frames()).pixels - expected).mean() < 0.01


def test_one_frame_at_a_time_is_decoded(tmp_path, write_film, panned):
    frames = Film.open(write_film(tmp_path / "a.mp4", panned(3), sound=None), size=32).frames()
    assert next(frames).pixels.shape == (32, 48, 3)
    frames.close()


def test_a_film_without_a_header_of_counts_has_none(tmp_path, write_film, panned):
    film = Film.open(write_film(tmp_path / "a.mkv", panned(3)), size=32)
    assert film.count is None
    assert film.rate == Fraction(25)


def test_what_is_no_film_is_refused(tmp_path, write_film, panned):
    (tmp_path / "a.txt").write_text("no film")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    av = pyav()
    with av.open(tmp_path / "a.wav", "w") as container:
        audio = container.add_stream("pcm_s16le", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        container.mux([*audio.encode(silence), *audio.encode(None)])
    for name, message in (
        ("a.txt", "cannot be read as a film"),
        ("missing.mp4", "cannot be read as a film"),
        ("a.png", "is a picture, needs a film"),
        ("a.wav", "has no video stream, needs a film"),
    ):
        with pytest.raises(ValueError, match=message):
            Film.open(tmp_path / name, size=64)


def test_odd_sizes_are_refused():
    with pytest.raises(ValueError, match="size is 97, needs an even number"):
        Film.open("a.mp4", size=97)


def test_pyav_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"pip install 'bnnjax\[video\]'"):
        pyav()
