"""Whole films, through a network that compiles in a moment."""

import numpy as np
import psutil
import pytest

from bnnjax.film import stylize, stylize_film
from bnnjax.film.frames import Film, opened
from bnnjax.images import load

pytest.importorskip("av", reason="films need PyAV")
pytest.importorskip("cv2", reason="optical flow needs OpenCV")
pytestmark = pytest.mark.slow
SMALL = {"size": 64, "steps": 3, "frame_steps": 2, "progress": False}


@pytest.fixture
def source(tmp_path, write_film, panned):
    return write_film(tmp_path / "walk.mp4", panned(4))


@pytest.fixture
def paint(source, toy, make_picture):
    def run(output, **options):
        painting = make_picture(9, 64, 64)
        return stylize_film(source, painting, output, model=toy, **(SMALL | options))

    return run


@pytest.fixture
def paint_film(tmp_path, toy, make_picture):
    """A function that paints a film and keeps its frames."""

    def run(path, output=None, **options):
        target = tmp_path / (output or f"{path.stem}_painted.mp4")
        given = {"model": toy, "keep_frames": True, **SMALL, **options}
        return stylize_film(path, make_picture(9, 64, 64), target, **given)

    return run


def frames(folder):
    return [path.read_bytes() for path in sorted(folder.glob("*.png"))]


def test_a_killed_run_continues_to_the_same_frames(paint, tmp_path, monkeypatch):
    whole = paint(tmp_path / "whole.mp4", keep_frames=True)
    save = stylize.save_png

    def killed(path, picture):
        if path.name == "000002.png":
            raise MemoryError
        save(path, picture)

    monkeypatch.setattr(stylize, "save_png", killed)
    with pytest.raises(MemoryError):
        paint(tmp_path / "again.mp4", keep_frames=True)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="frames of another film or with other options"):
        paint(tmp_path / "again.mp4", steps=4)
    result = paint(tmp_path / "again.mp4", keep_frames=True)
    assert (result.frames, result.before, result.problems) == (4, 2, [])
    assert frames(result.folder) == frames(whole.folder)
    assert len(frames(result.folder)) == 4
    film = Film.open(result.output, size=64)
    assert [f.pts * film.time_base * 1000 for f in film.frames()] == [0, 40, 80, 120]


def test_an_interrupted_run_says_where_it_stopped(paint, tmp_path, monkeypatch):
    painter = stylize.Painter

    class Interrupted(painter):
        def follow(self, *pictures):
            result = super().follow(*pictures)
            result.minimized.interrupted = True
            return result

    monkeypatch.setattr(stylize, "Painter", Interrupted)
    result = paint(tmp_path / "a.mp4")
    assert result.interrupted
    assert result.problems == [
        f"interrupted: 1 of 4 frames are painted and kept in {result.folder}; "
        "the same command continues"
    ]
    assert not result.output.exists()
    assert len(frames(result.folder)) == 1


def test_frames_are_held_to_their_predecessors(paint, tmp_path):
    """With an enormous weight, what moves is all that changes."""
    found = {}
    for weight in (0.0, 1e6):
        output = tmp_path / f"{weight}.mp4"
        result = paint(output, temporal_weight=weight, keep_frames=True, frame_steps=8)
        pictures = [load(path) for path in sorted(result.folder.glob("*.png"))]
        moved = (np.roll(before, -2, 1) for before in pictures)
        apart = [
            np.abs(p - m)[8:-8, 8:-8].mean() for p, m in zip(pictures[1:], moved, strict=False)
        ]
        found[weight] = np.mean(apart)
    assert found[1e6] < 0.5 * found[0.0]


def test_a_new_scene_begins_like_a_film_of_its_own(
    tmp_path, write_film, panned, make_picture, paint_film
):
    """Its first frame is that of a film of this scene alone, whatever was before."""
    other = make_picture(5, 64, 160)
    scenes = panned(3), [other[:, 2 * n : 2 * n + 96] for n in range(3)]
    both, second = (
        paint_film(write_film(tmp_path / f"{name}.mkv", frames, lossless=True))
        for name, frames in (("both", scenes[0] + scenes[1]), ("second", scenes[1]))
    )
    assert frames(both.folder)[3] == frames(second.folder)[0]
    assert frames(both.folder)[4] != frames(second.folder)[0]
    assert frames(both.folder)[3:] == frames(second.folder)


def test_any_timing_and_no_sound_are_kept_in_webm(tmp_path, write_film, panned, paint_film):
    times = [0, 40, 100, 140, 300, 340]  # ms
    source = write_film(tmp_path / "a.mp4", panned(6), times=times, sound=None)
    film = Film.open(paint_film(source, "b.webm").output, size=64)
    assert [round(f.pts * film.time_base * 1000) for f in film.frames()] == times
    with opened(film.path) as container:
        assert container.streams.video[0].codec_context.name == "vp9"
        assert not container.streams.audio


def test_long_films_take_no_more_memory(
    tmp_path, write_film, make_picture, paint_film, monkeypatch
):
    """The memory after 120 frames is that after 40."""
    picture, save, taken = make_picture(3, 32, 480), stylize.save_png, []

    def noting(path, image):
        save(path, image)
        taken.append(psutil.Process().memory_info().rss / 2**20)

    monkeypatch.setattr(stylize, "save_png", noting)
    shown = [picture[:, n : n + 48] for n in range(120)]
    source = write_film(tmp_path / "a.mp4", shown, sound=None)
    result = paint_film(source, size=32, steps=1, frame_steps=1)
    assert result.frames == len(taken) == 120
    assert taken[119] < taken[39] + 40  # MiB


def test_a_film_that_exists_is_not_replaced(paint, tmp_path):
    (tmp_path / "a.mp4").write_text("mine")
    with pytest.raises(ValueError, match="exists already"):
        paint(tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_text() == "mine"


def test_a_frame_cannot_tile(paint, tmp_path):
    with pytest.raises(ValueError, match="cannot tile"):
        paint(tmp_path / "a.mp4", tile=True)
