"""Coarse to fine: the stages, the canvases of different sizes, and resuming in the middle."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnjax.nst import stages
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.inputs import read_pictures
from bnnjax.nst.stylize import stylize_batch
from bnnjax.optimize import snapshots


def sizes(**options):
    return [stage.size for stage in stages.stages(StylizeConfig(**options))]


def test_a_picture_of_ordinary_size_has_one_stage_with_all_steps():
    assert stages.stages(StylizeConfig(size=224, steps=77)) == [stages.Stage(224, 224, 77)]


def test_larger_strokes_begin_smaller_and_finer_ones_larger():
    assert sizes(size=448)[0] == 224
    assert sizes(size=448, stroke_size=2)[0] == 112
    assert sizes(size=448, stroke_size=0.5) == [448]
    assert sizes(size=224, stroke_size=2) == [112, 224]


@given(st.integers(32, 4096), st.floats(0.1, 10), st.integers(1, 1000))
def test_stages_about_double_up_to_the_size(size, stroke_size, steps):
    config = StylizeConfig(size=size, stroke_size=stroke_size, steps=steps, style_size=64)
    found = stages.stages(config)
    assert found[-1].size == size
    assert found[-1].style_size == 64
    ratios = [b.size / a.size for a, b in itertools.pairwise(found)]
    assert all(1 < ratio < 2.9 for ratio in ratios)
    assert all(1 <= stage.steps <= steps for stage in found)
    assert found[0].shrinks == (1,)
    for stage in found:  # the smallest look is about as large as the first stage
        assert all(stage.size / shrink > 0.8 * found[0].size for shrink in stage.shrinks)
        assert stage.size / max(stage.shrinks) < 1.7 * found[0].size


def test_a_picture_keeps_its_place_on_a_canvas_of_any_size(make_picture):
    [picture] = read_pictures([make_picture(0, 50, 90)], kind="content", size=50, stride=32)
    smaller = picture.resized(35, 32)
    assert smaller.cropped.shape == (35, 63, 3)
    assert all(side % 32 == 0 for side in smaller.pixels.shape[:2])
    placed = picture.place(picture.cropped)
    np.testing.assert_allclose(placed, picture.pixels, atol=1e-6)
    flat = np.full((35, 63, 3), 0.25, np.float32)
    np.testing.assert_allclose(picture.place(flat), 0.25, atol=1e-6)


@pytest.mark.slow
def test_at_strength_zero_the_picture_is_the_photograph(toy, make_picture):
    photograph = 0.1 + 0.8 * make_picture(0, 64, 64)  # logits are finite inside [0, 1]
    options = {"model": toy, "size": 64, "steps": 5, "strength": 0, "progress": False}
    result = stylize_batch(photograph, make_picture(1, 64, 64), **options)
    np.testing.assert_allclose(result.images[0], photograph, atol=2e-3)


@pytest.fixture(scope="module")
def run(toy, make_picture):
    """A function that paints a picture of 96 px in stages."""

    def stylize(**options):
        pictures = make_picture(0, 96, 128), make_picture(1, 96, 96)
        common = {"model": toy, "size": 96, "stroke_size": 224 / 48, "steps": 12}
        return stylize_batch(*pictures, progress=False, **common | options)

    return stylize


@pytest.mark.slow
def test_the_history_holds_the_steps_of_all_stages(run):
    result = run()
    expected = [stage.steps for stage in stages.stages(result.config)]
    assert len(expected) > 1
    assert len(result.losses[0]["total"]) == sum(expected)
    assert result.images[0].shape == (96, 128, 3)


@pytest.mark.slow
def test_an_interrupted_stage_leaves_pictures_of_full_size_and_resumes(run, tmp_path, monkeypatch):
    monkeypatch.setattr(snapshots, "EVERY", 0)
    sides = []

    def stop(steps, names, pictures):
        sides.append(pictures[0].shape[0])
        if len({*sides}) == 2:  # in the second stage
            raise KeyboardInterrupt

    stopped = run(snapshots=tmp_path, preview=stop)
    assert stopped.interrupted
    assert stopped.images[0].shape == (96, 128, 3)
    resumed, whole = run(snapshots=tmp_path), run()
    np.testing.assert_array_equal(resumed.images[0], whole.images[0])
    np.testing.assert_array_equal(resumed.losses[0]["total"], whole.losses[0]["total"])
