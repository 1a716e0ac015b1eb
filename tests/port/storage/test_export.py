"""Exported archives, read and evaluated by NumPy alone."""

import dataclasses
import json

import numpy as np
import pytest
from flax import linen as nn

from bnnjax import quant
from bnnjax.layers import Options, PReLU, QuantConv
from bnnjax.models import registry, summary
from bnnjax.models.forms import thaw
from bnnjax.models.network import Architecture, Network
from bnnjax.port.storage import network_file
from bnnjax.port.storage.export import CARD, export
from bnnjax.port.storage.export import card as card_of


@pytest.fixture(scope="module")
def archive(quicknet, tmp_path_factory):
    """Arrays of an exported ``quicknet_v0``, and its card."""
    path = export(quicknet, tmp_path_factory.mktemp("exported") / "quicknet.npz")
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(arrays.pop(CARD).tobytes())


def unpack(words, shape, packed_axis):
    """By the definition: bit i of word w is value 32·w + i; one value at a time."""
    kernel = np.empty(shape)
    moved, values = (np.moveaxis(array, packed_axis, 0) for array in (words, kernel))
    for n in range(shape[packed_axis]):
        values[n] = np.where(moved[n // 32] >> np.uint32(n % 32) & np.uint32(1), 1, -1)
    return kernel


def convolve(x, kernel, stride):
    """SAME with +1 outside; TensorFlow puts the odd pixel at the end."""
    pads = [(0, 0)]
    for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True):
        total = max((-(-n // stride) - 1) * stride + k - n, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x, [*pads, (0, 0)], constant_values=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows[:, ::stride, ::stride], kernel, optimize=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("section1_block1_conv", "stem", None),
        ("section1_block2_conv", "section1_block1", "section1_block2"),
        ("section3_block2_conv", "section3_block1", "section3_block2"),
    ],
)
def test_numpy_computes_a_block_from_the_archive(
    archive, quicknet, make_picture, name, before, after
):
    arrays, card = archive
    _, taps = quicknet.apply(quicknet.variables, make_picture(0)[None])
    taps = {tap: np.asarray(value, np.float64) for tap, value in taps.items()}
    layer = next(layer for layer in card["layers"] if layer["name"] == name)
    assert (layer["kind"], layer["input"], layer["pad_values"]) == ("QuantConv", "signs", 1)
    assert layer["padding"] == "SAME"
    kernel = unpack(arrays[f"{name}/words"], layer["shape"], layer["packed_axis"])
    sums = convolve(np.where(taps[before] >= 0, 1, -1), kernel, layer["strides"][0])
    np.testing.assert_array_equal(taps[name], sums)  # integers, so exactly
    assert sums.std() > 1
    if after:
        norm = name.replace("_conv", "_norm")
        y = np.maximum(sums, 0) * arrays[f"{norm}/multiplier"] + arrays[f"{norm}/bias"]
        np.testing.assert_allclose(taps[after], y + taps[before], rtol=1e-5, atol=1e-5)


def test_numpys_unpackbits_gives_the_same(archive):
    """The recipe of the documentation."""
    arrays, card = archive
    for layer in card["layers"]:
        if "packed_axis" not in layer:
            continue
        axis, n = layer["packed_axis"], layer["shape"][layer["packed_axis"]]
        words = np.ascontiguousarray(np.moveaxis(arrays[f"{layer['name']}/words"], axis, -1))
        bits = np.unpackbits(words[..., None].view(np.uint8), axis=-1, bitorder="little")
        bits = bits.reshape(*words.shape[:-1], -1)[..., :n]
        kernel = np.moveaxis(2.0 * bits - 1, -1, axis)
        expected = unpack(arrays[f"{layer['name']}/words"], layer["shape"], axis)
        np.testing.assert_array_equal(kernel, expected)


def test_the_card_names_every_layer_and_every_array(archive, quicknet):
    arrays, card = archive
    assert (card["format"], card["network"], card["num_classes"]) == (2, "quicknet_v0", 1000)
    assert card["class_names"] is None
    assert card["provenance"] == {"source": "random"}
    assert {name.rpartition("/")[0] for name in arrays} == {row["name"] for row in card["layers"]}
    assert {str(array.dtype) for array in arrays.values()} == {"uint32", "float32"}
    kinds = [row["kind"] for row in card["layers"]]
    assert kinds.count("QuantConv") == 2 + 3 + 4 + 4
    assert card["layers"][-1]["kind"] in ("QuantDense", "Dense")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["quicknet", "quicknet_v0"])
def test_the_file_is_as_large_as_the_summary_says(name, with_random_weights, tmp_path):
    """The sizes are the published 4.17 MiB of QuickNet and 3.18 of the older one, within 2 %."""
    network = with_random_weights(registry.find(name))
    size = export(network, tmp_path / "network.npz").stat().st_size
    counted = summary.summarize(network.architecture).bytes
    assert counted < size < 1.02 * counted


class Odd(nn.Module):
    """A layer that sets every rare field, and a PReLU."""

    @nn.compact
    def __call__(self, x):
        three_bits = quant.get("dorefa_quantizer", k_bit=3, mode="activations")
        conv = QuantConv(9, dilation=(2, 1), groups=3, input_quantizer=three_bits, name="conv")
        PReLU(name="prelu")(conv(x))


def test_the_card_tells_dilation_groups_and_the_bits_of_inputs():
    entry = dataclasses.replace(registry.find("quicknet_v0"), build=lambda **_: Odd())
    conv, prelu = card_of(Network(Architecture(entry, Options(), None), {}, {}))["layers"]
    assert (conv["dilation"], conv["groups"]) == ((2, 1), 3)
    assert conv["input"] == {"quantizer": "dorefa_quantizer", "bits": 3, "mode": "activations"}
    assert prelu == {"name": "prelu", "kind": "PReLU"}


def test_a_network_that_is_not_in_the_registry_is_refused(quicknet, tmp_path):
    entry = dataclasses.replace(quicknet.entry, name="found.tflite")
    architecture = dataclasses.replace(quicknet.architecture, entry=entry)
    with pytest.raises(ValueError, match=r"^found\.tflite is not in the registry and cannot be"):
        export(dataclasses.replace(quicknet, architecture=architecture), tmp_path / "found.npz")
    assert not [*tmp_path.iterdir()]


def test_the_home_folder_may_be_written_as_a_tilde(quicknet, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert export(quicknet, "~/network.npz") == tmp_path / "network.npz"
    assert (tmp_path / "network.npz").is_file()


@pytest.mark.slow
def test_unwritable_networks_are_refused(quicknet, tmp_path):
    with pytest.raises(ValueError, match="latent; freeze it"):
        export(thaw(quicknet), tmp_path / "network.npz")
    with pytest.raises(ValueError, match=r"network\.bin: .*ends in \.npz"):
        export(quicknet, tmp_path / "network.bin")


def test_an_archive_is_replaced_only_if_that_is_wanted(quicknet, tmp_path):
    path = export(quicknet, tmp_path / "network.npz")
    before = path.read_bytes()
    named = dataclasses.replace(quicknet, class_names=("a",) * 1000)
    with pytest.raises(ValueError, match="exists; choose another name"):
        export(named, path)
    assert path.read_bytes() == before
    export(named, path, overwrite=True)
    card = json.loads(np.load(path)[CARD].tobytes())
    assert card["class_names"] == ["a"] * 1000
    assert list(tmp_path.iterdir()) == [path]


def text(path):
    path.write_text("something dear")


def other_archive(path):
    np.savez(path, a=np.zeros(3))


def directory(path):
    path.mkdir()


@pytest.mark.parametrize("other", [text, other_archive, directory])
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_but_an_exported_network_is_ever_replaced(quicknet, tmp_path, other, overwrite):
    path = tmp_path / "network.npz"
    other(path)
    before = path.is_file() and path.read_bytes()
    with pytest.raises(ValueError, match=r"is not an exported network|is a directory"):
        export(quicknet, path, overwrite=overwrite)
    assert (path.is_file() and path.read_bytes()) == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_network_file_gives_the_same_archive(quicknet_file, archive, tmp_path):
    path = export(network_file.restore(quicknet_file), tmp_path / "again.npz")
    with np.load(path) as file:
        assert {name: file[name].tobytes() for name in archive[0]} == {
            name: array.tobytes() for name, array in archive[0].items()
        }
