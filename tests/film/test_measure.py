"""Flicker, against closed forms."""

import numpy as np
import pytest

from bnnjax.film import flicker

pytest.importorskip("cv2", reason="optical flow needs OpenCV")


def test_a_painting_that_moves_with_the_film_does_not_flicker(panned):
    frames = panned(4)
    assert max(flicker(frames, [1 - frame for frame in frames])) < 0.02


def test_a_painting_that_changes_by_a_tenth_flickers_by_a_tenth(panned):
    frames, change = panned(4), (0, 0.1, 0, 0.1)
    painted = [np.full_like(frame, 0.5 + c) for frame, c in zip(frames, change, strict=True)]
    np.testing.assert_allclose(flicker(frames, painted), 0.1, atol=1e-4)


def test_there_are_as_many_paintings_as_frames(panned):
    with pytest.raises(ValueError, match="shorter"):
        flicker(panned(3), panned(2))
