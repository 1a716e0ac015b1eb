"""Layouts of activations whose order is known, and the grid on known points."""

import sys

import numpy as np
import pytest

from bnnjax.atlas import layout


def test_percentiles_span_the_grid():
    """Of 0 … 100, the 2nd and 98th percentiles are 2 and 98: cells of 24 on a grid of 4."""
    line = np.arange(101.0)
    cells = layout.assign_cells(np.stack([line, line], axis=1), grid=4)
    columns = np.clip((line - 2) // 24, 0, 3)
    np.testing.assert_array_equal(cells, np.stack([3 - columns, columns], axis=1))


def test_outliers_go_to_the_border_and_move_nothing_else():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 1, (1000, 2))
    far = points.copy()
    far[np.argmax(points[:, 0]), 0] = 1e9
    np.testing.assert_array_equal(
        layout.assign_cells(points, grid=10), layout.assign_cells(far, grid=10)
    )


def test_rows_count_from_the_top_and_columns_from_the_left():
    points = np.array([[x, y] for x in (0.0, 1.0) for y in (0.0, 1.0)])
    cells = layout.assign_cells(points, grid=2)
    np.testing.assert_array_equal(cells, [[1, 0], [0, 0], [1, 1], [0, 1]])


def test_points_that_coincide_share_a_cell():
    cells = layout.assign_cells(np.full((7, 2), 3.5), grid=5)
    assert len({*map(tuple, cells)}) == 1


def test_pca_finds_the_axes_of_an_ellipsoid():
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    hidden = rng.normal(size=(400, 6))
    hidden -= hidden.mean(axis=0)
    hidden = np.linalg.qr(hidden)[0] * [9, 4, 1, 1, 1, 1]  # uncorrelated to the last digit
    points = layout.project(hidden @ axes.T + 2, method="pca")
    for found, known in zip(points.T, hidden.T, strict=False):
        sign = np.sign(found @ known)
        np.testing.assert_allclose(sign * found, known, atol=1e-6)


def test_pca_does_not_depend_on_the_sign_that_lapack_chooses(monkeypatch):
    data = np.random.default_rng(2).normal(size=(30, 4))
    points = layout.project(data, method="pca")
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda x, **k: (None, None, -svd(x, **k)[2]))
    np.testing.assert_allclose(layout.project(data, method="pca"), points)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "library"), [("umap", "umap"), ("tsne", "openTSNE")])
def test_clusters_are_kept_apart_and_a_layout_repeats(method, library):
    pytest.importorskip(library)
    rng = np.random.default_rng(0)
    centers = 5 * np.eye(3, 8)[np.arange(90) % 3]
    data = (centers + rng.normal(0, 0.3, (90, 8))).astype(np.float32)
    points = layout.project(data, method=method, seed=1)
    np.testing.assert_array_equal(layout.project(data, method=method, seed=1), points)
    means = np.stack([points[n::3].mean(axis=0) for n in range(3)])
    nearest = ((points[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, np.arange(90) % 3)


def test_auto_is_umap_where_it_is_installed(monkeypatch):
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: object())
    assert layout.choose("auto") == "umap"
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    assert layout.choose("auto") == "pca"
    assert layout.choose("tsne") == "tsne"


@pytest.mark.parametrize(("method", "library"), [("umap", "umap"), ("tsne", "openTSNE")])
def test_a_missing_library_is_named(monkeypatch, method, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=f"layout={method} needs {library}: pip install"):
        layout.project(np.zeros((5, 3)), method=method)
