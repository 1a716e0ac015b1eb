"""Network files: reading returns what was written, and any damage is detected."""

import dataclasses
import hashlib
import json
import os
import struct
from functools import partial

import numpy as np
import pytest
import safetensors.numpy
from flax.traverse_util import flatten_dict, unflatten_dict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bnnjax
from bnnjax.models import registry
from bnnjax.models.entry import Card
from bnnjax.models.quicknet_v0 import QuickNetV0
from bnnjax.port.storage import network_file
from tests.damage import damaged, reads_or_refuses


def flat(network):
    return {
        name: np.asarray(value)
        for name, value in flatten_dict(network.variables["params"], sep="/").items()
    }


def with_arrays(network, arrays):
    return dataclasses.replace(network, variables={"params": unflatten_dict(arrays, sep="/")})


def assert_same_arrays(a, b):
    assert flat(a).keys() == flat(b).keys()
    for name, value in flat(a).items():
        assert flat(b)[name].dtype == value.dtype
        np.testing.assert_array_equal(flat(b)[name], value, name)


@pytest.fixture(scope="module")
def small(with_random_weights):
    """A QuickNet of two blocks, registered during this module's tests."""
    entry = dataclasses.replace(
        registry.find("quicknet_v0"),
        name="small",
        build=partial(QuickNetV0, blocks=(1, 1), num_classes=10),
        card=Card(num_classes=10),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.REGISTRY, "small", entry)
        network = with_random_weights(entry)
        yield dataclasses.replace(network, provenance={"source": "dice", "sha256": "ab", "n": 3})


@pytest.fixture
def file(small, tmp_path):
    return network_file.save(small, tmp_path / "small")


def read(path):
    """Arrays by name and the card, by the definition of the format: the length of the header in
    eight bytes, the header in JSON, the buffer."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    card = json.loads(header.pop("__metadata__")["bnnjax"])
    arrays = {}
    for name, row in header.items():
        begin, end = row["data_offsets"]
        dtype = {"F32": "<f4", "U32": "<u4", "I32": "<i4"}[row["dtype"]]
        buffer = content[8 + length + begin : 8 + length + end]
        arrays[name] = np.frombuffer(buffer, dtype).reshape(row["shape"])
    return arrays, card


def edit_card(path, change):
    """Changes a card and seals it again, unless the seal itself was changed."""
    arrays, card = read(path)
    before = card["sha256_of_this"]
    change(card)
    if card.get("sha256_of_this") == before:
        card["sha256_of_this"] = seal_of(card)
    write_card(path, arrays, json.dumps(card))


def write_card(path, arrays, text):
    path.write_bytes(safetensors.numpy.save(arrays, {"bnnjax": text}))


def seal_of(card):
    rest = {name: value for name, value in card.items() if name != "sha256_of_this"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(compact.encode()).hexdigest()


# --- round trips ---------------------------------------------------------------------------


@pytest.mark.slow
def test_written_files_are_read_back_unchanged(quicknet, quicknet_file):
    restored = network_file.restore(quicknet_file)
    assert_same_arrays(restored, quicknet)
    assert restored.architecture == quicknet.architecture
    assert restored.provenance == quicknet.provenance
    assert restored.path == str(quicknet_file)
    assert restored.class_names is None


def test_the_format_is_safetensors(small, file):
    """Read by the definition, not by the package that wrote it."""
    arrays, card = read(file)
    assert card["format"] == 2
    assert arrays.keys() == flat(small).keys()
    for name, value in flat(small).items():
        assert arrays[name].dtype == value.dtype
        np.testing.assert_array_equal(arrays[name], value, name)


def test_special_floats_survive(small, tmp_path):
    arrays = flat(small)
    arrays["dense/bias"] = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38, 1, 2, 3], np.float32
    )
    restored = network_file.restore(network_file.save(with_arrays(small, arrays), tmp_path / "odd"))
    assert flat(restored)["dense/bias"].tobytes() == arrays["dense/bias"].tobytes()


def test_arrays_that_are_views_are_written_in_order(small, tmp_path):
    """An importer transposes kernels, and safetensors writes the memory as it lies."""
    arrays = flat(small)
    kernel = arrays["dense/kernel"]
    arrays["dense/kernel"] = np.ascontiguousarray(kernel.T).T
    assert not arrays["dense/kernel"].flags.c_contiguous
    path = network_file.save(with_arrays(small, arrays), tmp_path / "views")
    np.testing.assert_array_equal(read(path)[0]["dense/kernel"], kernel)
    assert_same_arrays(network_file.restore(path), small)


def test_the_card_describes_the_network(small, file):
    card = read(file)[1]
    assert card["network"] == "small"
    assert card["provenance"] == {"source": "dice", "sha256": "ab", "n": 3}
    assert card["sha256"] == {
        name: hashlib.sha256(value.astype(value.dtype.newbyteorder("<")).tobytes()).hexdigest()
        for name, value in flat(small).items()
    }
    assert card["num_classes"] == 10
    assert card["class_names"] is None
    assert card["sha256_of_this"] == seal_of(card)


@pytest.mark.parametrize("classes", [7, None])
def test_a_network_with_other_classes_or_none_is_restored_unchanged(small, tmp_path, classes):
    arrays = flat(small)
    kernel, bias = arrays.pop("dense/kernel"), arrays.pop("dense/bias")
    if classes:
        arrays |= {"dense/kernel": kernel[:, :classes], "dense/bias": bias[:classes]}
    architecture = dataclasses.replace(small.architecture, num_classes=classes)
    network = dataclasses.replace(with_arrays(small, arrays), architecture=architecture)
    restored = network_file.restore(network_file.save(network, tmp_path / "network"))
    assert restored.architecture == architecture
    assert_same_arrays(restored, network)


def test_class_names_travel_with_the_network(small, tmp_path):
    names = ("löwe", *(f"class {n}" for n in range(9)))
    named = dataclasses.replace(small, class_names=names)
    assert network_file.restore(network_file.save(named, tmp_path / "named")).class_names == names


def test_class_names_must_match_the_logits(small, tmp_path):
    named = dataclasses.replace(small, class_names=("one", "two"))
    with pytest.raises(ValueError, match="2 class names for 10 classes"):
        network_file.save(named, tmp_path / "named")
    assert list(tmp_path.iterdir()) == []


def test_a_path_may_be_text_and_relative(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network_file.save(small, "below/small")
    restored = network_file.restore("below/small")
    assert_same_arrays(restored, small)
    assert restored.path == "below/small.safetensors"


@pytest.mark.parametrize("name", ["net", "net.safetensors", "net_v0.2", "net.npz"])
def test_the_suffix_is_appended_where_it_is_missing(small, tmp_path, name):
    path = network_file.save(small, tmp_path / name)
    assert path == tmp_path / f"{name.removesuffix('.safetensors')}.safetensors"
    assert list(tmp_path.iterdir()) == [path]
    for found in (path, tmp_path / name):
        assert network_file.restore(found).path == str(path)


# --- writing -------------------------------------------------------------------------------


def test_an_existing_file_is_left_alone(small, file):
    before = file.read_bytes()
    with pytest.raises(ValueError, match=r"small\.safetensors exists; choose another name"):
        network_file.save(small, file)
    assert file.read_bytes() == before


def test_overwriting_replaces_a_network_file(small, file):
    other = with_arrays(small, {**flat(small), "dense/bias": np.zeros(10, np.float32)})
    assert network_file.save(other, file, overwrite=True) == file
    assert_same_arrays(network_file.restore(file), other)


def text(path):
    path.write_text("something dear")


def other_safetensors(path):
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}, {"format": "pt"}))


def other_safetensors_without_metadata(path):
    path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)}))


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-1] if path.exists() else b"\x08\0\0\0\0\0\0\0{}")


@pytest.mark.parametrize(
    "other", [text, other_safetensors, other_safetensors_without_metadata, cut_short]
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_but_a_network_file_is_ever_replaced(small, tmp_path, other, overwrite):
    path = tmp_path / "small.safetensors"
    other(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="exists and is not a network file"):
        network_file.save(small, path, overwrite=overwrite)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_is_never_replaced(small, tmp_path, overwrite):
    path = tmp_path / "small.safetensors"
    path.mkdir()
    (path / "thesis.txt").write_text("something dear")
    with pytest.raises(ValueError, match=r"small\.safetensors is a directory"):
        network_file.save(small, path, overwrite=overwrite)
    assert (path / "thesis.txt").read_text() == "something dear"


def test_a_network_outside_the_registry_is_refused(small, tmp_path):
    entry = dataclasses.replace(small.entry, name="deployed.tflite")
    architecture = dataclasses.replace(small.architecture, entry=entry)
    nameless = dataclasses.replace(small, architecture=architecture)
    with pytest.raises(ValueError, match=r"deployed\.tflite is not in the registry; load its own"):
        network_file.save(nameless, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_latent_network_is_refused(small, tmp_path):
    with pytest.raises(ValueError, match="freeze"):
        network_file.save(bnnjax.thaw(small), tmp_path / "latent")
    assert list(tmp_path.iterdir()) == []


def a_full_disk(small, monkeypatch):
    def fsync(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    return small, OSError


def an_interruption(small, monkeypatch):
    def replace(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", replace)
    return small, KeyboardInterrupt


def an_unwritable_card(small, _):
    return dataclasses.replace(small, provenance={"not for JSON": object()}), TypeError


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failure", [a_full_disk, an_interruption, an_unwritable_card])
def test_a_failed_save_leaves_things_as_they_were(small, tmp_path, monkeypatch, failure, existing):
    path = tmp_path / "small.safetensors"
    if existing:
        network_file.save(small, path)
    before = sorted(tmp_path.rglob("*"))
    with monkeypatch.context() as patch:
        network, error = failure(small, patch)
        changed = {**flat(network), "dense/bias": np.zeros(10, np.float32)}
        with pytest.raises(error):
            network_file.save(with_arrays(network, changed), path, overwrite=existing)
    assert sorted(tmp_path.rglob("*")) == before
    if existing:
        assert_same_arrays(network_file.restore(path), small)


def test_a_file_is_flushed_before_it_takes_its_name(small, tmp_path, monkeypatch):
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda f: (events.append("flushed"), fsync(f)))
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("named"), replace(a, b)))
    network_file.save(small, tmp_path / "small")
    assert events == ["flushed", "named"]


# --- damage --------------------------------------------------------------------------------


def assert_same_or_refused(path, network, what):
    """Either the network that was written or a ValueError, never another network."""
    try:
        restored = network_file.restore(path)
    except ValueError as error:
        refusal = str(error)
    else:
        assert_same_arrays(restored, network)
        assert restored.architecture == network.architecture, what
        assert restored.provenance == network.provenance, what
        return True
    assert str(path) in refusal, what
    return False


@pytest.mark.slow
def test_one_altered_bit_is_harmless_or_detected(small, file):
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    rng = np.random.default_rng(0)
    header = rng.integers(8 + length, size=60)
    buffer = rng.integers(8 + length, len(content), size=10)
    for place in [*range(8), *header.tolist(), *buffer.tolist(), len(content) - 1]:
        altered = bytearray(content)
        altered[place] ^= 1 << rng.integers(8)
        file.write_bytes(altered)
        same = assert_same_or_refused(file, small, f"byte {place}")
        assert not (same and place >= 8 + length), f"byte {place} of the arrays went unnoticed"


def test_one_altered_bit_of_the_card_is_detected(small, file):
    arrays, card = read(file)
    text = json.dumps(card)
    rng = np.random.default_rng(0)
    for place in rng.integers(len(text), size=200).tolist():
        altered = chr(ord(text[place]) ^ 1 << int(rng.integers(6)))
        write_card(file, arrays, text[:place] + altered + text[place + 1 :])
        with pytest.raises(ValueError, match=r"damaged card|has format") as raised:
            network_file.restore(file)
        assert str(raised.value).startswith(f"{file}: "), f"character {place}"
        assert len(str(raised.value).splitlines()) == 1


def test_a_file_cut_short_is_refused(small, file):
    content = file.read_bytes()
    for length in (0, 7, 8, 100, len(content) // 2, len(content) - 1):
        file.write_bytes(content[:length])
        assert not assert_same_or_refused(file, small, f"{length} bytes")


def test_missing_extra_misshaped_and_changed_arrays_are_listed_at_once(small, tmp_path):
    arrays = flat(small)
    words = arrays["section1_block1_conv/words"]
    del arrays["dense/bias"]
    arrays["fc6/kernel"] = np.zeros((2, 2), np.float32)
    arrays["stem_norm/bias"] = np.zeros(63, np.float32)
    arrays["section1_block1_conv/words"] = words.view(np.int32)
    path = network_file.save(with_arrays(small, arrays), tmp_path / "broken")
    edit_card(path, lambda card: card["sha256"].update({"stem_conv/kernel": "0" * 64}))
    with pytest.raises(ValueError, match="damaged file of small") as raised:
        network_file.restore(path)
    first, *lines = str(raised.value).splitlines()
    assert str(path) in first
    assert sorted(line.strip() for line in lines) == sorted(
        [
            "missing: dense/bias",
            "left over: fc6/kernel",
            "stem_norm/bias: is float32[63], needs float32[64]",
            "section1_block1_conv/words: is int32[3, 3, 2, 64], needs uint32[3, 3, 2, 64]",
            "stem_conv/kernel: does not match its sha256 in the card",
        ]
    )


def test_arrays_of_another_save_are_detected(small, file):
    arrays, card = read(file)
    words = arrays["section2_block1_conv/words"] ^ np.uint32(1)
    write_card(file, {**arrays, "section2_block1_conv/words": words}, json.dumps(card))
    with pytest.raises(ValueError, match="section2_block1_conv/words: does not match") as raised:
        network_file.restore(file)
    assert len(str(raised.value).splitlines()) == 2


def test_a_type_that_numpy_lacks_is_refused(small, file):
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"F32"', b'"I32"', 1).replace(b'"F32"', b'"F16"', 1))
    assert not assert_same_or_refused(file, small, "types")


@pytest.mark.parametrize("content", ["", "{", "null", "[]", '"text"', "{}", '{"format": 2}'])
def test_text_that_is_not_a_card_is_refused(file, content):
    write_card(file, read(file)[0], content)
    with pytest.raises(ValueError, match=r"small\.safetensors: damaged card"):
        network_file.restore(file)


@pytest.mark.parametrize(
    "name",
    ["network", "num_classes", "class_names", "provenance", "sha256", "sha256_of_this"],
)
@pytest.mark.parametrize("wrong", ["absent", 0.5])
def test_a_card_without_a_field_is_refused(file, name, wrong):
    if wrong == "absent":
        edit_card(file, lambda card: card.pop(name))
    else:
        edit_card(file, lambda card: card.update({name: wrong}))
    with pytest.raises(ValueError, match=rf"damaged card, '{name}' is missing or of the wrong"):
        network_file.restore(file)


@pytest.mark.parametrize("names", [["one"], [1] * 10])
def test_a_card_with_other_class_names_is_refused(file, names):
    edit_card(file, lambda card: card.update(class_names=names))
    with pytest.raises(ValueError, match=r"small\.safetensors: .*class names"):
        network_file.restore(file)


def test_a_card_that_was_changed_by_hand_is_refused(file):
    arrays, card = read(file)
    write_card(file, arrays, json.dumps(card).replace('"source": "dice"', '"source": "Larq"'))
    with pytest.raises(ValueError, match="damaged card, its contents do not match"):
        network_file.restore(file)


def test_a_later_format_is_refused(file):
    edit_card(file, lambda card: card.update(format=card["format"] + 1))
    with pytest.raises(ValueError, match="has format 3; this version reads 2"):
        network_file.restore(file)


def test_a_card_of_an_unknown_network_is_refused(file):
    edit_card(file, lambda card: card.update(network="smal"))
    with pytest.raises(ValueError, match="no network 'smal'; did you mean 'small'") as raised:
        network_file.restore(file)
    assert str(file) in str(raised.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "damaged or not a safetensors file|Is a directory|No such dev"),
        (text, "damaged or not a safetensors file"),
        (other_safetensors, "a safetensors file, but not one of bnnjax"),
        (other_safetensors_without_metadata, "a safetensors file, but not one of bnnjax"),
    ],
)
def test_other_files_are_refused(tmp_path, make, message):
    path = tmp_path / "other.safetensors"
    make(path)
    assert not network_file.is_network_file(path)
    with pytest.raises(ValueError, match=message) as raised:
        network_file.restore(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value).splitlines()) == 1


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_read_or_refused(quicknet_file, tmp_path, data):
    content = quicknet_file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    head = data.draw(damaged(content[: 8 + length]))
    reads_or_refuses(network_file.restore, tmp_path / "a.safetensors", head + content[8 + length :])
