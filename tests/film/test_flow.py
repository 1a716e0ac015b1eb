"""Flow, warping and the mask of what can be trusted, against closed forms."""

import sys

import numpy as np
import pytest

from bnnjax.film.flow import Motion, flow, opencv, trusted, warped

pytest.importorskip("cv2", reason="optical flow needs OpenCV")
INSIDE = np.s_[12:-12, 12:-12]


@pytest.fixture
def picture(make_picture):
    return make_picture(0, 72, 96)


@pytest.mark.parametrize(("down", "right"), [(0, 3), (2, -4)])
def test_the_flow_of_a_shifted_picture_is_the_shift(picture, down, right):
    found = flow(picture, np.roll(picture, (down, right), (0, 1)))[INSIDE]
    np.testing.assert_allclose(np.median(found, (0, 1)), [right, down], atol=0.05)
    assert (np.abs(found - [right, down]).max(-1) < 0.5).mean() > 0.95


def test_warping_by_whole_pixels_is_a_roll(picture):
    shift = np.broadcast_to(np.float32([-3, 2]), (72, 96, 2))
    expected = np.roll(picture, (-2, 3), (0, 1))
    np.testing.assert_array_equal(warped(picture, shift)[INSIDE], expected[INSIDE])


def test_warping_between_pixels_interpolates():
    """A ramp stays a ramp."""
    ramp = np.repeat(np.arange(32, dtype=np.float32)[None], 8, 0)
    moved = warped(ramp, np.full((8, 32, 2), 0.25, np.float32))
    np.testing.assert_allclose(moved[:, 4:-4], ramp[:, 4:-4] + 0.25, atol=0.05)  # a cubic


def test_equal_and_opposite_flows_are_trusted_inside():
    right = np.zeros((16, 24, 2), np.float32)
    right[..., 0] = 4
    expected = np.ones((16, 24))
    expected[:, :4] = 0  # came from outside
    np.testing.assert_array_equal(trusted(right, -right), expected)


def test_the_formulas_of_ruder_in_plain_loops():
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:12, :12] / 6
    backward = np.stack([np.sin(rows), np.cos(columns)], -1).astype(np.float32).round()
    forward = (-backward + rng.normal(0, 0.4, backward.shape)).astype(np.float32)
    found = trusted(forward, backward)
    for y in range(1, 11):
        for x in range(1, 11):
            u, v = backward[y, x]
            there, back = forward[int(y + v), int(x + u)], backward[y, x]
            hidden = ((there + back) ** 2).sum() > 0.01 * ((there**2).sum() + (back**2).sum()) + 0.5
            down = (backward[y + 1, x] - backward[y - 1, x]) / 2
            right = (backward[y, x + 1] - backward[y, x - 1]) / 2
            edge = (down**2).sum() + (right**2).sum() > 0.01 * (back**2).sum() + 0.002
            assert found[y, x] == (not hidden and not edge), (y, x)


def test_what_an_object_uncovers_is_not_trusted():
    """A square moves 6 px to the right over a picture that rests."""
    forward, backward = np.zeros((2, 64, 96, 2), np.float32)
    forward[20:50, 20:50, 0], backward[20:50, 26:56, 0] = 6, -6
    found = trusted(forward, backward)
    assert not found[20:50, 20:26].any()  # uncovered
    assert not found[20:50, 55:57].any()  # the square's edge
    assert found[22:48, 29:53].all()
    assert found[:18].all()


def test_what_appears_from_nowhere_is_not_trusted(picture):
    frame = picture.copy()
    frame[30:40, 40:50] = [1, 0, 0]
    found = Motion.between(picture, frame).trusted
    assert found[31:39, 41:49].mean() == 0
    assert found[2:16, 2:-2].mean() > 0.95


def test_opencv_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ValueError, match=r"pip install 'bnnjax\[video\]'"):
        opencv()
