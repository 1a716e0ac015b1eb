"""BMXNet's files become networks: every weight, what is refused, and the published networks."""

import ast
import hashlib
import json

import jax
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict

import bnnjax
from bnnjax.layers import BatchNorm, QuantConv
from bnnjax.models import evaluate, registry
from bnnjax.models.network import Architecture
from bnnjax.port import load
from bnnjax.port.bmxnet import resnet18
from bnnjax.port.storage import network_file

# Network → its published file, and top-1 and top-5 accuracy in per cent on the 300 pictures, both
# found by an evaluation in NumPy.
PUBLISHED = {
    "bmxnet_resnet18": ("bmxnet_resnet18-64bit-0040.params", 49.0, 73.3),
    "bmxnet_resnet18_float_stage1": (
        "bmxnet_resnet18-64bit-1st-stage-fullprecision-0038.params",
        61.3,
        81.3,
    ),
}
assert_equal = np.testing.assert_array_equal
NAMES = pytest.mark.parametrize("name", PUBLISHED)


@pytest.fixture
def published(data_dir):
    """A function name → the published file."""

    def find(name):
        path = data_dir / "weights" / PUBLISHED[name][0]
        if not path.is_file():
            pytest.skip(f"no {path}; set BNNJAX_DATA")
        return path

    return find


@pytest.mark.slow
@NAMES
def test_every_weight_of_a_file_arrives(random_arrays, write, name):
    arrays = random_arrays(name)
    network = load.port_file(write(arrays), model=name, frozen=False)
    found = {path[1:]: np.asarray(a) for path, a in flatten_dict(network.variables).items()}
    for layer, theirs in (
        ("stem_conv", "conv0"),
        ("section1_block1_shortcut_conv", "stage1_unit1_sc"),
        ("section1_block2_conv1", "stage1_unit2_conv1"),
        ("section4_block2_conv2", "stage4_unit2_conv2"),
    ):
        kernel, weight = found[layer, "kernel"], arrays[f"arg:{theirs}_weight"]
        if weight.ndim == 1:  # one bit after the other, in pure Python
            rows, columns, inputs, _ = kernel.shape
            raw = weight.tobytes()
            for place in (0, 1, 63, 64, 100, kernel.size - 1):
                bit = raw[place // 8] >> place % 8 & 1
                rest, column = divmod(place, columns)
                rest, row = divmod(rest, rows)
                output, given = divmod(rest, inputs)
                assert kernel[row, column, given, output] == (1 if bit else -1)
        else:
            np.testing.assert_array_equal(kernel, weight.transpose(2, 3, 1, 0))
    for layer, theirs in (("stem_norm", "bn0"), ("section2_block1_conv1_norm", "stage2_unit1_bn2")):
        assert_equal(found[layer, "scale"], arrays[f"arg:{theirs}_gamma"])
        assert_equal(found[layer, "bias"], arrays[f"arg:{theirs}_beta"])
        assert_equal(found[layer, "mean"], arrays[f"aux:{theirs}_moving_mean"])
        assert_equal(found[layer, "var"], arrays[f"aux:{theirs}_moving_var"])
    assert_equal(found["dense", "kernel"], arrays["arg:fc1_weight"].T)
    assert_equal(found["dense", "bias"], arrays["arg:fc1_bias"])


@pytest.mark.slow
@NAMES
def test_a_saved_network_comes_back_equal_with_one_bit_per_weight(
    random_arrays, write, name, tmp_path
):
    source = write(random_arrays(name))
    network = load.port_file(source, model=name)
    assert network.form == "packed"
    path = network_file.save(network, tmp_path / "ported")
    restored = bnnjax.load_model(path)
    jax.tree.map(assert_equal, restored.variables, network.variables)
    assert restored.provenance == network.provenance
    for layer, params in restored.variables["params"].items():
        binary = isinstance(network.architecture.layers()[layer,], QuantConv)
        assert binary == ("words" in params)
        assert not binary or params["words"].dtype == np.uint32
    assert path.stat().st_size < source.stat().st_size


@pytest.mark.slow
@NAMES
@pytest.mark.parametrize("suffix", [".params", ".PARAMS"])
def test_a_file_tells_which_network_it_holds(random_arrays, write, name, suffix):
    path = write(random_arrays(name), f"net{suffix}")
    network = bnnjax.load_model(str(path))
    assert network.name == name
    assert network.path == str(path)
    assert network.provenance == {
        "source": f"net{suffix}",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "paper": "Yang et al., BMXNet, arXiv 1705.09864",
        "kernels": "binarized",
    }


@pytest.mark.slow
def test_a_fixed_gamma_does_not_count(random_arrays, write):
    arrays = random_arrays("bmxnet_resnet18")
    expected = bnnjax.load_model(write(arrays)).variables
    arrays["arg:bn_data_gamma"] = np.array([7, 8, 9], np.float32)
    jax.tree.map(assert_equal, bnnjax.load_model(write(arrays)).variables, expected)


@pytest.mark.slow
def test_all_faults_are_told_at_once(random_arrays, write):
    arrays = random_arrays("bmxnet_resnet18")
    del arrays["aux:bn1_moving_mean"]
    arrays["arg:stage5_unit1_sc_weight"] = np.ones(3, np.float32)
    arrays["arg:conv0_weight"] = np.ones((7, 7, 3, 64), np.float32)
    with pytest.raises(ValueError, match=r"net\.params: not the weights of bmxnet_resnet18:") as it:
        bnnjax.load_model(write(arrays))
    assert [line.strip() for line in str(it.value).splitlines()[1:]] == [
        "missing: aux:bn1_moving_mean",
        "left over: arg:stage5_unit1_sc_weight",
        "arg:conv0_weight: is float32[7, 7, 3, 64], needs float32[64, 3, 7, 7]",
    ]


@pytest.mark.slow
@NAMES
def test_the_other_network_is_refused(random_arrays, write, name):
    (other,) = PUBLISHED.keys() - {name}
    with pytest.raises(ValueError, match=rf"not the weights of {other}:\n  .*stage1.*float"):
        load.port_file(write(random_arrays(name)), model=other)


@pytest.mark.slow
@pytest.mark.parametrize("array", ["arg:conv0_weight", "arg:fc1_bias", "aux:bn0_moving_var"])
def test_values_that_are_not_finite_are_refused(random_arrays, write, array):
    arrays = random_arrays("bmxnet_resnet18")
    arrays[array].flat[1] = np.nan
    with pytest.raises(ValueError, match=rf"{array}: holds values that are not finite"):
        bnnjax.load_model(write(arrays))


def test_a_file_that_is_cut_short_ends_in_one_line(random_arrays, write):
    path = write(random_arrays("bmxnet_resnet18"))
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(ValueError, match=r"net\.params: not a \.params file .* should foll") as it:
        bnnjax.load_model(path)
    assert len(str(it.value).splitlines()) == 1


# --- the published files ---------------------------------------------------------------------


@pytest.mark.slow
@NAMES
def test_the_published_network_knows_its_pictures(published, data_dir, name):
    """The resize of another version of Pillow may cost a picture or two."""
    folder = data_dir / "images" / "val"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set BNNJAX_DATA")
    logits_of = evaluate.guesser(bnnjax.load_model(published(name)))
    found = evaluate.accuracy(logits_of, evaluate.read_labels(folder, folder / "labels.csv"))
    assert found.n == 300
    two_pictures = 100 * 2 / 300 + 0.05
    assert abs(found.top1 - PUBLISHED[name][1]) <= two_pictures
    assert abs(found.top5 - PUBLISHED[name][2]) <= two_pictures


@NAMES
def test_layers_are_those_of_the_published_graph(published, name):
    path = published(name)
    graph = path.with_name(path.name.rpartition("-")[0] + "-symbol.json")
    nodes = {node["name"]: node for node in json.loads(graph.read_text())["nodes"]}
    operators = {"BatchNorm", "Convolution", "QConvolution", "FullyConnected"}
    theirs = {n for n, node in nodes.items() if node["op"] in operators}
    layers = Architecture.published(registry.find(name)).layers()
    assert {resnet18.bmxnet_name(path[-1]) for path in layers} == theirs
    for (layer_name,), layer in layers.items():
        node = nodes[resnet18.bmxnet_name(layer_name)]
        attributes = node["attr"]
        if isinstance(layer, BatchNorm):
            assert layer.epsilon == float(attributes["eps"])
            assert layer.momentum == float(attributes["momentum"])
            assert layer.use_scale == (attributes["fix_gamma"] == "False")
        elif isinstance(layer, nn.Dense):
            assert layer.features == int(attributes["num_hidden"])
        else:
            binary = node["op"] == "QConvolution"
            assert isinstance(layer, QuantConv) == binary
            assert layer.features == int(attributes["num_filter"])
            assert layer.kernel_size == ast.literal_eval(attributes["kernel"])
            assert layer.strides == ast.literal_eval(attributes["stride"])
            side = layer.kernel_size[0]
            assert ast.literal_eval(attributes.get("pad", "(0, 0)")) == (side // 2,) * 2
