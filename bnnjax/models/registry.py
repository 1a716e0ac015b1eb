"""One table of everything known about each network, gathered from the files of the families."""

import difflib

from bnnjax.models import (
    alexnet,
    densenet,
    dorefanet,
    inception,
    inknet,
    meliusnet,
    quicknet,
    quicknet_v0,
    real_to_binary,
    resnet18,
    vgg,
    xnornet,
)
from bnnjax.models.entry import Entry

FAMILIES = (
    inknet,
    quicknet,
    quicknet_v0,
    alexnet,
    xnornet,
    dorefanet,
    resnet18,
    densenet,
    meliusnet,
    real_to_binary,
    vgg,
    inception,
)
REGISTRY: dict[str, Entry] = {entry.name: entry for family in FAMILIES for entry in family.ENTRIES}


def find(name: str) -> Entry:
    """The row of a network.

    Raises:
      ValueError: no network of this name (the nearest is suggested).
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"no network {name!r}{hint} There are: {', '.join(REGISTRY)}")
    return REGISTRY[name]
