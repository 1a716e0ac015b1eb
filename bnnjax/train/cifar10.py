"""CIFAR-10's pictures, out of its binary files or out of archives of JPEG files.

Krizhevsky 2009, *Learning Multiple Layers of Features from Tiny Images*. The version for Python is
not read: it consists of pickles, and unpickling runs whatever a file says.
"""

import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from bnnjax.train.photographs import DAMAGE, Photographs, decoded

CLASSES = (
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


def load(folder: str | Path) -> tuple[Photographs, Photographs]:
    """Training and test pictures.

    Args:
      folder: holds the files of ``cifar-10-binary.tar.gz`` (or the folder that they are packed in),
        or the two archives of JPEG files.

    Raises:
      ValueError: it holds neither, or a file is damaged.
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


def read_binary(paths: Sequence[str | Path]) -> Photographs:
    """The pictures of files of CIFAR-10's binary version, in their order.

    A record is a byte of label and 1024 bytes each of red, green and blue, row by row
    (www.cs.toronto.edu/~kriz/cifar.html).

    Raises:
      ValueError: a file that is cut short, or a label above 9.
    """
    parts = [_records(Path(path)) for path in paths]
    records = np.concatenate(parts)
    planes = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
    return Photographs(planes.transpose(0, 2, 3, 1).copy(), records[:, 0].astype(np.int32))


def _records(path: Path) -> np.ndarray:
    data, length = np.fromfile(path, np.uint8), 1 + 3 * SIDE * SIDE
    if not len(data) or len(data) % length:
        raise ValueError(f"{path} has {len(data)} bytes, needs a multiple of {length}")
    records = data.reshape(-1, length)
    if records[:, 0].max() >= len(CLASSES):
        raise ValueError(f"{path} holds the label {records[:, 0].max()}, needs 0 to 9")
    return records


def read_archive(path: str | Path) -> Photographs:
    """The pictures of a tar file of ``…/CLASS/NAME.jpg``, in the order of their names.

    Raises:
      ValueError: no whole tar file, no pictures, another class, or a picture of another size.
    """
    try:
        with tarfile.open(path) as tar:
            named = dict(_pictures(tar, Path(path)))
    except DAMAGE as error:
        raise ValueError(f"{path}: not a whole tar file ({error})") from None
    if not named:
        raise ValueError(f"{path} holds no pictures")
    images, labels = zip(*(named[name] for name in sorted(named)), strict=True)
    return Photographs(np.stack(images), np.array(labels, np.int32))


def _pictures(tar: tarfile.TarFile, path: Path) -> Iterator[tuple[str, tuple[np.ndarray, int]]]:
    for member in tar:
        data = tar.extractfile(member)
        if data is None:
            continue
        label = PurePosixPath(member.name).parent.name
        if label not in CLASSES:
            raise ValueError(f"{path}: {member.name} is in no folder of a class of CIFAR-10")
        pixels = np.asarray(decoded(data.read(), f"{path}: {member.name}"))
        if pixels.shape != (SIDE, SIDE, 3):
            raise ValueError(f"{path}: {member.name} is not {SIDE}×{SIDE} px")
        yield member.name, (pixels, CLASSES.index(label))
