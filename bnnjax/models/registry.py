"""The table of all networks, collected from the files of the families."""

import difflib
import re

from bnnjax.models import (
    alexnet,
    bmxnet,
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
    bmxnet,
    densenet,
    meliusnet,
    real_to_binary,
    vgg,
    inception,
)
REGISTRY: dict[str, Entry] = {}


def register(entry: Entry) -> None:
    """Adds a network to the registry, so that it is found by its name like any other.

    Raises:
      ValueError: the name is taken, or could be mistaken for a path.
    """
    if not re.fullmatch(r"[\w-]+", entry.name):
        raise ValueError(f"name is {entry.name!r}, needs letters, digits, '_' and '-' only")
    if REGISTRY.setdefault(entry.name, entry) != entry:
        raise ValueError(f"a network {entry.name!r} is registered already; choose another name")


def names() -> tuple[str, ...]:
    """The names of all networks.

    Examples:
      >>> bnnjax.networks()[:2]
      ('inknet', 'quicknet_small')
    """
    return tuple(REGISTRY)


def find(name: str) -> Entry:
    """The row of a network.

    Raises:
      ValueError: an unknown name (the nearest is suggested).

    Examples:
      >>> find("quicknet").card.top1
      63.3
      >>> find("quiknet")
      Traceback (most recent call last):
      ValueError: no network 'quiknet'; did you mean 'quicknet'? ...
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"no network {name!r}{hint} There are: {', '.join(REGISTRY)}, and those that you "
            "register (for scripts: --import=MODULE)"
        )
    return REGISTRY[name]


for _family in FAMILIES:
    for _entry in _family.ENTRIES:
        register(_entry)
