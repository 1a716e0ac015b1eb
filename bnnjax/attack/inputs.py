"""A caller's pictures, labels and target, as arrays for one network."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from bnnjax import images
from bnnjax.models import evaluate
from bnnjax.models.network import Architecture, Network, Variables
from bnnjax.nst.inputs import as_list, names_of
from bnnjax.options import nearest


class Inputs(NamedTuple):
    """What is attacked.

    Attributes:
      names: unique, for files and tables.
      pictures: uint8 [H, W, 3] each.
      logits: of the pictures, [N, num_classes].
      labels: int [N], the classes that count as correct.
      targets: int [N], the classes to lead to in a targeted attack.
      targeted: whether the attack is; else it leads away from the labels.
    """

    names: list[str]
    pictures: list[np.ndarray]
    logits: np.ndarray
    labels: np.ndarray
    targets: np.ndarray
    targeted: bool = False

    def attackable(self) -> np.ndarray:
        """Pictures to attack, bool [N]: correctly classified ones, or, with a target, those that
        are not classified as their target."""
        decisions = self.logits.argmax(1)
        return decisions != self.targets if self.targeted else decisions == self.labels

    def chosen(self, numbers: Sequence[int]) -> "Inputs":
        """Some of the pictures, by their indices."""
        names, pictures = [self.names[i] for i in numbers], [self.pictures[i] for i in numbers]
        where = np.asarray(numbers, int)
        return Inputs(
            names,
            pictures,
            self.logits[where],
            self.labels[where],
            self.targets[where],
            self.targeted,
        )


def side_of(network: Network, size: int | None) -> int:
    """The side of the squares that a network sees, in pixels.

    Raises:
      ValueError: the network does not accept such squares, or has no classifier.
    """
    if network.architecture.num_classes is None:
        raise ValueError(f"{network.name} has no classifier here, only features")
    side = size or max(evaluate.usual_size(network))
    if not network.entry.sizes.fit(side, side) or not network.architecture.has_logits(side):
        raise ValueError(f"{network.name} has no logits for {side}×{side} px; choose another size")
    return side


def squares(sources: Any, *, side: int) -> tuple[list[str], list[np.ndarray]]:
    """Names and 8-bit squares [side, side, 3] of pictures in any form that `as_list` takes.

    Pictures are rounded to 8 bits before the attack, so that the ball is around a picture that a
    file can hold, and radii of whole 1/255 lead to others.

    Raises:
      ValueError: a picture cannot be read.
    """
    listed = as_list(sources, kind="picture")
    names = names_of(listed, kind="picture")
    return names, [_square(images.load(source), side) for source in listed]


def classifier(network: Network, *, side: int | None = None) -> Callable[[np.ndarray], np.ndarray]:
    """A function from a picture uint8 [H, W, 3] to its logits.

    Args:
      network: a network with a classifier.
      side: pictures are made squares of this side first, if it is given.
    """

    def of(picture: np.ndarray) -> np.ndarray:
        if side is not None:
            picture = _square(picture.astype(np.float32) / np.float32(255), side)
        batch = picture[None].astype(np.float32) / np.float32(255)
        return np.asarray(_logits(network.architecture, network.variables, batch)[0])

    return of


def _square(picture: np.ndarray, side: int) -> np.ndarray:
    return np.rint(images.square(picture, size=side) * 255).astype(np.uint8)


@partial(jax.jit, static_argnums=0)
def _logits(architecture: Architecture, variables: Variables, batch: Array) -> Array:
    return architecture.apply(variables, batch)[0]


def pictures_of(
    names: Sequence[str], labels: str | None, *, num_classes: int, limit: int | None = None
) -> tuple[list[Path], list[int] | None]:
    """Picture files and their class indices, which are None without labels.

    Args:
      names: picture files, or one folder of them.
      labels: a CSV for `evaluate.read_labels`, which then selects the folder's pictures.
      num_classes: the number of classes.
      limit: how many to take, evenly spread; None for all.

    Raises:
      ValueError: no pictures, or labels that do not belong to a folder.
    """
    folder = Path(names[0]) if len(names) == 1 and Path(names[0]).is_dir() else None
    if labels and folder is None:
        raise ValueError("--labels needs --images to be one folder")
    if labels and folder is not None:
        rows = evaluate.read_labels(folder, labels, num_classes=num_classes)
        paths, indices = [path for path, _ in rows], [label for _, label in rows]
    else:
        entries = sorted(folder.iterdir()) if folder else []
        pictures = [path for path in entries if path.suffix.lower() in images.SUFFIXES]
        paths, indices = pictures if folder else [Path(name) for name in names], []
    if not paths:
        raise ValueError(f"no pictures in {', '.join(names)}")
    taken = np.linspace(0, len(paths) - 1, min(limit or len(paths), len(paths))).round().astype(int)
    return [paths[i] for i in taken], [indices[i] for i in taken] if labels else None


def class_index(target: int | str, class_names: Sequence[str]) -> int:
    """The index of a class given by its index or name.

    Raises:
      ValueError: there is no such class; the nearest name is suggested.
    """
    if isinstance(target, str) and not target.isdigit():
        found = [i for i, name in enumerate(class_names) if name.lower() == target.lower()]
        if not found:
            hint = nearest(target, class_names).split(" There are")[0]
            raise ValueError(f"no class {target!r}{hint}")
        return found[0]
    if not 0 <= int(target) < len(class_names):
        raise ValueError(f"class {target} is not one of {len(class_names)} classes")
    return int(target)
