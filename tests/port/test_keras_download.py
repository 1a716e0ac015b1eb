"""VGGs that are downloaded from Keras: synthetic files with checksums of their own."""

import dataclasses
import hashlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import bnnjax
from bnnjax import judge
from bnnjax.models import registry, vgg
from bnnjax.models.entry import KerasFile
from bnnjax.models.network import Architecture

h5py = pytest.importorskip("h5py")
KERAS = np.load(Path(__file__).parents[1] / "reference" / "vgg.npz")
NARROW = ((4, 1), (2, 2), (3, 1), (5, 1), (6, 1))


@pytest.fixture(autouse=True)
def cache(server, tmp_path, monkeypatch):
    monkeypatch.setenv("BNNJAX_KERAS_URL", server.url)
    monkeypatch.setenv("BNNJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache" / "networks"


@pytest.fixture
def publish(server, monkeypatch):
    """A function (entry, file in Keras, its content) → the entry, registered with this file's md5;
    the server has the file."""

    def publish(entry, file, content):
        file = file._replace(md5=hashlib.md5(content).hexdigest())
        server.files[f"/{file.folder}/{file.name}"] = content
        weights = dataclasses.replace(entry.weights, files=(file,))
        entry = dataclasses.replace(entry, weights=weights)
        monkeypatch.setitem(registry.REGISTRY, entry.name, entry)
        return entry

    return publish


def write(path, layers):
    """Layers {name: {array: value}} as Keras writes them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        for name, arrays in layers.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{array}:0".encode() for array in arrays]
            for array, value in arrays.items():
                group[f"{name}/{array}:0"] = value
    return path.read_bytes()


@pytest.fixture
def narrow(publish, tmp_path):
    """A VGG-16 of few channels whose file is on the server, and its layers by Keras' names."""
    entry = registry.find("vgg16")
    entry = dataclasses.replace(entry, name="narrow", build=partial(vgg.VGG, NARROW))
    shapes = Architecture(entry, entry.options, 7).latent_shapes()["params"]
    rng = np.random.default_rng(0)
    layers = {
        vgg.keras_name(name): {
            array: rng.normal(size=leaf.shape).astype(np.float32) for array, leaf in layer.items()
        }
        for name, layer in shapes.items()
    }
    file = KerasFile("narrow", "narrow.h5", "", True)
    return publish(entry, file, write(tmp_path / "narrow.h5", layers)), layers


@pytest.mark.slow
def test_a_vgg_is_downloaded_converted_and_cached(narrow, server, cache):
    entry, layers = narrow
    network = bnnjax.load_model("narrow")
    for name, arrays in network.variables["params"].items():
        for array, value in arrays.items():
            np.testing.assert_array_equal(value, layers[vgg.keras_name(name)][array])
    md5 = entry.weights.files[0].md5
    content = server.files["/narrow/narrow.h5"]
    assert network.provenance == {
        "source": f"{server.url}/narrow/narrow.h5",
        "md5": md5,
        "sha256": hashlib.sha256(content).hexdigest(),
        "paper": entry.card.paper,
        "kernels": "binarized",
    }
    assert bnnjax.load_model("narrow").provenance == network.provenance
    assert server.requests == [("/narrow/narrow.h5", None)]
    files = {path.name for path in cache.iterdir() if path.suffix != ".lock"}
    assert files == {f"narrow-{md5[:8]}.safetensors"}


def test_a_file_with_another_md5_is_refused(narrow, server, cache):
    content = bytearray(server.files["/narrow/narrow.h5"])
    content[-1] ^= 1
    server.files["/narrow/narrow.h5"] = bytes(content)
    with pytest.raises(ValueError, match=r"narrow\.h5: has md5 [0-9a-f]{32}, needs ") as raised:
        bnnjax.load_model("narrow")
    assert len(str(raised.value).splitlines()) == 1
    assert not [path for path in cache.iterdir() if path.suffix != ".lock"]


@pytest.fixture
def judging(publish, tmp_path):
    """The file that judges need, with the names and shapes of Keras; all is 0 but the biases."""
    path = tmp_path / "notop.h5"
    groups = {}
    for line in KERAS["vgg19 h5_notop"].tolist():
        layer, weight, *shape = line.split()
        groups.setdefault(layer, {})[weight] = [int(n) for n in shape]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in groups]
        for number, (layer, weights) in enumerate(groups.items()):
            group = file.create_group(layer)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, shape in weights.items():
                biases = {"data": np.full(shape, number, np.float32)} if len(shape) == 1 else {}
                group.create_dataset(weight, shape, np.float32, **biases)
    entry = registry.find("vgg19_conv5_1")
    return publish(entry, entry.weights.files[0], path.read_bytes())


@pytest.mark.slow
def test_the_judge_is_downloaded_by_its_name(judging, server):
    features = judge.vgg_features("vgg19")
    taps = features(np.zeros((1, 64, 64, 3), np.float32))
    assert list(taps) == ["relu2_2", "relu3_4", "relu4_4", "relu5_1"]
    # The kernels are 0, so that ReLU passes the biases: each layer's own number.
    numbers = [line.split()[0] for line in KERAS["vgg19 h5_notop"].tolist()]
    order = list(dict.fromkeys(numbers))
    for tap, layer in (("relu2_2", "block2_conv2"), ("relu5_1", "block5_conv1")):
        assert (np.asarray(taps[tap]) == order.index(layer)).all()
    place = "/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert server.requests == [(place, None)]
    judge.vgg_features("vgg19")
    assert len(server.requests) == 1


def test_a_judge_that_is_not_vgg19_is_refused():
    with pytest.raises(ValueError, match="inknet is inknet, which lacks relu2_2, relu3_4"):
        judge.vgg_features("inknet")
