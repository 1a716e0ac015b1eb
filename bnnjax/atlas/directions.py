"""The direction that each cell's picture is driven in: mean activations, whitened."""

from typing import NamedTuple

import numpy as np


class Members(NamedTuple):
    """The activations of one cell.

    Attributes:
      row, column: of the cell.
      indices: which activations fall into it, in ascending order.
    """

    row: int
    column: int
    indices: np.ndarray


def occupied(cells: np.ndarray, *, least: int) -> list[Members]:
    """The cells with at least ``least`` members, row by row, of (row, column) pairs [N, 2]."""
    found, inverse = np.unique(cells, axis=0, return_inverse=True)
    groups = [np.flatnonzero(inverse.reshape(-1) == number) for number in range(len(found))]
    return [
        Members(int(row), int(column), group)
        for (row, column), group in zip(found, groups, strict=True)
        if len(group) >= least
    ]


def whitening(activations: np.ndarray, *, ridge: float) -> np.ndarray:
    """The whitening S = (M/λ + ridge · I)⁻¹ for activations A [N, C], float32 [C, C].

    M = AᵀA/N is their second moment, and λ the mean of its eigenvalues.

    A direction S v plays down what v shares with most activations and keeps what makes v special
    (Carter et al. 2019, who do not subtract the mean either). They use no ridge. A binary network
    then shows noise along with the direction, and silent channels make the matrix singular.

    Args:
      activations: of a tap.
      ridge: inf gives the identity.
    """
    identity = np.eye(activations.shape[1])
    if np.isinf(ridge):
        return identity.astype(np.float32)
    a = activations.astype(np.float64)
    second = a.T @ a / len(a)
    eigenvalue = max(np.trace(second) / len(second), np.finfo(np.float64).tiny)
    return np.linalg.inv(second / eigenvalue + ridge * identity).astype(np.float32)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosines between all rows of [N, C] and all rows of [M, C], [N, M]."""
    unit = [x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b)]
    return unit[0] @ unit[1].T
