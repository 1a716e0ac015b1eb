"""Whitening against NumPy, and the cells that are large enough."""

import numpy as np
import pytest

from bnnjax.atlas.directions import occupied, whitening


@pytest.fixture(scope="module")
def activations():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6)) * [5, 3, 1, 1, 0.5, 0.2]
    return (rng.normal(1, 1, (500, 6)) @ mixing).astype(np.float32)


def test_whitening_inverts_each_eigenvalue(activations):
    values, vectors = np.linalg.eigh(activations.T.astype(np.float64) @ activations / 500)
    expected = (vectors / (values / values.mean() + 0.25)) @ vectors.T
    np.testing.assert_allclose(whitening(activations, ridge=0.25), expected, rtol=1e-4, atol=1e-5)


def test_full_whitening_makes_the_second_moment_spherical(activations):
    second = activations.T @ activations / 500
    product = whitening(activations, ridge=1e-9) @ second
    np.testing.assert_allclose(product / product[0, 0], np.eye(6), atol=2e-2)


def test_an_infinite_ridge_whitens_nothing(activations):
    np.testing.assert_array_equal(whitening(activations, ridge=np.inf), np.eye(6))


def test_silent_channels_are_not_amplified(activations):
    silent = np.concatenate([activations, np.zeros((500, 2), np.float32)], axis=1)
    found = whitening(silent, ridge=1.0)
    np.testing.assert_allclose(found[6:, 6:], np.eye(2), atol=1e-6)
    assert np.abs(found).max() <= 1 + 1e-6


def test_cells_with_enough_members_row_by_row():
    cells = np.array([[1, 0], [0, 2], [1, 0], [0, 1], [0, 2], [1, 0]])
    found = [(m.row, m.column, m.indices.tolist()) for m in occupied(cells, least=2)]
    assert found == [(0, 2, [1, 4]), (1, 0, [0, 2, 5])]
    assert [len(m.indices) for m in occupied(cells, least=1)] == [1, 2, 3]
    assert occupied(cells, least=4) == []
