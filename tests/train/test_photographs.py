"""Photographs from folders and shards: pixels, labels, order, and errors."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from bnnjax.train.photographs import load_shards, load_split


def picture(seed, height, width):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", **options)
    return file.getvalue()


@pytest.fixture
def write(tmp_path):
    """A function (name, members: file name → bytes) → a tar file, compressed as its name says."""

    def make(name, members):
        mode = {"gz": "w:gz", "xz": "w:xz"}.get(name.rpartition(".")[2], "w")
        with tarfile.open(tmp_path / name, mode) as tar:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return tmp_path / name

    return make


@pytest.fixture
def two_shards(write):
    first = {
        "a/1.png": encoded(picture(1, 20, 20)),
        "a/1.cls": b"3\n",
        "a/2.cls": b"116",
        "a/2.png": encoded(picture(2, 20, 27)),
    }
    second = {"a/1.png": encoded(picture(3, 29, 20)), "a/1.cls": b"0"}
    return [write("one.tar.gz", first), write("two.tar", second)]


def test_pictures_are_cropped_to_their_central_squares_in_order(two_shards):
    found = load_shards(two_shards, side=20)
    np.testing.assert_array_equal(found.images[0], picture(1, 20, 20))
    np.testing.assert_array_equal(found.images[1], picture(2, 20, 27)[:, 3:23])
    np.testing.assert_array_equal(found.images[2], picture(3, 29, 20)[4:24])
    assert found.labels.tolist() == [3, 116, 0]
    assert (found.images.dtype, found.labels.dtype) == (np.uint8, np.int32)


def test_squares_of_another_size_are_resized(write):
    even = np.full((30, 44, 3), (200, 100, 50), np.uint8)
    shard = write("one.tar.xz", {"1.png": encoded(even), "1.cls": b"1"})
    found = load_shards([shard], side=16)
    np.testing.assert_array_equal(found.images, np.broadcast_to(even[0, 0], (1, 16, 16, 3)))


def test_gray_pictures_get_three_channels(write):
    shard = write("one.tar", {"1.png": encoded(picture(1, 8, 8)[..., 0]), "1.cls": b"1"})
    found = load_shards([shard], side=8)
    np.testing.assert_array_equal(found.images[0], np.repeat(picture(1, 8, 8)[..., :1], 3, axis=2))


def test_no_shards_are_refused():
    with pytest.raises(ValueError, match="no shards"):
        load_shards([])


def test_shards_without_pictures_are_refused(write):
    with pytest.raises(ValueError, match=r"one\.tar: no pictures"):
        load_shards([write("one.tar", {})])


@pytest.mark.parametrize("label", [b"dog", b"", b"99999999999"])
def test_a_class_that_is_not_an_integer_is_named(label, write):
    shard = write("odd.tar", {"1.png": encoded(picture(1, 20, 20)), "1.cls": label})
    with pytest.raises(ValueError, match=r"odd\.tar: 1\.cls holds b'.*', needs the index of a"):
        load_shards([shard], side=20)


def test_two_pictures_of_one_name_are_refused(write):
    members = {f"1.{ending}": encoded(picture(1, 20, 20)) for ending in ("png", "jpg")}
    with pytest.raises(ValueError, match=r"twice\.tar: 1\.jpg occurs twice"):
        load_shards([write("twice.tar", {**members, "1.cls": b"1"})], side=20)


def test_links_in_a_shard_are_skipped(write):
    shard = write("linked.tar", {"1.png": encoded(picture(1, 20, 20)), "1.cls": b"1"})
    with tarfile.open(shard, "a") as tar:
        link = tarfile.TarInfo("2.png")
        link.type, link.linkname = tarfile.SYMTYPE, "nowhere.png"
        tar.addfile(link)
    assert load_shards([shard], side=20).labels.tolist() == [1]


@pytest.mark.parametrize("alone", ["1.png", "1.cls"])
def test_a_picture_without_its_class_is_named(alone, write):
    members = {"1.png": encoded(picture(1, 8, 8)), "1.cls": b"1"}
    shard = write("one.tar", {alone: members[alone]})
    with pytest.raises(ValueError, match=r"one\.tar: 1 pictures without a class or .*, such as 1"):
        load_shards([shard], side=8)


@pytest.mark.parametrize("name", ["one.tar", "one.tar.gz", "one.tar.xz"])
def test_a_truncated_shard_is_named(name, write):
    members = {"1.png": encoded(picture(1, 64, 64)), "1.cls": b"1"}
    shard = write(name, members)
    shard.write_bytes(shard.read_bytes()[:6000])
    with pytest.raises(ValueError, match=f"{name}: not a complete tar file"):
        load_shards([shard], side=8)


@pytest.mark.parametrize("name", ["one.tar.gz", "one.tar.xz"])
def test_a_damaged_shard_is_named(name, write):
    shard = write(name, {"1.png": encoded(picture(1, 64, 64)), "1.cls": b"1"})
    data = bytearray(shard.read_bytes())
    data[4000:4100] = bytes(100)
    shard.write_bytes(data)
    with pytest.raises(ValueError, match=name):
        load_shards([shard], side=8)


def test_a_file_that_is_not_a_tar_file_is_named(tmp_path):
    (tmp_path / "one.tar").write_text("no tar file")
    with pytest.raises(ValueError, match=r"one\.tar: not a complete tar file"):
        load_shards([tmp_path / "one.tar"])


def test_a_split_consists_of_its_shards_in_order(write, tmp_path):
    for number, name in enumerate(("val-1.tar", "val-0.tar.gz", "train-0.tar")):
        write(name, {"a.png": encoded(picture(number, 8, 8)), "a.cls": str(number).encode()})
    assert load_split(tmp_path, "val", side=8).labels.tolist() == [1, 0]
    assert load_split(str(tmp_path), "train", side=8).labels.tolist() == [2]


def test_a_directory_without_photographs_is_named(tmp_path):
    message = rf"{tmp_path} has neither a folder train nor shards train-\*\.tar\*"
    with pytest.raises(ValueError, match=message):
        load_split(tmp_path, "train")


def test_names_of_classes_come_from_the_file_beside_the_shards(write, tmp_path):
    write("val-0.tar", {"a.png": encoded(picture(0, 8, 8)), "a.cls": b"1"})
    assert load_split(tmp_path, "val", side=8).class_names is None
    (tmp_path / "classes.json").write_text('{"1": {"name": "dog"}, "0": {"name": "cat", "n": 3}}')
    assert load_split(tmp_path, "val", side=8).class_names == ("cat", "dog")


@pytest.mark.parametrize("text", ["{", '["cat"]', '{"0": "cat"}', '{"1": {"name": "dog"}}'])
def test_a_file_of_classes_that_is_not_as_described_is_named(text, write, tmp_path):
    write("val-0.tar", {"a.png": encoded(picture(0, 8, 8)), "a.cls": b"0"})
    (tmp_path / "classes.json").write_text(text)
    with pytest.raises(ValueError, match=r'classes\.json: needs {"0": {"name": …}'):
        load_split(tmp_path, "val", side=8)


def turned_left(pixels):
    """A file whose EXIF block says that the stored picture is to be turned right."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(np.rot90(pixels), exif=exif)


def test_pictures_are_turned_upright(write, tmp_path):
    shard = write("one.tar", {"1.png": turned_left(picture(1, 8, 8)), "1.cls": b"1"})
    np.testing.assert_array_equal(load_shards([shard], side=8).images[0], picture(1, 8, 8))
    (tmp_path / "train" / "cat").mkdir(parents=True)
    (tmp_path / "train" / "cat" / "1.png").write_bytes(turned_left(picture(1, 8, 8)))
    found = load_split(tmp_path, "train", side=8)
    np.testing.assert_array_equal(found.images[0], picture(1, 8, 8))


# --- folders ---------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path):
    """Three classes to train on, one of which is validated, and files that are not pictures."""
    for place, name in enumerate(
        ("train/dog/b.PNG", "train/dog/more/a.png", "train/cat/1.png", "train/emu/1.png")
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(place, 8, 11)))
    (tmp_path / "train" / "dog" / "notes.txt").write_text("none")
    (tmp_path / "train" / "dog" / "._b.png").write_text("none")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "val" / "dog").mkdir(parents=True)
    (tmp_path / "val" / "dog" / "1.png").write_bytes(encoded(picture(9, 8, 8)))
    return tmp_path


def test_folders_are_classes_in_alphabetical_order(folders):
    train = load_split(folders, "train", side=8)
    assert train.class_names == ("cat", "dog", "emu")
    assert train.labels.tolist() == [0, 1, 1, 2]
    for found, place in zip(train.images, (2, 0, 1, 3), strict=True):
        np.testing.assert_array_equal(found, picture(place, 8, 11)[:, 1:9])


def test_folders_without_a_split_hold_out_every_tenth_picture(tmp_path):
    for kind, count in (("cat", 21), ("dog", 9)):
        (tmp_path / kind).mkdir()
        for number in range(count):
            data = encoded(np.full((20, 20, 3), number, np.uint8))
            (tmp_path / kind / f"{number:02d}.png").write_bytes(data)
    train, val = (load_split(tmp_path, split, side=20) for split in ("train", "val"))
    assert train.class_names == val.class_names == ("cat", "dog")
    assert val.images[:, 0, 0, 0].tolist() == [0, 10, 20, 0]
    assert val.labels.tolist() == [0, 0, 0, 1]
    kept = [number for number in range(21) if number % 10] + list(range(1, 9))
    assert train.images[:, 0, 0, 0].tolist() == kept
    assert train.labels.tolist() == [0] * 18 + [1] * 8


def test_chosen_classes_of_folders_keep_the_given_order(folders):
    whole = load_split(folders, "train", side=20)
    chosen = load_split(folders, "train", side=20, classes=whole.class_names[::-1])
    assert chosen.class_names == whole.class_names[::-1]
    for label, name in enumerate(chosen.class_names):
        expected = whole.images[whole.labels == whole.class_names.index(name)]
        np.testing.assert_array_equal(chosen.images[chosen.labels == label], expected)
    with pytest.raises(ValueError, match="no class 'zebra'"):
        load_split(folders, "train", classes=["zebra"])


def test_chosen_classes_of_shards_get_new_indices(write, tmp_path):
    labels = [3, 0, 1, 3, 2]
    members = {}
    for number, label in enumerate(labels):
        members[f"{number}.png"] = encoded(np.full((20, 20, 3), number, np.uint8))
        members[f"{number}.cls"] = str(label).encode()
    write("train-0.tar", members)
    with pytest.raises(ValueError, match=r"no classes\.json"):
        load_split(tmp_path, "train", side=20, classes=["d"])
    names = {str(index): {"name": name} for index, name in enumerate("abcd")}
    (tmp_path / "classes.json").write_text(json.dumps(names))
    found = load_split(tmp_path, "train", side=20, classes=["d", "b"])
    assert found.class_names == ("d", "b")
    assert found.images[:, 0, 0, 0].tolist() == [0, 2, 3]
    assert found.labels.tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match="no class 'e'"):
        load_split(tmp_path, "train", classes=["e"])


def test_validation_has_the_classes_of_training(folders):
    val = load_split(folders, "val", side=8)
    assert val.class_names == ("cat", "dog", "emu")
    assert val.labels.tolist() == [1]


def test_a_class_that_is_not_trained_is_named(folders):
    (folders / "val" / "gnu").mkdir()
    with pytest.raises(ValueError, match="gnu is not a class of the folder train"):
        load_split(folders, "val", side=8)


def test_folders_without_pictures_are_named(folders):
    (folders / "val" / "dog" / "1.png").unlink()
    with pytest.raises(ValueError, match="val: no pictures"):
        load_split(folders, "val", side=8)


def test_a_damaged_picture_is_named(folders):
    (folders / "val" / "dog" / "1.png").write_bytes(encoded(picture(9, 8, 8))[:60])
    with pytest.raises(ValueError, match=r"val/dog/1\.png: "):
        load_split(folders, "val", side=8)
