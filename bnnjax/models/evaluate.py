"""The accuracy of a network on labelled pictures, and the class names of its predictions."""

import csv
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from bnnjax import images
from bnnjax.models.imagenet import CLASSES
from bnnjax.models.network import Network

_CROPS = {"pillow": images.pillow_crop_resize, "zoo": images.zoo_crop_resize}
RESIZES = tuple(_CROPS)
SIDE = 224  # px, the usual size for the evaluation of ImageNet networks


class Accuracy(NamedTuple):
    """Top-1 and top-5 accuracy in per cent on ``n`` pictures."""

    top1: float
    top5: float
    n: int


def guesser(network: Network, *, resize: str = "pillow") -> Callable[[Path], np.ndarray]:
    """A function from a picture file to logits [num_classes].

    Pictures are cropped at the centre and resized to 224 px, as in Larq Zoo's evaluation. A network
    whose logits need another size gets the centre of a square of that size.

    Args:
      network: a network with a classifier.
      resize: "pillow" (antialiased bicubic) or "zoo" (TensorFlow 1's, used by Larq Zoo).

    Raises:
      ValueError: an unknown ``resize`` or a network without a classifier; from the function, a
        picture that cannot be read.
    """
    if resize not in _CROPS:
        raise ValueError(f"resize is {resize!r}, needs one of {RESIZES}")
    if network.architecture.num_classes is None:
        raise ValueError(f"{network.entry.name} has no classifier here, only features")
    crop_resize = _CROPS[resize]
    logits = jax.jit(lambda variables, batch: network.apply(variables, batch)[0])
    size = usual_size(network)

    def of_file(path: Path) -> np.ndarray:
        square = crop_resize(images.load(path), size=max(size))
        return np.asarray(logits(network.variables, _center(square, *size)[None])[0])

    return of_file


def usual_size(network: Network) -> tuple[int, int]:
    """Height and width at which a network is evaluated: 224×224 px if it has logits at that size,
    else those of its example."""
    entry = network.entry
    usual = entry.sizes.fit(SIDE, SIDE) and network.architecture.has_logits(SIDE)
    return (SIDE, SIDE) if usual else entry.sizes.smallest


def _center(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The central [height, width, 3] of [H, W, 3]; an odd margin is larger below and right."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def accuracy(
    logits_of: Callable[[Path], np.ndarray], labelled: Iterable[tuple[Path, int]]
) -> Accuracy:
    """Accuracy over (picture file, class index) pairs.

    Raises:
      ValueError: there are no pairs.
    """
    found = [ranks(logits_of(path)[None], np.array([label])) for path, label in labelled]
    if not found:
        raise ValueError("no pictures to evaluate on")
    top1, top5 = (100 * float(np.mean(np.concatenate(found) < k)) for k in (1, 5))
    return Accuracy(top1, top5, len(found))


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many other classes score at least as high as the correct one, int [N].

    Args:
      logits: [N, num_classes]; a non-finite row gets the worst rank.
      labels: int [N], the correct classes.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    others = (logits >= own).sum(axis=1) - 1
    return np.where(np.isfinite(logits).all(axis=1), others, logits.shape[1])


def read_labels(
    directory: str | Path, labels: str | Path, *, num_classes: int = CLASSES
) -> list[tuple[Path, int]]:
    """(picture file, class index) pairs from a CSV with the columns ``file`` and ``class_index``.

    Raises:
      ValueError: the CSV cannot be read, lacks a column, has an index that is not in 0 …
        ``num_classes`` − 1, or names pictures that are not in the directory.
    """
    try:
        with open(labels, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            absent = {"file", "class_index"} - set(reader.fieldnames or ())
            if absent:
                raise ValueError(f"no column {', '.join(sorted(absent))}")
            rows = [(Path(directory, row["file"]), _index(row, num_classes)) for row in reader]
    except OSError as error:
        raise ValueError(f"{labels}: {error.strerror}") from None
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{labels}: needs the columns file and class_index ({error})") from None
    missing = [path.name for path, _ in rows if not path.is_file()]
    if missing:
        raise ValueError(f"{directory} lacks {len(missing)} pictures: {', '.join(missing[:5])} …")
    return rows


def _index(row: Mapping[str, str], num_classes: int) -> int:
    index = int(row["class_index"])
    if not 0 <= index < num_classes:
        raise ValueError(f"class_index {index} is not one of {num_classes} classes")
    return index


def class_names(network: Network, path: str | Path | None = None) -> tuple[str, ...]:
    """The class names in the order of the logits.

    Args:
      network: its own names are used if it has any, else ImageNet's if it was published with 1000
        classes, else numbers.
      path: a text file with one name per line, which takes precedence.

    Raises:
      ValueError: the file cannot be read, or its number of names is not that of the classes.
    """
    num_classes = network.architecture.num_classes
    if path is not None:
        return _read_names(path, num_classes)
    if network.class_names is not None:
        return network.class_names
    if num_classes == network.entry.card.num_classes == CLASSES:
        return imagenet_names()
    return tuple(map(str, range(num_classes or 0)))


def _read_names(path: str | Path, num_classes: int | None) -> tuple[str, ...]:
    try:
        names = tuple(Path(path).expanduser().read_text("utf-8-sig").splitlines())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from None
    if len(names) != num_classes:
        raise ValueError(f"{path} has {len(names)} lines, needs a name for each of {num_classes}")
    return names


@functools.cache
def imagenet_names() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes in their usual order."""
    text = resources.files("bnnjax.assets").joinpath("imagenet_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def top_guesses(logits: np.ndarray, names: Sequence[str], *, count: int) -> list[tuple[str, float]]:
    """The ``count`` most likely classes, or all if there are fewer: (name, probability), in order.

    Raises:
      ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"topk is {count}, needs 1 or more")
    weights = np.exp(logits - logits.max())
    order = np.argsort(-logits)[:count]
    return [(names[i], float(weights[i] / weights.sum())) for i in order]
