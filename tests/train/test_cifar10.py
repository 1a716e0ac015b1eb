"""CIFAR-10's files: pixels, labels, order, and errors."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from bnnjax.train import cifar10


def records(seed, count):
    """Pictures, labels, and the bytes of the binary version, assembled byte by byte."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, count)
    data = b"".join(
        bytes([label]) + b"".join(image[:, :, channel].tobytes() for channel in range(3))
        for image, label in zip(images, labels, strict=True)
    )
    return images, labels, data


def write_binary(folder, *, count=3):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").write_bytes(records(number, count)[2])
    (folder / "test_batch.bin").write_bytes(records(0, count + 1)[2])


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_binary_files_are_read_from_their_folder_or_the_one_above(inner, tmp_path):
    write_binary(tmp_path / inner)
    train, test = cifar10.load(tmp_path)
    batches = [records(number, 3) for number in range(1, 6)]
    np.testing.assert_array_equal(train.images, np.concatenate([batch[0] for batch in batches]))
    np.testing.assert_array_equal(train.labels, np.concatenate([batch[1] for batch in batches]))
    np.testing.assert_array_equal(test.images, records(0, 4)[0])
    np.testing.assert_array_equal(test.labels, records(0, 4)[1])
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int32)


def test_a_truncated_file_is_named(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(records(1, 3)[2][:-1])
    with pytest.raises(ValueError, match=r"data_batch_1\.bin has 9218 bytes, .* of 3073"):
        cifar10.read_binary([path])


def test_labels_above_nine_are_refused(tmp_path):
    path = tmp_path / "data_batch_1.bin"
    path.write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(ValueError, match="label 10"):
        cifar10.read_binary([path])


def test_a_missing_batch_is_named(tmp_path):
    write_binary(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(OSError, match="data_batch_3"):
        cifar10.load(tmp_path)


def test_pickles_are_not_read(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(ValueError, match=r"needs CIFAR-10's binary version .* or .*tar\.xz"):
        cifar10.load(tmp_path)


# --- archives of JPEG files ------------------------------------------------------------------


def write_archive(path, pictures):
    with tarfile.open(path, "w:xz") as tar:
        for name, color, side in pictures:
            file = io.BytesIO()
            Image.new("RGB", (side, side), color).save(file, "jpeg", quality=95)
            info = tarfile.TarInfo(name)
            info.size = file.tell()
            tar.addfile(info, io.BytesIO(file.getvalue()))


def test_archives_are_read_in_the_order_of_their_names(tmp_path):
    write_archive(
        tmp_path / "cifar10-jpeg-train.tar.xz",
        [
            ("train/truck/0000.jpg", (10, 20, 200), 32),
            ("train/airplane/0001.jpg", (90, 90, 90), 32),
            ("train/airplane/0000.jpg", (200, 20, 10), 32),
        ],
    )
    write_archive(tmp_path / "cifar10-jpeg-test.tar.xz", [("test/cat/0000.jpg", (0, 0, 0), 32)])
    train, test = cifar10.load(tmp_path)
    assert train.labels.tolist() == [0, 0, 9]
    assert train.class_names[9] == "truck"
    assert test.labels.tolist() == [3]
    colors = train.images.astype(int)
    expected = np.array([(200, 20, 10), (90, 90, 90), (10, 20, 200)])[:, None, None]
    assert np.abs(colors - expected).max() <= 3  # JPEG's rounding
    assert train.images.shape == (3, 32, 32, 3)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (
            ("train/fish/0000.jpg", (0, 0, 0), 32),
            r"train/fish/0000\.jpg is not in a folder named after a class",
        ),
        (("train/cat/0000.jpg", (0, 0, 0), 31), r"train/cat/0000\.jpg is 31×31 px, needs 32×32"),
    ],
)
def test_files_that_are_not_cifar10_are_named_in_the_error(picture, message, tmp_path):
    write_archive(tmp_path / "one.tar.xz", [picture])
    with pytest.raises(ValueError, match=message):
        cifar10.read_archive(tmp_path / "one.tar.xz")


def test_an_archive_without_pictures_is_refused(tmp_path):
    write_archive(tmp_path / "one.tar.xz", [])
    with pytest.raises(ValueError, match="no pictures"):
        cifar10.read_archive(tmp_path / "one.tar.xz")


def test_a_truncated_archive_is_named(tmp_path):
    path = tmp_path / "one.tar.xz"
    write_archive(path, [(f"cat/{k:04}.jpg", (k, 3 * k, 5 * k), 32) for k in range(50)])
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"one\.tar\.xz: not a complete tar file"):
        cifar10.read_archive(path)


@pytest.mark.slow
def test_the_real_test_pictures(data_dir):
    path = data_dir / "cifar10" / cifar10.TEST_ARCHIVE
    if not path.is_file():
        pytest.skip(f"no {path}; set BNNJAX_DATA")
    test = cifar10.read_archive(path)
    assert test.images.shape == (10_000, 32, 32, 3)
    np.testing.assert_array_equal(np.bincount(test.labels), [1000] * 10)
    # The published means of CIFAR-10's channels are 0.491, 0.482, 0.447.
    np.testing.assert_allclose(test.images.mean((0, 1, 2)) / 255, [0.491, 0.482, 0.447], atol=0.01)
