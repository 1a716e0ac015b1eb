"""Edges that meet: pictures made periodic, and the seam of a result."""

import numpy as np
import pytest

import bnnjax
from bnnjax import images
from bnnjax.nst import tiles
from bnnjax.nst.terms import total_variation


def steps_around(picture, axis):
    """Mean absolute differences between the last and the first row, and of those inside."""
    rows = np.moveaxis(picture, axis, 0)
    each = np.abs(np.roll(rows, -1, 0) - rows).mean((1, 2))
    return each[-1], each[:-1]


def test_the_edges_of_a_ramp_meet():
    """At the seam, the ramp goes on: within the band, it fades from its end to its beginning."""
    ramp = np.broadcast_to(np.linspace(0, 1, 72, dtype=np.float32)[:, None, None], (72, 64, 3))
    wrapped = tiles.wrapped(np.ascontiguousarray(ramp), size=64, stride=32)
    assert wrapped.shape == (64, 64, 3)
    column = wrapped[:, 0, 0]
    assert abs(column[0] - column[-1]) < 0.08 < abs(ramp[0, 0, 0] - ramp[-1, 0, 0])
    np.testing.assert_allclose(np.diff(column[10:]), np.diff(column[10:]).mean(), atol=2e-3)


@pytest.mark.parametrize(("shape", "sides"), [((50, 90), (64, 128)), ((90, 50), (128, 64))])
def test_sides_are_the_nearest_multiples_of_the_stride(make_picture, shape, sides):
    picture = make_picture(0, *shape)
    assert tiles.wrapped(picture, size=64, stride=32).shape == (*sides, 3)
    canvas, rows, columns = tiles.fill_canvas(picture, size=64, stride=32)
    assert canvas.shape == (*sides, 3)
    assert (rows, columns) == (slice(0, sides[0]), slice(0, sides[1]))


def test_total_variation_around_counts_the_seam(make_picture):
    picture = make_picture(0, 6, 7)
    rolled = [np.roll(picture, -1, axis) - picture for axis in (0, 1)]
    found = total_variation(picture, around=True)
    np.testing.assert_allclose(found, sum(np.mean(d**2) for d in rolled), rtol=1e-5)
    shifted = np.roll(picture, (2, 3), (0, 1))
    np.testing.assert_allclose(total_variation(shifted, around=True), found, rtol=1e-5)


@pytest.mark.slow
def test_the_seam_of_a_result_is_no_rougher_than_its_inside(toy):
    rng = np.random.default_rng(0)
    photograph = images.fit(rng.uniform(0, 1, (6, 8, 3)).astype(np.float32), size=96)
    painting = rng.uniform(0, 1, (32, 32, 3)).astype(np.float32)
    options = {"model": toy, "size": 96, "stroke_size": 3.5, "steps": 30, "progress": False}
    [tile] = bnnjax.stylize_batch(photograph, painting, tile=True, **options).images
    [plain] = bnnjax.stylize_batch(photograph, painting, **options).images
    for axis in (0, 1):
        seam, inside = steps_around(tile, axis)
        assert seam <= inside.max()
        seam, inside = steps_around(plain, axis)
        assert seam > 1.5 * inside.max()
