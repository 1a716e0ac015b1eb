"""Accuracy, labels, guesses and class names, from known logits."""

import csv
import dataclasses

import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bnnjax import images
from bnnjax.layers import Options
from bnnjax.models import evaluate, registry
from bnnjax.models.entry import Sizes
from bnnjax.models.network import Architecture, Network


def accuracy_of(pairs):
    """The accuracy over (logits, label) pairs."""
    by_name = dict(enumerate(logits for logits, _ in pairs))
    return evaluate.accuracy(by_name.get, [(k, label) for k, (_, label) in enumerate(pairs)])


# --- accuracy --------------------------------------------------------------------------------


@given(
    label=st.integers(0, 9),
    logits=st.lists(st.integers(-50, 50), min_size=10, max_size=10, unique=True),
)
def test_a_picture_counts_if_its_class_is_among_the_first(label, logits):
    place = sorted(logits, reverse=True).index(logits[label])
    found = accuracy_of([(np.array(logits, float), label)])
    assert found == (100.0 * (place < 1), 100.0 * (place < 5), 1)


def test_accuracy_is_in_per_cent_of_all_pictures():
    logits = np.array([9.0, 8, 7, 6, 5, 4, 3])  # class k comes in place k
    found = accuracy_of([(logits, label) for label in (0, 0, 1, 4, 5, 6, 0, 2)])
    assert found == (100 * 3 / 8, 100 * 6 / 8, 8)


def test_ties_count_against_the_picture():
    flat = np.zeros(10)
    assert accuracy_of([(flat, 0)]) == (0, 0, 1)
    five_alike = np.array([1.0] * 5 + [0] * 5)
    assert accuracy_of([(five_alike, 0)]) == (0, 100, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 3])
def test_logits_that_are_not_numbers_are_wrong(value, place):
    """NaN anywhere counts against the network, even where comparisons would favour the label."""
    logits = np.array([9.0, 1, 2, 3, 4, 5])
    logits[place] = value
    assert accuracy_of([(logits, 0)]) == (0, 0, 1)
    assert accuracy_of([(logits, 3)]) == (0, 0, 1)


def test_accuracy_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no pictures"):
        evaluate.accuracy(len, [])


# --- labels ----------------------------------------------------------------------------------


@pytest.fixture
def directory(tmp_path):
    for name in ("boat.jpg", "lion.jpg", "löwe, groß.png"):
        (tmp_path / name).touch()
    return tmp_path


def write(directory, text):
    path = directory / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_labels_are_read_by_the_names_of_the_columns(directory):
    labels = write(
        directory,
        'name,class_index,file\r\nsea,814,boat.jpg\r\n,291,"löwe, groß.png"\r\n',
    )
    expected = [(directory / "boat.jpg", 814), (directory / "löwe, groß.png", 291)]
    assert evaluate.read_labels(directory, labels) == expected
    assert evaluate.read_labels(str(directory), str(labels)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "file,label\nboat.jpg,1\n",
        "picture,class_index\nboat.jpg,1\n",
        "boat.jpg,1\nlion.jpg,2\n",
        "file,class_index\nboat.jpg\n",
        "file,class_index\nboat.jpg,\n",
        "file,class_index\nboat.jpg,lion\n",
        "file,class_index\nboat.jpg,1.5\n",
        b"file,class_index\nboat.jpg,1\nl\xf6we.jpg,2\n",
        b"\x89PNG\r\n\x1a\n\x00\x00\xff",
        "file,class_index\nboat.jpg,-1\n",
        "file,class_index\nboat.jpg,1000\n",
        "",
        "boat.jpg,1\n",
    ],
)
def test_other_files_are_refused(directory, text):
    with pytest.raises(ValueError, match="file and class_index") as caught:
        evaluate.read_labels(directory, write(directory, text))
    assert "labels.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_row_without_columns_is_not_a_label(directory):
    """Editors leave blank lines at the end."""
    labels = write(directory, "file,class_index\nboat.jpg,814\n\n\n")
    assert evaluate.read_labels(directory, labels) == [(directory / "boat.jpg", 814)]


@pytest.mark.parametrize("name", ["absent.csv", "."])
def test_a_file_that_cannot_be_read_is_named(directory, name):
    with pytest.raises(ValueError, match=str(directory)):
        evaluate.read_labels(directory, directory / name)


def test_missing_pictures_are_counted_and_named(directory):
    rows = "".join(f"{k}.jpg,{k}\n" for k in range(8))
    labels = write(directory, f"file,class_index\nboat.jpg,814\n{rows}")
    with pytest.raises(ValueError, match=r"lacks 8 pictures: 0\.jpg, 1\.jpg") as caught:
        evaluate.read_labels(directory, labels)
    assert "boat.jpg" not in str(caught.value)
    assert "7.jpg" not in str(caught.value)


def test_real_labels_have_the_names_of_our_classes(data_dir):
    """No index is off by one."""
    directory = data_dir / "images" / "val"
    if not directory.is_dir():
        pytest.skip(f"no {directory}; set BNNJAX_DATA")
    labelled = evaluate.read_labels(directory, directory / "labels.csv")
    with open(directory / "labels.csv", newline="", encoding="utf-8") as file:
        expected = [row["name"] for row in csv.DictReader(file)]
    names = evaluate.imagenet_names()
    assert [names[index] for _, index in labelled] == expected


# --- names and guesses -----------------------------------------------------------------------


def test_class_names_are_imagenets_in_its_order():
    names = evaluate.imagenet_names()
    assert len(names) == 1000
    assert all(name and name == name.strip() for name in names)
    known = {
        0: "tench",
        1: "goldfish",
        207: "golden retriever",
        281: "tabby",
        291: "lion",
        388: "panda",
        409: "clock",
        533: "dish",
        999: "toilet",
    }
    for index, part in known.items():
        assert part in names[index].lower(), index


@given(seed=st.integers(0, 999), spread=st.floats(0.1, 80), count=st.integers(1, 1000))
def test_guesses_are_sorted_by_probability(seed, spread, count):
    logits = spread * np.random.default_rng(seed).normal(size=1000)
    guesses = evaluate.top_guesses(logits, evaluate.imagenet_names(), count=count)
    weights = np.exp(logits.astype(np.longdouble))
    expected = np.sort(weights / weights.sum())[::-1][:count]
    np.testing.assert_allclose([p for _, p in guesses], expected, rtol=1e-9)


def test_guesses_have_the_names_of_their_places():
    logits = np.full(1000, -50.0, np.float32)
    logits[[291, 1, 999]] = 3, 2, 1
    names = evaluate.imagenet_names()
    guesses = evaluate.top_guesses(logits, names, count=3)
    assert [name for name, _ in guesses] == [names[291], names[1], names[999]]
    weights = np.exp([3.0, 2, 1])
    np.testing.assert_allclose([p for _, p in guesses], weights / weights.sum(), rtol=1e-6)


def test_guesses_do_not_overflow():
    logits = np.zeros(1000, np.float32)
    logits[7] = 3e38
    names = evaluate.imagenet_names()
    assert evaluate.top_guesses(logits, names, count=1) == [(names[7], 1.0)]


def test_there_are_no_more_guesses_than_classes():
    assert len(evaluate.top_guesses(np.zeros(4), "abcd", count=5)) == 4


@pytest.mark.parametrize("count", [0, -1])
def test_an_invalid_number_of_guesses_is_refused(count):
    with pytest.raises(ValueError, match=f"topk is {count}, needs 1 or more"):
        evaluate.top_guesses(np.zeros(4), "abcd", count=count)


def with_classes(network, count, names=None):
    architecture = dataclasses.replace(network.architecture, num_classes=count)
    return dataclasses.replace(network, architecture=architecture, class_names=names)


def test_a_network_has_its_own_names_or_imagenets_or_numbers(mean_colour):
    own = ("boat", "lion", "castle", "Löwe")
    assert evaluate.class_names(with_classes(mean_colour, 4, own)) == own
    assert evaluate.class_names(with_classes(mean_colour, 4)) == ("0", "1", "2", "3")
    assert evaluate.class_names(with_classes(mean_colour, 1000)) == evaluate.imagenet_names()
    of_a_thousand = tuple(f"mine {n}" for n in range(1000))
    assert evaluate.class_names(with_classes(mean_colour, 1000, of_a_thousand)) == of_a_thousand


def test_imagenets_names_are_not_those_of_another_thousand_classes(mean_colour):
    """A network that was published with other classes and trained on another thousand classes."""
    card = dataclasses.replace(mean_colour.entry.card, num_classes=117)
    entry = dataclasses.replace(mean_colour.entry, card=card)
    architecture = dataclasses.replace(mean_colour.architecture, entry=entry, num_classes=1000)
    names = evaluate.class_names(dataclasses.replace(mean_colour, architecture=architecture))
    assert names == tuple(map(str, range(1000)))


def test_names_from_a_file_take_precedence(mean_colour, tmp_path):
    network = with_classes(mean_colour, 2, ("a", "b"))
    path = tmp_path / "names.txt"
    path.write_text("Löwe\nboat, small\n", encoding="utf-8")
    assert evaluate.class_names(network, path) == ("Löwe", "boat, small")
    path.write_text("one\ntwo\nthree\n")
    with pytest.raises(ValueError, match=r"names\.txt has 3 lines, needs a name for each of 2"):
        evaluate.class_names(network, path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"names\.txt: not a text file"):
        evaluate.class_names(network, path)
    with pytest.raises(ValueError, match=r"none\.txt: No such file"):
        evaluate.class_names(network, tmp_path / "none.txt")


# --- from picture to logits ------------------------------------------------------------------


class Mean(nn.Module):
    """The mean colour of a picture."""

    @nn.compact
    def __call__(self, x):
        return x.mean((1, 2))


@pytest.fixture
def mean_colour():
    entry = dataclasses.replace(
        registry.find("quicknet_v0"),
        name="mean",
        build=lambda **_: Mean(),
        normalize=lambda images: 2 * images,
    )
    return Network(Architecture(entry, Options(), 1000), {}, {})


@pytest.mark.parametrize(
    ("resize", "cropped"),
    [("pillow", images.pillow_crop_resize), ("zoo", images.zoo_crop_resize)],
)
def test_logits_are_of_the_crop_at_224_px(mean_colour, tmp_path, resize, cropped):
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    logits = evaluate.guesser(mean_colour, resize=resize)(path)
    crop = cropped(pixels / np.float32(255))
    assert crop.shape == (224, 224, 3)
    np.testing.assert_allclose(logits, 2 * crop.mean((0, 1)), rtol=1e-5)


def test_a_network_of_one_size_gets_the_crop_at_that_size(mean_colour, tmp_path):
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    entry = dataclasses.replace(
        mean_colour.entry, sizes=Sizes(lambda side: side == 96, 32, (96, 96), free=False)
    )
    architecture = dataclasses.replace(mean_colour.architecture, entry=entry)
    logits = evaluate.guesser(dataclasses.replace(mean_colour, architecture=architecture))(path)
    crop = images.pillow_crop_resize(pixels / np.float32(255), size=96)
    np.testing.assert_allclose(logits, 2 * crop.mean((0, 1)), rtol=1e-5)


def test_a_network_of_one_height_and_width_gets_the_middle_of_the_crop(mean_colour, tmp_path):
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    entry = dataclasses.replace(
        mean_colour.entry, sizes=Sizes(lambda side: side in (24, 31), 1, (24, 31), free=False)
    )
    architecture = dataclasses.replace(mean_colour.architecture, entry=entry)
    logits = evaluate.guesser(dataclasses.replace(mean_colour, architecture=architecture))(path)
    crop = images.pillow_crop_resize(pixels / np.float32(255), size=31)[3:27]
    np.testing.assert_allclose(logits, 2 * crop.mean((0, 1)), rtol=1e-5)


def test_an_unknown_resize_is_refused_before_any_picture(mean_colour):
    with pytest.raises(ValueError, match=r"resize is 'tf', needs one of \('pillow', 'zoo'\)"):
        evaluate.guesser(mean_colour, resize="tf")


def test_a_network_without_a_classifier_is_refused(mean_colour):
    with pytest.raises(ValueError, match="mean has no classifier here"):
        evaluate.guesser(with_classes(mean_colour, None))


class Flat(nn.Module):
    """Logits of pictures of 96 px, and at other sizes none."""

    @nn.compact
    def __call__(self, x):
        return x.mean((1, 2)) if x.shape[1:3] == (96, 96) else None


def test_logits_are_of_a_size_that_has_some(mean_colour, tmp_path):
    path = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    sizes = dataclasses.replace(mean_colour.entry.sizes, example=(96, 96))
    entry = dataclasses.replace(mean_colour.entry, build=lambda **_: Flat(), sizes=sizes)
    architecture = dataclasses.replace(mean_colour.architecture, entry=entry)
    logits = evaluate.guesser(dataclasses.replace(mean_colour, architecture=architecture))(path)
    crop = images.pillow_crop_resize(pixels / np.float32(255), size=96)
    np.testing.assert_allclose(logits, 2 * crop.mean((0, 1)), rtol=1e-5)


def test_an_unreadable_picture_is_named(mean_colour, tmp_path):
    path = tmp_path / "no.png"
    path.write_text("no picture")
    with pytest.raises(ValueError, match=r"no\.png"):
        evaluate.guesser(mean_colour)(path)
