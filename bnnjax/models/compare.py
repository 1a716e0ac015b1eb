"""The article's comparison: what binary networks know, and what they weigh beside float ones.

McAteer & Prabhu, *Style Transfer with Binarized Neural Networks* (ACAI 2020). All figures are the
published ones, of the registry.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bnnjax.models import registry
from bnnjax.models.imagenet import CLASSES

HEADING = ["network", "top-1 %", "top-5 %", "parameters", "memory (MiB)", "ratio"]


class Row(NamedTuple):
    """A network: ImageNet accuracies in per cent, the number of parameters, their memory in MiB,
    and how many times as much memory the network takes that it is compared with."""

    name: str
    top1: float
    top5: float
    parameters: int
    mebibytes: float
    ratio: float


def compare(with_: str = "vgg19") -> list[Row]:
    """Every network of the registry that tells ImageNet's classes apart, the largest first.

    Raises:
      ValueError: no network of this name, or one without published figures.
    """
    base = registry.find(with_)
    if base.top1 is None:
        raise ValueError(f"{with_} has no published figures; compare with another network")
    rows = [
        Row(e.name, e.top1, e.top5, e.parameters, e.mebibytes, base.mebibytes / e.mebibytes)
        for e in registry.REGISTRY.values()
        if e.classes == CLASSES and e.top1 is not None and e.top5 is not None
    ]
    return sorted(rows, key=lambda row: -row.mebibytes)


def table(rows: Sequence[Row]) -> list[list[str]]:
    """The rows as text, their heading first."""
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
