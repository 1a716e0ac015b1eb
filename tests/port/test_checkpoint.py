"""Checkpoints: what is written is what is read, and every damage is noticed."""

import dataclasses
import hashlib
import json
import shutil
from functools import partial

import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

import bnnjax
from bnnjax.models import registry
from bnnjax.models.entry import Card
from bnnjax.models.quicknet_v0 import QuickNetV0
from bnnjax.port import checkpoint

orbax = pytest.importorskip("orbax.checkpoint")


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
    """A QuickNet of two blocks, known to the registry as long as this module's tests run."""
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
def directory(small, tmp_path):
    return checkpoint.save(small, tmp_path / "small")


def edit_card(directory, change):
    """Changes a card and, unless that changed the seal, seals it again."""
    card = json.loads((directory / "bnnjax.json").read_text())
    before = card["sha256_of_this"]
    change(card)
    if card.get("sha256_of_this") == before:
        card["sha256_of_this"] = seal_of(card)
    (directory / "bnnjax.json").write_text(json.dumps(card))


def seal_of(card):
    rest = {name: value for name, value in card.items() if name != "sha256_of_this"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(compact.encode()).hexdigest()


# --- there and back ------------------------------------------------------------------------


def test_what_is_written_is_what_is_read(quicknet, quicknet_directory):
    restored = checkpoint.restore(quicknet_directory)
    assert_same_arrays(restored, quicknet)
    assert restored.architecture == quicknet.architecture
    assert restored.provenance == quicknet.provenance
    assert restored.path == str(quicknet_directory)


def test_special_floats_survive(small, tmp_path):
    arrays = flat(small)
    arrays["dense/bias"] = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38, 1, 2, 3], np.float32
    )
    restored = checkpoint.restore(checkpoint.save(with_arrays(small, arrays), tmp_path / "odd"))
    assert flat(restored)["dense/bias"].tobytes() == arrays["dense/bias"].tobytes()


def test_the_card_says_what_is_inside(small, directory):
    card = json.loads((directory / "bnnjax.json").read_text())
    assert card["network"] == "small"
    assert card["provenance"] == {"source": "dice", "sha256": "ab", "n": 3}
    assert card["sha256"] == {
        name: hashlib.sha256(value.astype(value.dtype.newbyteorder("<")).tobytes()).hexdigest()
        for name, value in flat(small).items()
    }
    assert card["classes"] == 10
    assert card["sha256_of_this"] == seal_of(card)


@pytest.mark.parametrize("classes", [7, None])
def test_a_network_of_other_classes_or_none_is_restored_as_it_is(small, tmp_path, classes):
    arrays = flat(small)
    kernel, bias = arrays.pop("dense/kernel"), arrays.pop("dense/bias")
    if classes:
        arrays |= {"dense/kernel": kernel[:, :classes], "dense/bias": bias[:classes]}
    architecture = dataclasses.replace(small.architecture, num_classes=classes)
    network = dataclasses.replace(with_arrays(small, arrays), architecture=architecture)
    restored = checkpoint.restore(checkpoint.save(network, tmp_path / "network"))
    assert restored.architecture == architecture
    assert_same_arrays(restored, network)


def test_a_path_may_be_text_and_relative(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint.save(small, "below/small")
    restored = checkpoint.restore("below/small")
    assert_same_arrays(restored, small)
    assert restored.path == "below/small"


# --- writing -------------------------------------------------------------------------------


def test_an_existing_directory_is_left_alone(small, directory):
    before = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="exists"):
        checkpoint.save(small, directory)
    assert {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()} == before


def test_overwriting_replaces_everything(small, directory):
    (directory / "stray.txt").write_text("of another time")
    other = with_arrays(small, {**flat(small), "dense/bias": np.zeros(10, np.float32)})
    checkpoint.save(other, directory, overwrite=True)
    assert_same_arrays(checkpoint.restore(directory), other)
    assert not (directory / "stray.txt").exists()


def test_a_network_that_no_name_stands_for_is_refused(small, tmp_path):
    entry = dataclasses.replace(small.entry, name="deployed.tflite")
    architecture = dataclasses.replace(small.architecture, entry=entry)
    nameless = dataclasses.replace(small, architecture=architecture)
    with pytest.raises(ValueError, match=r"deployed\.tflite has no checkpoint; load the file"):
        checkpoint.save(nameless, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_latent_network_is_refused(small, tmp_path):
    with pytest.raises(ValueError, match="freeze"):
        checkpoint.save(bnnjax.thaw(small), tmp_path / "latent")
    assert list(tmp_path.iterdir()) == []


def unwritable_arrays(small, monkeypatch):
    def save(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(orbax.PyTreeCheckpointer, "save", save)
    return small, OSError


def interrupted_arrays(small, monkeypatch):
    whole = orbax.PyTreeCheckpointer.save

    def save(self, path, *rest, **named):
        whole(self, path, *rest, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(orbax.PyTreeCheckpointer, "save", save)
    return small, KeyboardInterrupt


def unwritable_card(small, _):
    return dataclasses.replace(small, provenance={"not for JSON": object()}), TypeError


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failure", [unwritable_arrays, interrupted_arrays, unwritable_card])
def test_a_failed_save_leaves_things_as_they_were(small, tmp_path, monkeypatch, failure, existing):
    directory = tmp_path / "small"
    if existing:
        checkpoint.save(small, directory)
    before = sorted(tmp_path.rglob("*"))
    with monkeypatch.context() as patch:
        network, error = failure(small, patch)
        changed = {**flat(network), "dense/bias": np.zeros(10, np.float32)}
        with pytest.raises(error):
            checkpoint.save(with_arrays(network, changed), directory, overwrite=existing)
    assert sorted(tmp_path.rglob("*")) == before
    if existing:
        assert_same_arrays(checkpoint.restore(directory), small)


# --- damage --------------------------------------------------------------------------------


def files_of(directory):
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    assert len(files) > 1
    return files


def assert_same_or_refused(directory, network, what):
    """The network as it was written, or a ValueError; nothing else, and no other network."""
    try:
        restored = checkpoint.restore(directory)
    except ValueError as error:
        refusal = str(error)
    else:
        assert_same_arrays(restored, network)
        assert restored.architecture == network.architecture, what
        assert restored.provenance == network.provenance, what
        return True
    assert str(directory) in refusal, what
    return False


# Orbax leaves threads behind where reading fails, which complain when they end.
_leaves_threads = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@_leaves_threads
def test_one_altered_byte_in_any_file_is_harmless_or_noticed(small, directory):
    rng = np.random.default_rng(0)
    noticed = set()
    for path in files_of(directory):
        content = path.read_bytes()
        for place in sorted({0, len(content) - 1, *rng.integers(len(content), size=5).tolist()}):
            altered = bytearray(content)
            altered[place] ^= 1 << rng.integers(8)
            path.write_bytes(altered)
            if not assert_same_or_refused(directory, small, f"byte {place} of {path.name}"):
                noticed.add(path)
        path.write_bytes(content)
    assert max(files_of(directory), key=lambda path: path.stat().st_size) in noticed
    assert directory / "bnnjax.json" in noticed
    assert_same_arrays(checkpoint.restore(directory), small)


def test_one_altered_bit_in_any_byte_of_the_card_is_noticed(directory):
    card = directory / "bnnjax.json"
    content = card.read_bytes()
    rng = np.random.default_rng(0)
    for place in range(len(content)):
        altered = bytearray(content)
        altered[place] ^= 1 << rng.integers(8)
        card.write_bytes(altered)
        with pytest.raises(ValueError, match=r"bnnjax\.json: (damaged|format \d)") as raised:
            checkpoint.restore(directory)
        assert str(raised.value).startswith(f"{directory}/"), f"byte {place}"
        assert len(str(raised.value).splitlines()) == 1


@_leaves_threads
def test_a_file_cut_short_or_gone_is_harmless_or_noticed(small, directory):
    for path in files_of(directory):
        content = path.read_bytes()
        for length in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:length])
            assert_same_or_refused(directory, small, f"{length} bytes of {path.name}")
        path.unlink()
        assert_same_or_refused(directory, small, f"without {path.name}")
        path.write_bytes(content)


def test_missing_extra_misshaped_and_changed_arrays_are_listed_at_once(small, tmp_path):
    arrays = flat(small)
    words = arrays["section1_block1_conv/words"]
    del arrays["dense/bias"]
    arrays["fc6/kernel"] = np.zeros((2, 2), np.float32)
    arrays["stem_norm/bias"] = np.zeros(63, np.float32)
    arrays["section1_block1_conv/words"] = words.view(np.int32)
    directory = checkpoint.save(with_arrays(small, arrays), tmp_path / "broken")
    edit_card(directory, lambda card: card["sha256"].update({"stem_conv/kernel": "0" * 64}))
    with pytest.raises(ValueError, match="damaged checkpoint of small") as raised:
        checkpoint.restore(directory)
    first, *lines = str(raised.value).splitlines()
    assert str(directory) in first
    assert {line.strip() for line in lines} == {
        "missing: dense/bias",
        "left over: fc6/kernel",
        "stem_norm/bias: is float32[63], needs float32[64]",
        "section1_block1_conv/words: is int32[3, 3, 2, 64], needs uint32[3, 3, 2, 64]",
        "stem_conv/kernel: its sha256 is not the one in bnnjax.json",
    }


def test_arrays_of_another_save_are_noticed(small, directory, tmp_path):
    arrays = flat(small)
    arrays["section2_block1_conv/words"] = arrays["section2_block1_conv/words"] ^ np.uint32(1)
    other = checkpoint.save(with_arrays(small, arrays), tmp_path / "other")
    shutil.rmtree(directory / "arrays")
    shutil.copytree(other / "arrays", directory / "arrays")
    with pytest.raises(ValueError, match="section2_block1_conv/words: its sha256") as raised:
        checkpoint.restore(directory)
    assert len(str(raised.value).splitlines()) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"null", b"[]", b'"text"', b"{}", b'{"format": 1}'],
)
def test_a_card_that_is_none_is_refused(directory, content):
    (directory / "bnnjax.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"bnnjax\.json: damaged"):
        checkpoint.restore(directory)


@pytest.mark.parametrize("name", ["format", "network", "provenance", "sha256", "sha256_of_this"])
@pytest.mark.parametrize("wrong", ["absent", None, [1]])
def test_a_card_without_a_field_is_refused(directory, name, wrong):
    if wrong == "absent":
        edit_card(directory, lambda card: card.pop(name))
    else:
        edit_card(directory, lambda card: card.update({name: wrong}))
    with pytest.raises(ValueError, match=rf"bnnjax\.json: damaged, field '{name}'"):
        checkpoint.restore(directory)


def test_a_card_that_was_changed_by_hand_is_refused(directory):
    text = (directory / "bnnjax.json").read_text()
    (directory / "bnnjax.json").write_text(text.replace('"source": "dice"', '"source": "Larq"'))
    with pytest.raises(ValueError, match=r"bnnjax\.json: damaged, its contents are not those"):
        checkpoint.restore(directory)


def test_a_later_format_is_refused(directory):
    edit_card(directory, lambda card: card.update(format=card["format"] + 1))
    with pytest.raises(ValueError, match=r"bnnjax\.json: format 2, this version reads 1"):
        checkpoint.restore(directory)


def test_a_card_of_an_unknown_network_is_refused(directory):
    edit_card(directory, lambda card: card.update(network="smal"))
    with pytest.raises(ValueError, match="no network 'smal'; did you mean 'small'") as raised:
        checkpoint.restore(directory)
    assert str(directory) in str(raised.value)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    for name in ("file", "none", "."):
        with pytest.raises(ValueError, match=r"not a bnnjax checkpoint \(bnnjax\.json: ") as raised:
            checkpoint.restore(tmp_path / name)
        assert str(tmp_path) in str(raised.value)


def test_a_checkpoint_is_told_by_its_card_in_whatever_state(directory, tmp_path):
    (directory / "bnnjax.json").write_text("{")
    assert checkpoint.is_checkpoint(directory)
    for other in (tmp_path, tmp_path / "none", directory / "bnnjax.json"):
        assert not checkpoint.is_checkpoint(other)
