"""The temporal term, against its formula in NumPy."""

import jax
import numpy as np
import pytest

from bnnjax.film.temporal import Before, Temporal
from bnnjax.nst.terms import Scene, Seen
from bnnjax.nst.transfer import StyleTransfer, random_jitters


@pytest.fixture
def pictures(make_picture):
    return make_picture(0, 16, 24), make_picture(1, 16, 24)


@pytest.fixture
def mask():
    return np.random.default_rng(0).uniform(0, 1, (16, 24)).round().astype(np.float32)


def test_it_is_the_masked_mean_of_squares(pictures, mask):
    picture, before = pictures
    found = Temporal().loss(Seen(picture, {}, 0), Before(before, mask), {})
    expected = sum(
        mask[y, x] * (picture[y, x, c] - before[y, x, c]) ** 2 for y, x, c in np.ndindex(16, 24, 3)
    )
    np.testing.assert_allclose(found, expected / (16 * 24 * 3), rtol=1e-5)


def test_a_first_frame_is_tied_to_nothing(pictures):
    picture, photograph = pictures
    scene = Scene(photograph, photograph, np.zeros((1, 2), np.int32), lambda picture: {})
    assert Temporal().loss(Seen(picture, {}, 0), Temporal().target(scene), {}) == 0


@pytest.mark.slow
def test_the_jitter_does_not_move_it(toy, pictures, mask):
    picture, before = pictures
    loss, jitters = (
        StyleTransfer(toy.architecture, (Temporal(),)),
        random_jitters(jax.random.key(0), reach=9),
    )
    known = {"temporal": Before(before, mask)}
    data = loss.measure(toy.variables, picture, picture, jitters, (), (), known)
    expected = np.mean(mask[..., None] * (picture - before) ** 2)
    for seed in range(3):
        key = jax.random.key(seed)
        total, _ = loss.loss(toy.variables, picture, data, {"temporal_weight": 2.0}, key)
        np.testing.assert_allclose(total, 2 * expected, rtol=1e-5)
