"""Networks from Keras files compute what Larq computed, and files of other networks are refused.

The answers of real Larq are in reference/networks.npz; reference/networks.py asked for them.
"""

import dataclasses
import itertools
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

import bnnjax
from bnnjax import quant
from bnnjax.binary.backend import using
from bnnjax.layers import QuantConv
from bnnjax.models import registry
from bnnjax.models.entry import Card
from bnnjax.models.quicknet_v0 import QuickNetV0
from bnnjax.port import load
from bnnjax.port.keras import importer

pytest.importorskip("h5py")

LARQ = np.load(Path(__file__).parents[2] / "reference" / "networks.npz")
# We measured 1.1e-6. A single flipped sign in the input of a binary convolution makes it 1e-3.
CLOSE = 1e-5  # relative to the largest value

# Variants of a file; counters that pass 10 and 100 are not in alphabetical order.
FORMS = {
    "weights only": {},
    "a whole model": {"full": True},
    "counters from 7": {"start": 7},
    "counters from 95, a list in three parts": {"start": 95, "chunks": 3},
    "a model inside": {"nested": True},
    "all at once": {"full": True, "start": 98, "chunks": 2, "nested": True},
}
ACTIVATIONS = {"relu": nn.relu, "sigmoid": nn.sigmoid, "linear": lambda x: x}
NETWORKS = {  # binary convolutions
    "quicknet_small": 16,
    "quicknet": 16,
    "quicknet_large": 32,
    "quicknet_v0": 13,
    "quicknet_large_v0": 16,
    "quicknet_xl_v0": 32,
    "binary_alexnet": 7,
    "xnornet": 6,
    "dorefanet": 4,
    "birealnet": 16,
    "binary_resnet_e18": 16,
    "binary_densenet28": 23,
    "binary_densenet37": 32,
    "binary_densenet37_dilated": 32,
    "binary_densenet45": 40,
    "meliusnet22": 34,
    "real_to_binary_net": 16,
}
NARROW = {"hidden": 128}  # the classifiers of Larq's stored results
TIES = ("xnornet", "dorefanet")  # whose gradients are those of mean-pools
SIDES = {"binary_alexnet": 224, "xnornet": 224, "dorefanet": 224}  # px; for all others 64


# --- Larq's results ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def as_asked():
    """The registry's networks as in Larq's stored results, while this module runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in SIDES:
            entry = registry.find(name)
            narrow = dataclasses.replace(entry, build=partial(entry.build, **NARROW))
            patch.setitem(registry.REGISTRY, name, narrow)
        yield


@pytest.fixture(scope="module")
def keras_file(keras_layers, write_keras, as_asked):
    """A function network → a file of it with the weights that Larq was given."""
    with tempfile.TemporaryDirectory() as folder:

        def path_of(name):
            path, entry = Path(folder, f"{name}.h5"), registry.find(name)
            if not path.exists():
                form = dict(zip(NETWORKS, itertools.cycle(FORMS.values()), strict=False))[name]
                if entry.weights.keras_name:  # names without counters
                    form = {"full": True, "chunks": 2}
                write_keras(path, keras_layers(entry), **form)
            return path

        yield path_of


class Answers(NamedTuple):
    """A network's results for Larq's picture; layers by PREFIX:PLACE."""

    name: str
    logits: np.ndarray
    gradient: np.ndarray
    sums: dict[str, np.ndarray]  # sampled, of binary convolutions
    units: dict[str, np.ndarray]  # the unit of these
    outputs: dict[str, np.ndarray]  # sampled, of all other layers

    def larq(self, entry):
        return LARQ[f"{self.name}/{entry}"]


SHALLOW = ("binary_alexnet", "xnornet", "dorefanet", "birealnet")  # they compile in a few seconds
EACH = [
    name if name in SHALLOW else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS
]


@pytest.fixture(scope="module", params=EACH)
def answers(request, keras_file, draws):
    """A packed network from a file is compiled as a whole."""
    name = request.param
    network = load.port_file(keras_file(name), model=name)
    network = network.with_options(gradient_dtype="float32", backend="packed")
    module = network.architecture.module
    pooled = network.with_options(pooling="avg").architecture.module
    keys, places = {}, {}
    for target in importer.targets(network.architecture):
        place = places.setdefault(target.prefix, itertools.count())
        keys[target.path] = f"{target.prefix}:{next(place)}"

    @jax.jit
    def compute(variables, picture):
        def record(call, args, kwargs, context):
            result = call(*args, **kwargs)
            key = keys.get(context.module.path)
            if key and context.method_name == "__call__":
                layer = context.module
                binary = isinstance(layer, QuantConv) and layer.input_quantizer is not None
                # Larq's outputs include the activation, which is not part of our layer.
                activation = ACTIVATIONS[str(LARQ[f"{name}/{key}/activation"])]
                value = activation(result)
                where = draws.positions(f"{key}/output", value.size, 24)
                value = value.reshape(-1)[where]
                found["sums" if binary else "outputs"][key] = value
                if binary:
                    found["units"][key] = jnp.broadcast_to(unit(layer), result.shape).reshape(-1)[
                        where
                    ]
            return result

        found = {"sums": {}, "units": {}, "outputs": {}}

        def forward(picture):
            # Larq's picture is normalised already.
            with nn.intercept_methods(record):
                return module.apply(variables, picture), found

        with using(network.architecture.options.arithmetic):
            logits, pull_back, samples = jax.vjp(forward, picture, has_aux=True)
            if name in TIES:
                _, pull_back = jax.vjp(lambda picture: pooled.apply(variables, picture), picture)
        (gradient,) = pull_back(draws.cotangent(name, 1000))
        where = draws.positions("gradient", gradient.size, 256)
        return {"logits": logits, "gradient": gradient.reshape(-1)[where], **samples}

    computed = compute(network.variables, draws.picture(name, SIDES.get(name, 64)))
    return Answers(name, **jax.tree.map(np.asarray, computed))


def unit(layer):
    """The results of a binary convolution are multiples of this: its kernel's scale, or a third of
    it after activations of two bits."""
    levels = 2 ** quant.precision(layer.input_quantizer) - 1
    scaled = layer.has_variable("params", "scale")
    return (layer.get_variable("params", "scale") if scaled else jnp.ones(())) / levels


def assert_close(found, expected, what=""):
    assert found.shape == expected.shape, what
    assert np.abs(found - expected).max() <= CLOSE * np.abs(expected).max(), what


@pytest.mark.slow
def test_logits_are_larqs(answers):
    assert_close(answers.logits, answers.larq("logits"))


@pytest.mark.slow
def test_the_gradient_of_the_picture_is_larqs(answers):
    assert_close(answers.gradient, answers.larq("gradient"))


def test_integers_of_binary_convolutions_are_larqs_to_the_last_one(answers):
    assert len(answers.sums) == NETWORKS[answers.name]
    for key, found in answers.sums.items():
        ours, larqs = (x / answers.units[key] for x in (found, answers.larq(f"{key}/output")))
        # Larq multiplies by the scales before it adds.
        np.testing.assert_allclose(ours, np.round(ours), rtol=1e-6, atol=1e-4, err_msg=key)
        np.testing.assert_allclose(larqs, np.round(larqs), rtol=1e-6, atol=1e-2, err_msg=key)
        np.testing.assert_array_equal(np.round(ours), np.round(larqs), key)


def test_all_other_layers_agree_with_larq(answers):
    entries = {entry for entry in LARQ.files if entry.startswith(f"{answers.name}/")}
    stored = {entry.split("/")[1] for entry in entries if entry.endswith("/output")}
    assert stored == answers.sums.keys() | answers.outputs.keys()
    for key, found in answers.outputs.items():
        assert_close(found, answers.larq(f"{key}/output"), key)


OTHERS = {
    *itertools.pairwise([*NETWORKS, "quicknet_small"]),
    ("quicknet_v0", "quicknet"),
    ("quicknet", "quicknet_v0"),
    ("binary_resnet_e18", "birealnet"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model"),
    # Dilation does not change a stored kernel.
    sorted(OTHERS - {("binary_densenet37", "binary_densenet37_dilated")}),
)
def test_a_file_of_another_network_is_refused(keras_file, name, model):
    path = keras_file(name)
    with pytest.raises(ValueError, match="not the weights") as raised:
        load.port_file(path, model=model)
    assert str(raised.value).startswith(f"{path}: not the weights of {model}:\n")


# --- arrays -----------------------------------------------------------------------------

NORM = {"gamma": "scale", "beta": "bias", "moving_mean": "mean", "moving_variance": "var"}
OURS = {**NORM, "kernel": "kernel", "depthwise_kernel": "kernel", "bias": "bias"}
TINY = [  # its layers in the order of creation
    "stem_conv",
    "stem_conv_norm",
    "stem_depthwise",
    "stem_depthwise_norm",
    "stem_pointwise",
    "stem_norm",
    "section1_block1_conv",
    "section1_block1_norm",
    "section2_transition_blur",
    "section2_transition_conv",
    "section2_transition_norm",
    "section2_block1_conv",
    "section2_block1_norm",
    "dense",
]
BINARY = ("section1_block1_conv", "section2_block1_conv")


@pytest.fixture
def port(tiny, write_keras, tmp_path, monkeypatch):
    """A function layers → the network from a file of them, tiny.h5."""
    monkeypatch.setitem(registry.REGISTRY, "tiny", tiny)

    def write_and_port(layers, *, frozen=True, **form):
        path = write_keras(tmp_path / "tiny.h5", layers, **form)
        return load.port_file(path, model="tiny", frozen=frozen)

    return write_and_port


@pytest.fixture
def refusal(port, tmp_path):
    """A function layers → the error for a file of them, without its first line."""

    def lines(layers):
        with pytest.raises(ValueError, match="not the weights of tiny") as raised:
            port(layers)
        first, *rest = str(raised.value).splitlines()
        assert first == f"{tmp_path / 'tiny.h5'}: not the weights of tiny:"
        return sorted(line.strip() for line in rest)

    return lines


def weights(layers, name):
    """The arrays of a layer of the tiny network, which may be changed."""
    return layers[TINY.index(name)][1]


def latent_tree(layers):
    """The variables of a latent tiny network of such layers."""
    tree = {}
    for path, (_, arrays) in zip(TINY, layers, strict=False):
        for name, value in arrays.items():
            collection = "batch_stats" if name.startswith("moving") else "params"
            tree[collection, path, OURS[name]] = np.float32(value)
    return unflatten_dict(tree)


def assert_same(found, expected):
    found, expected = flatten_dict(found), flatten_dict(expected)
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        assert found[path].dtype == value.dtype, path
        np.testing.assert_array_equal(found[path], value, str(path))


@pytest.mark.parametrize("form", FORMS)
def test_every_array_arrives_whatever_the_form_of_the_file(port, tiny_layers, form):
    network = port(tiny_layers, frozen=False, **FORMS[form])
    assert not network.frozen
    assert_same(network.variables, latent_tree(tiny_layers))


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_floats_are_read_as_float32(port, tiny_layers, dtype):
    for _, arrays in tiny_layers:
        arrays.update({name: value.astype(dtype) for name, value in arrays.items()})
    assert_same(port(tiny_layers, frozen=False).variables, latent_tree(tiny_layers))


@pytest.mark.slow
def test_a_frozen_network_is_the_latent_one_frozen(port, tiny_layers):
    frozen = port(tiny_layers)
    assert frozen.frozen
    latent = bnnjax.freeze(port(tiny_layers, frozen=False))
    assert latent.architecture == frozen.architecture
    assert_same(frozen.variables, latent.variables)


@pytest.mark.slow
def test_packed_words_hold_the_signs_and_zero_is_positive(port, tiny_layers):
    params = port(tiny_layers).variables["params"]
    for name in BINARY:
        kernel = weights(tiny_layers, name)["kernel"]
        assert (kernel == 0).any()
        words = np.asarray(params[name]["words"])
        bits = words[:, :, :, None] >> np.arange(32, dtype=np.uint32)[:, None] & 1
        np.testing.assert_array_equal(bits.reshape(kernel.shape), kernel >= 0)


def test_frozen_norms_have_the_epsilons_of_the_network(port, tiny_layers):
    norms = [name for name in TINY if name.endswith("norm")]
    for name in norms:
        weights(tiny_layers, name)["moving_variance"] /= 1e5  # so small that epsilon counts
    params = port(tiny_layers).variables["params"]
    for name in norms:
        arrays = {key: np.float64(value) for key, value in weights(tiny_layers, name).items()}
        epsilon = 1e-3 if name.startswith("stem") else 1e-5
        multiplier = arrays.get("gamma", 1) / np.sqrt(arrays["moving_variance"] + epsilon)
        bias = arrays.get("beta", 0) - arrays["moving_mean"] * multiplier
        np.testing.assert_allclose(params[name]["multiplier"], multiplier, rtol=1e-6)
        np.testing.assert_allclose(params[name]["bias"], bias, rtol=1e-6, atol=1e-6)
    assert len(norms) == 6


@pytest.mark.slow
def test_kernels_that_are_binarized_already_give_the_same_network_and_are_recorded(
    port, tiny_layers
):
    latent = port(tiny_layers)
    assert latent.provenance["kernels"] == "latent"
    for name in BINARY:
        kernel = weights(tiny_layers, name)["kernel"]
        weights(tiny_layers, name)["kernel"] = np.where(kernel >= 0, 1, -1).astype(np.float32)
    binarized = port(tiny_layers)
    assert binarized.provenance["kernels"] == "binarized"
    assert_same(binarized.variables, latent.variables)


@pytest.mark.parametrize("name", ["magnitude_aware_sign", "xnor_weight_scale"])
def test_kernels_of_signs_times_a_scale_are_binarized_too(name):
    """A quantizer may give ± one scale per output channel. A quantizer of plain signs leaves no
    other numbers behind."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 4)).astype(np.float32)
    binarized = np.where(kernel >= 0, 1, -1) * np.float32([0.1, 0.7, 0.3, 1])

    def recorded(quantizer, kernel):
        layer = QuantConv(4, kernel_quantizer=quant.get(quantizer))
        target = importer.Target(("conv",), layer, "convolution", "quant_conv2d", {})
        return "latent" if importer._is_latent(target, {"kernel": kernel}) else "binarized"

    assert recorded(name, kernel) == "latent"
    assert recorded(name, binarized) == "binarized"
    assert recorded("ste_sign", binarized) == "latent"


# --- another classifier, or none --------------------------------------------------------


@pytest.fixture(params=["tiny", "excited"])
def entry(request, tiny):
    """The tiny network; and one that has dense layers besides its classifier."""
    if request.param == "tiny":
        return tiny
    build = partial(QuickNetV0, blocks=(1, 1), pointwise=True, excited=(1, 2))
    published = registry.find("quicknet_large_v0")
    return dataclasses.replace(published, name="excited", build=build, card=Card(num_classes=10))


@pytest.mark.slow
def test_a_file_without_classifier_gives_the_same_network_without_logits(
    entry, keras_layers, write_keras, tmp_path
):
    layers = keras_layers(entry)
    whole = importer.read_network(write_keras(tmp_path / "whole.h5", layers), entry)
    bare = importer.read_network(write_keras(tmp_path / "bare.h5", layers[:-1]), entry)
    assert whole.architecture.num_classes == 10
    assert bare.architecture.num_classes is None
    assert_same(
        {**bare.variables["params"], "dense": whole.variables["params"]["dense"]},
        whole.variables["params"],
    )
    picture = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    logits, taps = jax.eval_shape(bare.apply, bare.variables, picture)
    whole_logits, whole_taps = jax.eval_shape(whole.apply, whole.variables, picture)
    assert logits is None
    assert whole_logits.shape == (1, 10)
    assert taps == whole_taps


@pytest.mark.slow
def test_a_classifier_with_other_classes_is_read(entry, keras_layers, write_keras, tmp_path):
    layers = keras_layers(entry, num_classes=7)
    network = importer.read_network(write_keras(tmp_path / "seven.h5", layers), entry)
    assert network.architecture.num_classes == 7
    dense = network.variables["params"]["dense"]
    np.testing.assert_array_equal(dense["kernel"], layers[-1][1]["kernel"])
    assert dense["bias"].shape == (7,)


# --- files that do not match ------------------------------------------------------------


@pytest.mark.slow
def test_everything_that_does_not_fit_is_listed_at_once(refusal, tiny_layers):
    weights(tiny_layers, "stem_norm")["gamma"] = np.ones(31, np.float32)
    weights(tiny_layers, "stem_conv")["bias"] = np.zeros(8, np.float32)
    weights(tiny_layers, BINARY[0])["kernel"] = np.ones((3, 3, 32, 32), np.int8)
    del weights(tiny_layers, "dense")["bias"]
    del tiny_layers[TINY.index("section2_block1_norm")]
    tiny_layers.append(("quant_conv2d", {"kernel": np.ones((3, 3, 64, 64), np.float32)}))
    tiny_layers.append(("p_re_lu", {"alpha": np.ones((1, 1, 64), np.float32)}))
    assert refusal(tiny_layers) == [
        "dense from quant_dense: bias is missing",
        "left over: p_re_lu (alpha [1, 1, 64])",
        "left over: quant_conv2d_5 (kernel [3, 3, 64, 64])",
        "missing: section2_block1_norm (a batch_normalization)",
        "section1_block1_conv from quant_conv2d_2: kernel is int8, needs a float type",
        "stem_conv from quant_conv2d: bias is left over",
        "stem_norm from batch_normalization_2: gamma has shape [31], needs [32]",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.complex64(1j), b"text"], ids=["complex", "text"])
def test_values_that_are_not_numbers_are_refused(refusal, tiny_layers, value):
    weights(tiny_layers, "dense")["bias"] = np.full(10, value)
    (line,) = refusal(tiny_layers)
    assert line.startswith("dense from quant_dense: bias is ")
    assert line.endswith(", needs a float type")


@pytest.mark.slow
def test_values_that_are_not_finite_are_listed_at_once(refusal, tiny_layers):
    weights(tiny_layers, "stem_conv")["kernel"][0, 0, 0, 0] = np.nan
    weights(tiny_layers, BINARY[1])["kernel"][2, 2, 63, 63] = -np.inf
    weights(tiny_layers, "stem_norm")["moving_variance"][5] = -1
    weights(tiny_layers, "section1_block1_norm")["beta"][0] = np.inf
    weights(tiny_layers, "dense")["bias"] = np.full(10, 1e300)  # too large for float32
    not_finite = "holds values that are not finite"
    assert refusal(tiny_layers) == [
        f"dense from quant_dense: bias {not_finite}",
        f"section1_block1_norm from batch_normalization_3: beta {not_finite}",
        f"section2_block1_conv from quant_conv2d_4: kernel {not_finite}",
        f"stem_conv from quant_conv2d: kernel {not_finite}",
        f"stem_norm from batch_normalization_2: the batch norm {not_finite}",
    ]
