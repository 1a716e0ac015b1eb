"""Accuracy of a network on labelled pictures, and the names of what it sees."""

import csv
import functools
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from bnnjax import images
from bnnjax.models.network import Network

_RESIZES = {"pillow": images.pillow_crop_resize, "zoo": images.zoo_crop_resize}
RESIZES = tuple(_RESIZES)
IMAGENET = 1000
_NAMES = {IMAGENET: "imagenet_classes.txt", 117: "inknet_classes.txt"}
SIDE = 224  # px, of the pictures that networks of ImageNet are evaluated on


class Accuracy(NamedTuple):
    """Per cent of the pictures whose class is the first guess or among the first five; how many."""

    top1: float
    top5: float
    n: int


def guesser(network: Network, *, resize: str = "pillow") -> Callable[[Path], np.ndarray]:
    """A function picture file → logits [classes], by the zoo's centre crop to 224 px; of a network
    that takes one size only, to that, as much of the square as its sides leave.

    ``resize`` is "pillow" (antialiased bicubic) or "zoo" (TensorFlow 1's, as the zoo evaluates).

    Raises:
      ValueError: an unknown ``resize``, a network without a classifier; the function, on an
        unreadable picture.
    """
    if resize not in _RESIZES:
        raise ValueError(f"resize is {resize!r}, needs one of {RESIZES}")
    if network.architecture.num_classes is None:
        raise ValueError(f"{network.entry.name} has no classifier here, only features")
    if network.architecture.num_classes not in _NAMES:
        raise ValueError(
            f"{network.name} here tells {network.architecture.num_classes} classes apart, whose "
            f"names are not known; needs {' or '.join(map(str, _NAMES))}"
        )
    crop_resize = _RESIZES[resize]
    logits = jax.jit(lambda variables, batch: network.apply(variables, batch)[0])
    free = network.entry.sizes.fit(SIDE, SIDE)
    size = (SIDE, SIDE) if free else network.entry.sizes.smallest

    def of_file(path: Path) -> np.ndarray:
        square = crop_resize(images.load(path), size=max(size))
        return np.asarray(logits(network.variables, _center(square, *size)[None])[0])

    return of_file


def _center(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle [height, width, 3] of [H, W, 3]; an odd margin is larger below and right."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def accuracy(
    logits_of: Callable[[Path], np.ndarray], labelled: Iterable[tuple[Path, int]]
) -> Accuracy:
    """Accuracy over (picture file, class index) pairs.

    Raises:
      ValueError: there are none.
    """
    found = [ranks(logits_of(path)[None], np.array([label])) for path, label in labelled]
    if not found:
        raise ValueError("no pictures to evaluate on")
    top1, top5 = (100 * float(np.mean(np.concatenate(found) < k)) for k in (1, 5))
    return Accuracy(top1, top5, len(found))


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many other classes score at least as high as the right one, int [N].

    Args:
      logits: [N, classes]; where one is not finite, the rank is the worst.
      labels: int [N], the right classes.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    others = (logits >= own).sum(axis=1) - 1
    return np.where(np.isfinite(logits).all(axis=1), others, logits.shape[1])


def read_labels(
    directory: str | Path, labels: str | Path, *, classes: int = IMAGENET
) -> list[tuple[Path, int]]:
    """(picture file, class index) pairs of a CSV with the columns ``file`` and ``class_index``,
    indices of ``classes`` classes.

    Raises:
      ValueError: the CSV cannot be read, lacks a column, holds something else than class indices,
        or names pictures that are not in the directory.
    """
    try:
        with open(labels, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            absent = {"file", "class_index"} - set(reader.fieldnames or ())
            if absent:
                raise ValueError(f"no column {', '.join(sorted(absent))}")
            pairs = [(Path(directory, row["file"]), _class_index(row, classes)) for row in reader]
    except OSError as error:
        raise ValueError(f"{labels}: {error.strerror}") from None
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{labels}: needs the columns file and class_index ({error})") from None
    missing = [path.name for path, _ in pairs if not path.is_file()]
    if missing:
        raise ValueError(f"{directory} lacks {len(missing)} pictures: {', '.join(missing[:5])} …")
    return pairs


def _class_index(row: Mapping[str, str], classes: int) -> int:
    index = int(row["class_index"])
    if not 0 <= index < classes:
        raise ValueError(f"class_index {index} is none of {classes} classes")
    return index


@functools.cache
def class_names(classes: int = IMAGENET) -> tuple[str, ...]:
    """Names in the order of the logits: of ImageNet's 1000 classes, or of InkNet's 117.

    Raises:
      ValueError: another number of classes.
    """
    if classes not in _NAMES:
        raise ValueError(f"no names of {classes} classes; there are of {tuple(_NAMES)}")
    text = resources.files("bnnjax.assets").joinpath(_NAMES[classes]).read_text("utf-8")
    return tuple(text.splitlines())


def top_guesses(logits: np.ndarray, *, count: int) -> list[tuple[str, float]]:
    """The likeliest classes, (name, probability), the likeliest first.

    Raises:
      ValueError: ``count`` is not between 1 and the number of classes.
    """
    if not 1 <= count <= len(logits):
        raise ValueError(f"topk is {count}, needs 1 to {len(logits)}")
    weights = np.exp(logits - logits.max())
    order = np.argsort(-logits)[:count]
    names = class_names(len(logits))
    return [(names[i], float(weights[i] / weights.sum())) for i in order]
