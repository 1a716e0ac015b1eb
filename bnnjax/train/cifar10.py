"""CIFAR-10, read from its binary version or from archives of JPEG files.

Krizhevsky 2009, *Learning Multiple Layers of Features from Tiny Images*. The version for Python is
not supported because it consists of pickles, which can execute any code.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from bnnjax import images
from bnnjax.train.dataset import Dataset, to_uint8
from bnnjax.train.photographs import tar_members

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
SIDE = 32
TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST_FILES = ("test_batch.bin",)
TRAIN_ARCHIVE, TEST_ARCHIVE = "cifar10-jpeg-train.tar.xz", "cifar10-jpeg-test.tar.xz"


def load(folder: str | Path) -> tuple[Dataset, Dataset]:
    """Reads the training and test pictures.

    Args:
      folder: contains the files of ``cifar-10-binary.tar.gz`` (or the folder inside that archive),
        or the two archives of JPEG files.

    Raises:
      ValueError: the folder contains neither, or a file is damaged.
    """
    folder = Path(folder).expanduser()
    for place in (folder, folder / "cifar-10-batches-bin"):
        if (place / TEST_FILES[0]).exists():
            train, test = ([place / name for name in names] for names in (TRAIN_FILES, TEST_FILES))
            return read_binary(train), read_binary(test)
    if (folder / TRAIN_ARCHIVE).exists() and (folder / TEST_ARCHIVE).exists():
        return read_archive(folder / TRAIN_ARCHIVE), read_archive(folder / TEST_ARCHIVE)
    raise ValueError(
        f"{folder}: needs CIFAR-10's binary version ({TRAIN_FILES[0]} … {TEST_FILES[0]}), or "
        f"{TRAIN_ARCHIVE} and {TEST_ARCHIVE}"
    )


def read_binary(paths: Sequence[str | Path]) -> Dataset:
    """Reads files of CIFAR-10's binary version, in order.

    A record is one byte of label and 1024 bytes each of red, green and blue, row by row
    (www.cs.toronto.edu/~kriz/cifar.html).

    Raises:
      ValueError: a file is truncated, or a label is above 9.
    """
    records = np.concatenate([_records(Path(path)) for path in paths])
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    pixels, labels = planes.transpose(0, 2, 3, 1).copy(), records[:, 0].astype(np.int32)
    return Dataset(pixels, labels, CLASS_NAMES)


def _records(path: Path) -> np.ndarray:
    data, length = np.fromfile(path, np.uint8), 1 + 3 * SIDE * SIDE
    if not len(data) or len(data) % length:
        raise ValueError(f"{path} has {len(data)} bytes, needs a multiple of {length}")
    records = data.reshape(-1, length)
    if records[:, 0].max() >= len(CLASS_NAMES):
        raise ValueError(f"{path} holds the label {records[:, 0].max()}, needs 0 to 9")
    return records


def read_archive(path: str | Path) -> Dataset:
    """Reads a tar file of pictures ``…/CLASS/NAME.jpg``, in the order of their names.

    Raises:
      ValueError: the file is not a complete tar file, holds no pictures, or holds pictures of
        another class or size.
    """
    files = sorted(tar_members(Path(path)))
    if not files:
        raise ValueError(f"{path}: no pictures")
    labels = [_label(name, Path(path)) for name, _ in files]
    pixels = [_pixels(data, f"{path}: {name}") for name, data in files]
    return Dataset(np.stack(pixels), np.array(labels, np.int32), CLASS_NAMES)


def _label(name: str, path: Path) -> int:
    folder = PurePosixPath(name).parent.name
    if folder not in CLASS_NAMES:
        raise ValueError(f"{path}: {name} is not in a folder named after a class of CIFAR-10")
    return CLASS_NAMES.index(folder)


def _pixels(data: bytes, name: str) -> np.ndarray:
    pixels = to_uint8(images.load_bytes(data, name))
    if pixels.shape != (SIDE, SIDE, 3):
        raise ValueError(f"{name} is {pixels.shape[0]}×{pixels.shape[1]} px, needs {SIDE}×{SIDE}")
    return pixels
