"""Labelled pictures in memory, their batches, and accuracy on them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from bnnjax.models.evaluate import ranks


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled pictures.

    Attributes:
      images: uint8 [N, side, side, 3], sRGB.
      labels: int32 [N], indices of classes.
      class_names: the classes in the order of their indices, or None if they have no names.
    """

    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.labels)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Float values in [0, 1], rounded to the nearest of 0 … 255."""
    return np.rint(255 * image).astype(np.uint8)


def batch_indices(count: int, step: int, *, batch_size: int, seed: int) -> np.ndarray:
    """The indices of the pictures in a step's batch, out of ``count`` pictures: int [batch_size].

    Every epoch visits the pictures in another random order, which depends only on the seed and the
    number of the epoch. Pictures that do not fill a batch are omitted.
    """
    epoch, place = divmod(step, count // batch_size)
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return order[place * batch_size :][:batch_size]


def top_k_accuracy(
    logits_of: Callable[[np.ndarray], Any], dataset: Dataset, *, k: tuple[int, ...], batch_size: int
) -> dict[str, float]:
    """Accuracy over a dataset in per cent, as ``{"top1": …}`` for ``k=(1,)``.

    Ties count against the network, and so do logits that are not finite.
    """
    found = []
    for start in range(0, len(dataset), batch_size):
        batch = slice(start, start + batch_size)
        logits = np.asarray(logits_of(dataset.images[batch]))
        found.append(ranks(logits, dataset.labels[batch]))
    rank = np.concatenate(found)
    return {f"top{n}": 100 * float(np.mean(rank < n)) for n in k}
