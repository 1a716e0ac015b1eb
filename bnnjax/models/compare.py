"""The article's comparison of the accuracies and sizes of binary and float networks.

McAteer & Prabhu, *Style Transfer with Binarized Neural Networks* (ACAI 2020). All figures are
published ones from the registry.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bnnjax.models import registry
from bnnjax.models.imagenet import CLASSES

HEADING = ["network", "top-1 %", "top-5 %", "parameters", "memory (MiB)", "ratio"]


class Row(NamedTuple):
    """A network: ImageNet accuracies in per cent, the number of parameters, their memory in MiB,
    and the ratio of the baseline's memory to it."""

    name: str
    top1: float
    top5: float
    parameters: int
    mebibytes: float
    ratio: float


def compare(with_: str = "vgg19") -> list[Row]:
    """Every registered network with figures for ImageNet's 1000 classes, largest first.

    Args:
      with_: the name of the baseline.

    Raises:
      ValueError: the baseline is unknown or has no published figures.
    """
    base = registry.find(with_).card
    if base.top1 is None or base.mebibytes is None:
        raise ValueError(f"{with_} has no published figures; compare with another network")
    rows = [
        Row(name, c.top1, c.top5, c.parameters, c.mebibytes, base.mebibytes / c.mebibytes)
        for name, c in ((entry.name, entry.card) for entry in registry.REGISTRY.values())
        if c.num_classes == CLASSES
        and c.top1 is not None
        and c.top5 is not None
        and c.parameters is not None
        and c.mebibytes is not None
    ]
    return sorted(rows, key=lambda row: -row.mebibytes)


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The rows as text, heading first."""
    lines = [
        [
            row.name,
            f"{row.top1:.1f}",
            f"{row.top5:.1f}",
            f"{row.parameters:,}",
            f"{row.mebibytes:.2f}",
            f"{row.ratio:.1f}",
        ]
        for row in rows
    ]
    return [HEADING, *lines]
