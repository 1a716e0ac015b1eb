"""`load_model` and the porting of foreign files; the published network's accuracy."""

import hashlib
import shutil

import jax
import numpy as np
import pytest

import bnnjax
from bnnjax.models import evaluate
from bnnjax.port import checkpoint, load


def test_a_checkpoint_is_loaded_by_its_directory(quicknet, quicknet_directory):
    for source in (quicknet_directory, str(quicknet_directory)):
        network = bnnjax.load_model(source)
        assert network.entry.name == "quicknet_v0"
        assert network.path == str(quicknet_directory)
        jax.tree.map(np.testing.assert_array_equal, network.variables, dict(quicknet.variables))


def test_a_directory_called_like_a_network_is_that_directory(
    quicknet_directory, tmp_path, monkeypatch
):
    shutil.copytree(quicknet_directory, tmp_path / "quicknet_v0")
    monkeypatch.chdir(tmp_path)
    assert bnnjax.load_model("quicknet_v0").provenance == {"source": "random"}


def test_a_typo_gets_the_nearest_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no network 'quiknet_v0'; did you mean 'quicknet_v0'"):
        bnnjax.load_model("quiknet_v0")
    with pytest.raises(ValueError, match=r"no network 'zzz'\. There are: .*quicknet_v0"):
        bnnjax.load_model("zzz")


def test_a_network_without_its_weights_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"port_larq\.py --model=quicknet_v0"):
        bnnjax.load_model("quicknet_v0")


def test_a_path_that_leads_nowhere_is_named(tmp_path):
    with pytest.raises(ValueError, match="not a bnnjax checkpoint") as raised:
        bnnjax.load_model(tmp_path / "quicknet_v0")
    assert str(tmp_path / "quicknet_v0") in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("size", [0, 1, 10**6 + 7])
def test_sha256_of_a_file(tmp_path, size):
    content = np.random.default_rng(0).bytes(size)
    (tmp_path / "file").write_bytes(content)
    assert load.file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("name", "model", "message"),
    [
        ("a.tflite", "quicknet_v1", "did you mean 'quicknet_v0'"),
        ("a.npz", "quicknet_v0", r"a\.npz: quicknet_v0 is read from \.tflite files"),
        ("a", "quicknet_v0", r"a: quicknet_v0 is read from \.tflite files"),
        ("a.tflite", "vgg19", r"a\.tflite: vgg19 is read from \.npz files"),
        ("none.tflite", "quicknet_v0", r"none\.tflite: No such file"),
        ("none.npz", "vgg19", r"none\.npz"),
        ("a.tflite", "quicknet_v0", r"a\.tflite: not a \.tflite file"),
    ],
)
def test_files_that_cannot_be_ported_are_named(tmp_path, name, model, message):
    for present in ("a.tflite", "a.npz", "a"):
        (tmp_path / present).write_text("no network at all")
    with pytest.raises(ValueError, match=message) as raised:
        load.port_file(tmp_path / name, model=model)
    assert len(str(raised.value).splitlines()) == 1


# --- the published network -----------------------------------------------------------------


def test_the_published_file_is_ported_with_its_origin(real_quicknet, real_tflite, tmp_path):
    assert real_quicknet.architecture.frozen
    assert real_quicknet.provenance["source"] == real_tflite.name
    content = real_tflite.read_bytes()
    assert real_quicknet.provenance["sha256"] == hashlib.sha256(content).hexdigest()
    restored = bnnjax.load_model(checkpoint.save(real_quicknet, tmp_path / "quicknet"))
    assert restored.provenance == real_quicknet.provenance
    jax.tree.map(np.testing.assert_array_equal, restored.variables, real_quicknet.variables)


def test_a_file_whose_operators_point_nowhere_is_refused(real_tflite, tmp_path):
    tflite = pytest.importorskip("tflite")
    content = bytearray(real_tflite.read_bytes())
    graph = tflite.Model.GetRootAsModel(content, 0).Subgraphs(0)
    inputs = graph.Operators(0).InputsAsNumpy()
    start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
    place = inputs.__array_interface__["data"][0] - start
    del inputs
    content[place + 4 : place + 8] = (10**6).to_bytes(4, "little")
    assert_refused(content, tmp_path)


@pytest.mark.parametrize("key", [b"channels_in", b"padding", b"pad_values"])
def test_a_file_without_an_option_is_refused(real_tflite, tmp_path, key):
    content = real_tflite.read_bytes()
    assert content.count(key + b"\0")
    assert_refused(content.replace(key + b"\0", b"x" * len(key) + b"\0"), tmp_path)


def assert_refused(content, tmp_path):
    path = tmp_path / "altered.tflite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"altered\.tflite: "):
        load.port_file(path, model="quicknet_v0")


def test_the_published_network_knows_its_pictures(real_quicknet, data_dir):
    """66.3 % and 88.3 % of these 300 pictures, measured by a program of its own; the resize of
    another version of Pillow may cost a picture or two."""
    folder = data_dir / "images" / "val"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set BNNJAX_DATA")
    logits_of = evaluate.guesser(real_quicknet)
    found = evaluate.accuracy(logits_of, evaluate.read_labels(folder, folder / "labels.csv"))
    assert found.n == 300
    two_pictures = 100 * 2 / 300 + 0.05
    assert abs(found.top1 - 66.3) <= two_pictures
    assert abs(found.top5 - 88.3) <= two_pictures
