"""The plane of an atlas: activations to points, points to cells of a grid."""

import importlib.util
from typing import Literal

import numpy as np

Method = Literal["auto", "umap", "tsne", "pca"]
PERCENTILES = (2.0, 98.0)


def choose(method: Method) -> Method:
    """The method itself; for "auto", "umap" if umap-learn is installed, else "pca"."""
    if method != "auto":
        return method
    return "umap" if importlib.util.find_spec("umap") else "pca"


def project(activations: np.ndarray, *, method: Method = "auto", seed: int = 0) -> np.ndarray:
    """Points in the plane for activations [N, C] → [N, 2]; similar activations are neighbours.

    Args:
      activations: of a tap.
      method: "umap" (with umap-learn; 20 neighbours, least distance .01, cosine, as in Carter et
        al. 2019), "tsne" (with openTSNE), "pca", or "auto" (see `choose`).
      seed: of the random numbers of UMAP and t-SNE.

    Raises:
      ModuleNotFoundError: the library of the method is not installed.
    """
    method = choose(method)
    if method == "pca":
        return _pca(activations)
    try:
        return _umap(activations, seed) if method == "umap" else _tsne(activations, seed)
    except ModuleNotFoundError as error:
        library = "bnnjax[atlas]" if method == "umap" else "openTSNE"
        raise ModuleNotFoundError(
            f"layout={method} needs {error.name}: pip install '{library}', or choose layout=pca"
        ) from None


def _umap(activations: np.ndarray, seed: int) -> np.ndarray:
    import umap

    neighbors = min(20, len(activations) - 1)
    model = umap.UMAP(
        n_neighbors=neighbors, min_dist=0.01, metric="cosine", random_state=seed, n_jobs=1
    )
    return np.asarray(model.fit_transform(activations))


def _tsne(activations: np.ndarray, seed: int) -> np.ndarray:
    import openTSNE

    return np.asarray(openTSNE.TSNE(metric="cosine", random_state=seed).fit(activations))


def _pca(activations: np.ndarray) -> np.ndarray:
    """The coordinates along the two principal axes, whose largest entries are made positive."""
    centered = activations - activations.mean(axis=0)
    axes = np.linalg.svd(centered, full_matrices=False)[2][:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return centered @ (axes * np.sign(largest)).T


def assign_cells(points: np.ndarray, *, grid: int) -> np.ndarray:
    """The cells (row, column) of points (x, y) [N, 2] on a grid, int [N, 2].

    The grid spans the 2nd to the 98th percentile of each axis, so that a few outliers do not shrink
    everything else; they go to the cells at the border. (Carter et al. take the 1st and the 99th,
    and leave a margin.) Row 0 is at the top, where y is largest.
    """
    low, high = np.percentile(points, PERCENTILES, axis=0)
    unit = (points - low) / np.maximum(high - low, np.finfo(np.float64).tiny)
    x, y = np.clip(np.floor(unit * grid), 0, grid - 1).astype(int).T
    return np.stack([grid - 1 - y, x], axis=1)
