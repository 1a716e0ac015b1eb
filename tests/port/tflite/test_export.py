"""Exported files against those of Larq Compute Engine's converter, whose results by LCE's own
interpreter reference/lce.npz stores, and against what the network itself computes."""

import dataclasses
from collections import Counter
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import bnnjax
from bnnjax.layers import BatchNorm, Conv, Options, PReLU, QuantConv, QuantDense, max_pool
from bnnjax.models.entry import Card, Entry, Sizes
from bnnjax.models.imagenet import bgr, normalize
from bnnjax.models.network import Architecture, Network
from bnnjax.models.tapped import Tapped
from bnnjax.port.tflite.export import export, input_of
from bnnjax.port.tflite.graph import Graph, Operator, Tensor, read_graph
from bnnjax.port.tflite.write import write_graph
from tests.port.tflite.interpreter import interpret

pytest.importorskip("tflite")

ANSWERS = Path(__file__).parents[2] / "reference" / "lce.npz"
CLOSE = 1e-5  # sums of floats in another order, relative to the largest
MERGED = ("valid", "dilated_ones", "sequential", "quicknet", "kernel=5x2", "operators")
OTHERS = ("picture", "kernel=1", "zeros", "ones", "dilated", "resnet_e", "densenet", "birealnet")
EACH = [*MERGED[:2], *(pytest.param(n, marks=pytest.mark.slow) for n in (*MERGED[2:], *OTHERS))]


@pytest.fixture
def converted(tmp_path):
    """A function name → the path of a file by LCE's converter."""
    archive = np.load(ANSWERS)

    def of(name):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(archive[f"{name} file"].tobytes())
        return path

    return of


def exported(network, tmp_path, **options):
    return read_graph(export(network, tmp_path / "exported" / "out.tflite", **options))


# --- against the converter -----------------------------------------------------------------


def operators(graph):
    """Each operator with its options and the shapes around it, in no order. The shapes say how it
    pads. Softmax is no part of our networks, a mean of a whole map may be an average pool, and
    thresholds contain the activation."""
    found = Counter()
    for op in graph.operators:
        before, after = (graph.tensors[each[0]].shape for each in (op.inputs, op.outputs))
        if (op.kind == "AVERAGE_POOL_2D" and after[1:3] == (1, 1)) or op.kind == "MEAN":
            found["MEAN", before] += 1
        elif op.kind == "FULLY_CONNECTED":
            found[op.kind, np.prod(before), after] += 1
        elif op.kind not in ("SOFTMAX", "RESHAPE"):
            packed = op.kind == "LceBconv2d" and graph.constant(op, 4) is not None
            ignored = {"padding", "Padding", "fused_activation_function" if packed else ""}
            given = {name: value for name, value in op.options.items() if name not in ignored}
            given = {name: value for name, value in given.items() if value}
            found[op.kind, before, after, frozenset(given.items())] += 1
    return found


def constants(graph, dtype):
    """The different filters, thresholds, kernels, multipliers and biases, in a fixed order."""
    read = {index for op in graph.operators for index in op.inputs if index >= 0}
    given = [graph.tensors[index].value for index in read]
    arrays = [a.squeeze() for a in given if a is not None and a.dtype == dtype and a.size > 4]
    different = {(array.shape, array.tobytes()): array for array in arrays}.values()
    return sorted(different, key=lambda a: (a.shape, float(np.abs(a.astype(np.float64)).sum())))


@pytest.mark.parametrize("name", EACH)
def test_a_file_has_the_operators_and_weights_of_the_converters(converted, tmp_path, name):
    path = converted(name)
    theirs = read_graph(path)
    size = theirs.tensors[theirs.inputs[0]].shape[1:3]
    ours = exported(bnnjax.load_model(path), tmp_path, size=size)
    assert operators(ours) == operators(theirs)
    for one, other in zip(constants(ours, np.int32), constants(theirs, np.int32), strict=True):
        np.testing.assert_array_equal(one, other)  # filters and thresholds, bit by bit
    for one, other in zip(constants(ours, np.float32), constants(theirs, np.float32), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# --- against the network itself ------------------------------------------------------------


class Small(Tapped):
    """A network in which LCE's operators meet everything that they merge with, or do not."""

    options: Options = Options()
    num_classes: int | None = 5

    @nn.compact
    def __call__(self, x, *, train=False):
        signs = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}
        norm = partial(BatchNorm, 1e-3, 0.9)
        x = self.tap("stem", norm()(nn.relu(Conv(40, 3, strides=2, use_bias=True)(x))))
        y = nn.relu(QuantConv(36, 3, pad_values=1, **signs)(x))  # ReLU and norm merge
        y = norm()(QuantConv(40, 1, **signs)(norm()(y)))  # a packed result before it
        x = max_pool(x + PReLU()(norm()(y)), size=3, padding="SAME")  # of signs alone
        x = norm()(nn.relu(QuantConv(32, 3, strides=2, **signs)(x)))  # padded with zeros: no merge
        x = norm()(
            QuantConv(
                32,
                2,
                pad_values=-1,
                kernel_quantizer="magnitude_aware_sign",
                input_quantizer="ste_sign",
            )(x)
        )
        few = {"input_quantizer": "dorefa_quantizer", "kernel_quantizer": "ste_sign"}
        x = norm()(QuantConv(32, 3, **few)(x))
        x = self.tap("last", norm()(QuantDense(24, **signs)(x.reshape(len(x), -1))))
        return None if self.num_classes is None else nn.Dense(self.num_classes)(nn.sigmoid(x))


def small(num_classes=5, *, seed=0):
    """Its frozen form with random weights."""
    entry = Entry(
        name="small",
        build=Small,
        normalize=normalize,
        sizes=Sizes(takes=lambda side: side == 16, stride=16, free=False),
        card=Card(num_classes=num_classes),
    )
    architecture = Architecture.published(entry)
    rng = np.random.default_rng(seed)

    def draw(path, leaf):
        if path[-1].key in ("var", "scale"):
            return rng.uniform(20, 50, leaf.shape) ** (1 if path[-1].key == "var" else 0.5)
        return rng.normal(0, 0.5, leaf.shape)

    drawn = jax.tree_util.tree_map_with_path(draw, architecture.latent_shapes())
    latent = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), drawn)
    return bnnjax.freeze(Network(architecture, latent, {"source": "random"}))


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    return export(small(), tmp_path_factory.mktemp("small") / "small.tflite")


@pytest.mark.slow
def test_numpy_computes_the_same_from_the_file(small_file):
    network = small()
    graph = read_graph(small_file)
    kinds = Counter(op.kind for op in graph.operators)
    assert kinds["LceBconv2d"] == 8  # of 2 bits: three of signs
    packed = [op for op in graph.operators if op.kind == "LceBconv2d" and op.inputs[4] >= 0]
    assert len(packed) == 1
    for seed in range(3):
        x = np.random.default_rng(seed).random((1, 16, 16, 3), np.float32)
        logits, _ = network(x)
        found = interpret(graph, np.asarray(normalize(x)))
        np.testing.assert_allclose(found, logits, atol=CLOSE * np.abs(logits).max())


@pytest.mark.slow
def test_a_network_without_classifier_ends_in_its_last_tap(tmp_path):
    network = small(None)
    x = np.random.default_rng(3).random((1, 16, 16, 3), np.float32)
    found = interpret(exported(network, tmp_path), np.asarray(normalize(x)))
    np.testing.assert_allclose(found, network(x)[1]["last"], atol=1e-4)


@pytest.fixture(scope="module")
def larqs():
    """What reference/own_models.py stores: models that Larq built, and what it computed."""
    return np.load(ANSWERS.with_name("own_models.npz"))


@pytest.fixture
def own_file(larqs, tmp_path):
    """A function: exports the model of a name; returns the path and the side of its picture."""

    def of(name):
        for key in larqs.files:
            if key.startswith(f"{name}/file "):
                (tmp_path / f"{name}{key.split()[-1]}").write_bytes(larqs[key].tobytes())
        (source,) = (path for path in tmp_path.iterdir() if path.suffix in (".h5", ".keras"))
        side = larqs[f"{name}/gradient"].shape[1]
        network = bnnjax.load_model(source, preprocessing="unit")
        return export(network, tmp_path / f"{name}.tflite", size=side), side

    return of


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["nested", "sequential", "quantizers"])
def test_a_model_of_keras_computes_what_larq_computed(larqs, own_file, draws, name):
    path, side = own_file(name)
    assert_close(interpret(read_graph(path), draws.picture(name, side)), larqs[f"{name}/logits"])


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["face", "branches", "axes", "decoder", "activations", "windows", "operations"]
)
def test_our_reader_computes_what_larq_computed(larqs, own_file, draws, name):
    path, side = own_file(name)
    logits, _ = bnnjax.load_model(path, preprocessing="unit")(draws.picture(name, side))
    assert_close(logits, larqs[f"{name}/logits"])


@pytest.mark.slow
def test_our_reader_finds_the_same_integers(tmp_path):
    network = bnnjax.load_model("inknet")
    again = bnnjax.load_model(export(network, tmp_path / "inknet.tflite", size=64))
    x = np.random.default_rng(0).random((1, 64, 64, 3), np.float32)
    (logits, taps), (other_logits, other_taps) = network(x), again(x)
    ours = [value for name, value in taps.items() if name.endswith("block1_conv")]
    theirs = [other_taps[f"conv{n}"] for n in (1, 4, 7, 11)]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(other_logits, logits, atol=CLOSE * np.abs(logits).max())


# --- the file ------------------------------------------------------------------------------


def test_a_file_that_is_read_and_written_is_the_same(converted, tmp_path):
    for name in ("int8", "operators"):
        graph = read_graph(converted(name))
        if name == "int8":
            with pytest.raises(ValueError, match="quantized"):
                write_graph(graph, description="")
            continue
        path = tmp_path / "again.tflite"
        path.write_bytes(write_graph(graph, description=""))
        again = read_graph(path)
        assert again.operators == graph.operators
        assert (again.inputs, again.outputs) == (graph.inputs, graph.outputs)
        for one, other in zip(again.tensors, graph.tensors, strict=True):
            assert (one.name, one.shape, one.dtype) == (other.name, other.shape, other.dtype)
            np.testing.assert_array_equal(one.value, other.value)


def test_operators_have_the_version_by_which_interpreters_find_them(tmp_path):
    """TensorFlow's list of versions has no BROADCAST_TO below 2, and a bias of TRANSPOSE_CONV from
    3 on."""
    import tflite

    kernel = np.ones((3, 1, 1, 3), np.float32)
    tensors = [
        Tensor("image", (1, 1, 1, 3), None),
        Tensor("shape", (4,), np.int32([1, 2, 2, 3]), dtype="int32"),
        Tensor("wide", (1, 2, 2, 3), None),
        Tensor("kernel", kernel.shape, kernel),
        Tensor("bias", (3,), np.zeros(3, np.float32)),
        Tensor("result", (1, 2, 2, 3), None),
    ]
    where = {"Padding": 1, "StrideH": 1, "StrideW": 1}
    operators = (
        Operator(0, "BROADCAST_TO", (0, 1), (2,), {}),
        Operator(1, "TRANSPOSE_CONV", (1, 3, 2, 4), (5,), where),
        Operator(2, "RELU", (5,), (5,), {}),
    )
    data = write_graph(Graph(tuple(tensors), operators, (0,), (5,)), description="")
    model = tflite.Model.GetRootAsModel(data, 0)
    codes = [model.OperatorCodes(n) for n in range(model.OperatorCodesLength())]
    assert [code.Version() for code in codes] == [2, 3, 1]


@pytest.mark.slow
def test_constants_are_aligned_for_vector_units(small_file):
    import tflite

    data = small_file.read_bytes()
    model = tflite.Model.GetRootAsModel(data, 0)
    buffers = (model.Buffers(n) for n in range(1, model.BuffersLength()))
    starts = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers]
    assert len(starts) > 20
    assert {start % 16 for start in starts} == {0}


class Plain(Tapped):
    options: Options = Options()
    num_classes: int | None = 3

    @nn.compact
    def __call__(self, x, *, train=False):
        x = QuantConv(3, 2, kernel_quantizer="ste_sign", name="conv")(x)
        return self.tap("conv", x).mean((1, 2))


def plain(array, *, prepared=normalize):
    """A network of one layer, latent with "kernel" and frozen with "words"."""
    shapes = {"kernel": (np.float32, (2, 2, 3, 3)), "words": (np.uint32, (2, 2, 1, 3))}
    dtype, shape = shapes[array]
    sizes = Sizes(takes=lambda side: side == 16, stride=16, free=False)
    entry = Entry(name="plain", build=Plain, normalize=prepared, sizes=sizes)
    params = {"conv": {array: jnp.ones(shape, dtype)}}
    return Network(Architecture(entry, Options(), 3), {"params": params}, {})


def test_the_description_states_the_input(tmp_path):
    expected = "RGB in [0, 1] * [4.36681, 4.46429, 4.44444] + [-2.1179, -2.03571, -1.80444]"
    network = plain("words")
    assert input_of(network) == f"input: {expected}"
    data = export(network, tmp_path / "plain.tflite").read_bytes()
    assert f"bnnjax: plain; input: {expected}".encode() in data
    of_caffe = plain("words", prepared=partial(bgr, mean=(104.0, 117.0, 123.0)))
    assert input_of(of_caffe) == "input: BGR in [0, 1] * [255, 255, 255] + [-104, -117, -123]"


def test_refusals(tmp_path):
    network, path = plain("words"), tmp_path / "net.tflite"
    for message, changes in {
        "needs a name that ends in .tflite": {"path": tmp_path / "net.npz"},
        "size is 32×32 px, which plain does not take": {"size": 32},
        "freeze it before exporting": {"network": plain("kernel")},
    }.items():
        with pytest.raises(ValueError, match=message):
            export(**{"network": network, "path": path, **changes})
    assert not path.exists()


def test_only_files_of_ours_are_replaced(converted, tmp_path):
    network, path = plain("words"), tmp_path / "plain.tflite"
    export(network, path)
    with pytest.raises(ValueError, match="exists; choose another name"):
        export(network, path)
    export(network, path, overwrite=True)
    theirs = converted("valid")
    before = theirs.read_bytes()
    with pytest.raises(ValueError, match="is not a network exported to TFLite"):
        export(network, theirs, overwrite=True)
    assert theirs.read_bytes() == before


def test_an_operation_without_operator_is_named(tmp_path):
    class Sorting(Tapped):
        options: Options = Options()
        num_classes: int | None = 3

        @nn.compact
        def __call__(self, x, *, train=False):
            return self.tap("sorted", jnp.sort(nn.Dense(3)(x.mean((1, 2)))))

    entry = dataclasses.replace(plain("words").entry, build=Sorting)
    params = {"Dense_0": {"kernel": jnp.ones((3, 3)), "bias": jnp.ones(3)}}
    network = Network(Architecture(entry, Options(), 3), {"params": params}, {})
    with pytest.raises(ValueError, match=r"computes 'sort', of shapes \[\[1, 3\]\]"):
        export(network, tmp_path / "sorted.tflite")
