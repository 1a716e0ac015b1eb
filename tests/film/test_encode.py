"""Frames to a film: what went in comes out."""

import numpy as np
import pytest

from bnnjax.film import encode
from bnnjax.film.frames import Film, opened
from bnnjax.images import save_png

pytest.importorskip("av", reason="films need PyAV")
IRREGULAR = [0, 40, 100, 140, 300, 340]  # ms


@pytest.fixture
def original(tmp_path, write_film, panned):
    return Film.open(write_film(tmp_path / "a.mp4", panned(6), times=IRREGULAR), size=64)


@pytest.fixture
def painted(tmp_path, make_picture):
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for seed, path in enumerate(paths):
        save_png(path, make_picture(seed, 64, 96))
    return paths


def written(film, paths, output):
    encode.check(film, output)
    times = [frame.pts for frame in film.frames()]
    encode.encode(film, paths, times, output)
    return Film.open(output, size=64)


def sound(path):
    """The packets of sound, with their times."""
    with opened(path) as container:
        packets = container.demux(container.streams.audio[0])
        return [(bytes(p), p.pts * p.time_base) for p in packets if p.dts is not None]


def test_sound_and_timing_survive_bit_by_bit(original, painted, tmp_path):
    film = written(original, painted, tmp_path / "b.mp4")
    assert [f.pts * film.time_base * 1000 for f in film.frames()] == IRREGULAR
    assert len(sound(original.path)) > 8
    assert sound(film.path) == sound(original.path)
    assert not [*tmp_path.glob(".*.part")]


def test_in_matroska_all_is_shifted_alike(original, painted, tmp_path):
    """It has no times before 0, where the first samples of AAC are, and counts milliseconds."""
    film = written(original, painted, tmp_path / "b.mkv")
    assert [data for data, _ in sound(film.path)] == [data for data, _ in sound(original.path)]
    (_, before), (_, after) = sound(original.path)[0], sound(film.path)[0]
    shown = [float(f.pts * film.time_base + before - after) for f in film.frames()]
    np.testing.assert_allclose(shown, np.divide(IRREGULAR, 1000), atol=1e-3)


def test_colors_are_kept(original, tmp_path):
    colors = np.random.default_rng(0).uniform(0.1, 0.9, (6, 3)).astype(np.float32)
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for path, color in zip(paths, colors, strict=True):
        save_png(path, np.broadcast_to(color, (64, 96, 3)))
    frames = written(original, paths, tmp_path / "b.mp4").frames()
    for frame, color in zip(frames, colors, strict=True):
        np.testing.assert_allclose(frame.pixels[8:-8, 8:-8].mean((0, 1)), color, atol=0.015)


def test_a_film_without_sound_has_none(tmp_path, write_film, panned, painted):
    film = Film.open(write_film(tmp_path / "a.mp4", panned(6), sound=None), size=64)
    with opened(written(film, painted, tmp_path / "b.mp4").path) as container:
        assert not container.streams.audio


def test_sound_that_a_file_cannot_hold_is_refused_before_the_work(tmp_path, write_film, panned):
    source = write_film(tmp_path / "a.mkv", panned(2), sound="pcm_s16le")
    film = Film.open(source, size=64)
    for name in ("b.mp4", "b.webm"):
        with pytest.raises(ValueError, match=r"cannot hold the sound .*pcm_s16le.*\.mkv"):
            encode.check(film, tmp_path / name)
    encode.check(film, tmp_path / "b.mkv")
    assert [*tmp_path.iterdir()] == [source]


def test_names_say_the_format(original, tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.mp4, \.mov, \.mkv, \.webm"):
        encode.check(original, tmp_path / "b.avi")
