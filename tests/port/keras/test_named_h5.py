"""Keras files whose layers have names: VGG-16, VGG-19 and Inception v1."""

import dataclasses
import re
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from bnnjax.models import registry, vgg
from bnnjax.models.network import Architecture
from bnnjax.port import load, verify
from bnnjax.port.keras import importer
from bnnjax.port.keras.h5 import opened
from bnnjax.port.storage import network_file

h5py = pytest.importorskip("h5py")
KERAS = np.load(Path(__file__).parents[2] / "reference" / "vgg.npz")
NARROW = ((4, 1), (2, 2), (3, 1), (5, 1), (6, 1))


@pytest.fixture
def narrow(monkeypatch):
    """A VGG with few channels, which is registered during a test."""
    entry = registry.find("vgg16")
    entry = dataclasses.replace(entry, name="narrow", build=partial(vgg.VGG, NARROW))
    monkeypatch.setitem(registry.REGISTRY, "narrow", entry)
    return entry


def write(path, layers, *, spell="{layer}/{array}:0"):
    """Layers {name: {array: value}} as Keras writes them, with weights named as requested."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in ("input_1", *layers)]
        file.create_group("input_1").attrs["weight_names"] = []
        for name, arrays in layers.items():
            group = file.create_group(name)
            names = {spell.format(layer=name, array=array): v for array, v in arrays.items()}
            group.attrs["weight_names"] = [name.encode() for name in names]
            for key, value in names.items():
                group[key] = value
    return path


def random_layers(entry, their_name, *, classes):
    rng = np.random.default_rng(0)
    shapes = Architecture(entry, entry.options, classes).latent_shapes()["params"]
    return {
        their_name(name): {
            array: rng.normal(size=leaf.shape).astype(np.float32) for array, leaf in layer.items()
        }
        for name, layer in shapes.items()
    }


def their_vgg_name(name):
    return re.sub(r"conv(\d)_(\d)", r"block\1_conv\2", name)


def assert_holds(network, layers):
    params = network.variables["params"]
    ours = {network.entry.weights.keras_name(name): name for name in params}
    assert ours.keys() == layers.keys()
    for name, arrays in layers.items():
        found = params[ours[name]]
        assert set(found) == {"kernel", "bias"}
        for array, value in arrays.items():
            np.testing.assert_array_equal(found[array], value)


# --- VGG -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
@pytest.mark.parametrize("top", [True, False])
def test_every_array_of_keras_own_files_finds_its_place(tmp_path, name, top):
    """Files of the names and shapes that Keras wrote; their arrays are never filled."""
    path = tmp_path / "weights.h5"
    groups = {}
    for line in KERAS[f"{name} h5" if top else f"{name} h5_notop"].tolist():
        layer, weight, *shape = line.split()
        groups.setdefault(layer, {})[weight] = [int(n) for n in shape]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in groups]
        for layer, weights in groups.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, shape in weights.items():
                group.create_dataset(weight, shape, "f4")
    with opened(path) as sources:
        architecture, pairs = importer.fit(sources, registry.find(name))
    assert architecture.num_classes == (1000 if top else None)
    assert [source.name for _, source in pairs] == [vgg.keras_name(t.path[0]) for t, _ in pairs]
    assert len(pairs) == len(groups) == (3 * top) + (13 if name == "vgg16" else 16)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [10, None])
@pytest.mark.parametrize("spell", ["{layer}/{array}:0", "keras 1"])
def test_a_vgg_is_read_whole_and_without_classifier(tmp_path, narrow, classes, spell):
    layers = random_layers(narrow, their_vgg_name, classes=classes)
    if spell == "keras 1":
        old = {"kernel": "W", "bias": "b"}
        spelt = {
            layer: {f"{layer}_{old[array]}_1": value for array, value in arrays.items()}
            for layer, arrays in layers.items()
        }
        path = write(tmp_path / "vgg.h5", spelt, spell="{array}:0")
    else:
        path = write(tmp_path / "vgg.h5", layers, spell=spell)
    network = load.port_file(path, model="narrow")
    assert network.architecture.num_classes == classes
    assert_holds(network, layers)
    found = verify.verify(network, path)
    assert found.agrees
    assert found.arrays == 2 * len(layers)
    logits, _ = network.apply(network.variables, np.zeros((1, 32, 32, 3), np.float32))
    assert logits is None if classes is None else logits.shape == (1, classes)


def test_verify_sees_a_changed_weight(tmp_path, narrow):
    layers = random_layers(narrow, their_vgg_name, classes=None)
    network = load.port_file(write(tmp_path / "vgg.h5", layers), model="narrow")
    layers["block4_conv1"]["bias"][2] += 0.1
    assert not verify.verify(network, write(tmp_path / "other.h5", layers)).agrees


def test_the_order_of_the_file_does_not_matter(tmp_path, narrow):
    layers = random_layers(narrow, their_vgg_name, classes=None)
    path = write(tmp_path / "vgg.h5", dict(reversed(layers.items())))
    assert_holds(load.port_file(path, model="narrow"), layers)


def test_everything_that_does_not_fit_is_named_at_once(tmp_path, narrow):
    layers = random_layers(narrow, their_vgg_name, classes=None)
    layers["block6_conv1"] = layers.pop("block3_conv1")
    layers["block1_conv1"]["kernel"] = layers["block1_conv1"]["kernel"][:, :, :2]
    with pytest.raises(ValueError, match=r"vgg\.h5: not the weights of narrow") as raised:
        load.port_file(write(tmp_path / "vgg.h5", layers), model="narrow")
    lines = [line.strip() for line in str(raised.value).splitlines()[1:]]
    assert lines == [
        "conv1_1 from block1_conv1: kernel has shape [3, 3, 2, 4], needs [3, 3, 3, 4]",
        "missing: conv3_1 (a block3_conv1)",
        "left over: block6_conv1 (bias [3], kernel [3, 3, 2, 3])",
    ]


# --- Inception v1 ----------------------------------------------------------------------------


def their_inception_name(name):
    return re.sub(r"^(conv\d|inception_\d\w|loss3)_", r"\1/", name)


@pytest.mark.slow
def test_inception_is_read_by_caffes_names(tmp_path):
    entry = registry.find("inception_v1")
    layers = random_layers(entry, their_inception_name, classes=1000)
    path = write(tmp_path / "googlenet.h5", layers)
    network = load.port_file(path, model="inception_v1")
    assert "inception_3a_3x3_reduce" in network.variables["params"]
    assert_holds(network, layers)
    assert verify.verify(network, path).agrees


@pytest.mark.slow
def test_inception_survives_a_network_file(tmp_path):
    entry = registry.find("inception_v1")
    layers = random_layers(entry, their_inception_name, classes=None)
    network = load.port_file(write(tmp_path / "notop.h5", layers), model="inception_v1")
    assert network.architecture.num_classes is None
    restored = network_file.restore(network_file.save(network, tmp_path / "inception"))
    assert restored.architecture == network.architecture
    jax.tree.map(np.testing.assert_array_equal, restored.variables, network.variables)
