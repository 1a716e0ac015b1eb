"""Networks from .tflite files against the interpreter of Larq Compute Engine and TensorFlow's
gradients (tests/reference/lce.py), and QuickNet v0.2 against its own module."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bnnjax
from bnnjax.binary.backend import using
from bnnjax.models.network import Architecture
from bnnjax.port.program import program, weightless
from bnnjax.port.tflite import network as graph_network
from bnnjax.port.tflite.graph import Graph, Operator, Tensor, read_graph

pytest.importorskip("tflite")

ANSWERS = Path(__file__).parents[2] / "reference" / "lce.npz"
CLIP, CLIPS = 1.25, {"densenet": 1.3}  # of the converted networks
# Sums of floats in another order, relative to the largest value. No value is so near 0.
ROUNDING = 1e-5
FLOAT_NETWORKS = (
    "quicknet",
    "resnet_e",
    "densenet",
    "kernel=1",
    "kernel=5x2",
    "zeros",
    "ones",
    "valid",
    "dilated",
    "dilated_ones",
    "picture",
    "operators",
)
OTHERS = ("birealnet", "groups", "sequential", "packed_pool")


class Reference(NamedTuple):
    network: bnnjax.Network
    graph: Graph
    answers: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def reference(tmp_path_factory, draws):
    """A function name → that network as we read it, and the results of LCE and TensorFlow."""
    folder = tmp_path_factory.mktemp("lce")
    archive = np.load(ANSWERS)

    def of(name):
        keys = [key for key in archive.files if key.startswith(f"{name} ")]
        answers = {key.removeprefix(f"{name} "): archive[key] for key in keys}
        path = folder / f"{name}.tflite"
        path.write_bytes(answers.pop("file").tobytes())
        # Both are exact; the dense arithmetic compiles sooner, but its gradients are bfloat16.
        backend = "packed" if name in (*FLOAT_NETWORKS, "groups") else "dense"
        graph = read_graph(path)
        answers["x"] = draws.picture_for(name, graph.tensors[graph.inputs[0]].shape[1:3])
        clip = CLIPS.get(name, CLIP)
        options = {"clip": clip, "gradient_dtype": "float32", "backend": backend}
        return Reference(bnnjax.load_model(path).with_options(**options), graph, answers)

    return of


def logits_of(reference, x):
    """Of a normalised picture."""
    network = reference.network
    with using(network.architecture.options.arithmetic):
        return network.architecture.module.apply(network.variables, x)


def as_the_file_ends(reference, logits):
    """Probabilities, if its graph makes them."""
    softmax = reference.graph.operators[-1].kind == "SOFTMAX"
    return jax.nn.softmax(logits) if softmax else logits


def assert_close(found, expected, tolerance=ROUNDING):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOAT_NETWORKS)
def test_results_and_gradients_are_those_of_larq(reference, name):
    case = reference(name)

    @jax.jit
    def logits_and_gradient(x, cotangent):
        logits, pull_back = jax.vjp(lambda x: logits_of(case, x), x)
        return logits, pull_back(cotangent)[0]

    answers = case.answers
    logits, of_x = logits_and_gradient(answers["x"], answers["cotangent"])
    assert_close(logits, answers["logits"])
    assert_close(as_the_file_ends(case, logits), answers["y"])
    assert_close(of_x, answers["of_x"])


@pytest.mark.slow
def test_replacing_a_tap_by_itself_changes_nothing_and_by_zeros_does(reference):
    case = reference("quicknet")
    network, x = case.network, case.answers["x"]
    module, variables = network.architecture.module, network.variables
    logits, state = module.apply(variables, x, mutable=["taps"])
    for name in ("stem", "stage1"):
        value = state["taps"][name]
        same = module.apply({**variables, "replaced": {name: value}}, 0 * x)
        np.testing.assert_allclose(same, logits, rtol=1e-5, atol=1e-5)
        zeros = {**variables, "replaced": {name: 0 * value}}
        assert abs(module.apply(zeros, x) - logits).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_results_are_those_of_larq(reference, name):
    case = reference(name)
    logits = jax.jit(lambda x: logits_of(case, x))(case.answers["x"])
    assert_close(logits, case.answers["logits"])
    assert_close(as_the_file_ends(case, logits), case.answers["y"])


@pytest.mark.slow
def test_rounded_networks_are_a_step_apart(reference):
    """LCE rounds integer sums in fixed-point arithmetic; we round the numbers that they represent.
    So a result near a tie may differ by one step of its grid."""
    case = reference("int8")
    grid = case.graph.tensors[case.graph.outputs[0]].quantization
    found = np.asarray(jax.jit(lambda x: logits_of(case, x))(case.answers["x"]))
    steps = found / grid.scale[0] + grid.zero_point[0]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert abs(np.round(steps) - case.answers["y"]).max() <= 1
    assert np.ptp(case.answers["y"].astype(int)) > 10


@pytest.mark.slow
def test_the_converter_wrote_what_the_cases_are_for(reference):
    """Packed results, and max-pools of packed tensors."""
    kinds = {op.kind for op in reference("packed_pool").graph.operators}
    assert "LceBMaxPool2d" in kinds
    graph = reference("sequential").graph
    packed = [op for op in graph.operators if op.kind == "LceBconv2d" and op.inputs[4] >= 0]
    assert len(packed) == 2


# --- gradients through packed tensors --------------------------------------------------


@pytest.mark.slow
def test_packed_tensors_pass_a_gradient(reference):
    """Thresholds contain no scale; its replacement passes gradients of every sign channel."""
    case = reference("sequential")
    gradient = jax.jit(jax.grad(lambda x: logits_of(case, x)[0, 0]))(case.answers["x"])
    assert np.isfinite(gradient).all()
    assert (abs(gradient) > 0).mean() > 0.2


@pytest.mark.slow
def test_rounding_passes_the_gradient_within_its_range():
    grid = program.Grid(0.5, 3, -128, 127)
    x = jnp.array([-100.0, -65.4, -0.3, 0.25, 0.74, 61.9, 70.0])
    rounded, slope = jax.vmap(jax.value_and_grad(lambda v: weightless.round_to(grid, v)))(x)
    np.testing.assert_array_equal(rounded, [-65.5, -65.5, -0.5, 0.5, 0.5, 62.0, 62.0])
    np.testing.assert_array_equal(slope, [0, 1, 1, 1, 1, 1, 0])


# --- taps, sizes -----------------------------------------------------------------------


@pytest.mark.slow
def test_taps_are_named_by_what_they_are(reference):
    """The taps of a QuickNet of five blocks with one transition, from 32 to 64 channels."""
    network = reference("quicknet").network
    entry = network.entry
    names = [tap for tap in network.taps if not tap.startswith(("conv", "add"))]
    assert names == ["stem1", "stem2", "stem3", "stem", "stage1", "stage2"]
    assert sum(tap.startswith("conv") for tap in network.taps) == 5
    assert sum(tap.startswith("add") for tap in network.taps) == 5
    # ``stem`` is the same as stem3 and does not count twice.
    assert entry.style.style_taps == ("stem1", "stem2", "stem3", "stage1")
    assert entry.style.content_taps == ("stage1",)
    assert (entry.sizes.stride, entry.card.num_classes, entry.sizes.free) == (8, 10, True)
    taps = jax.eval_shape(network.apply, network.variables, jnp.zeros((2, 64, 96, 3)))[1]
    assert taps["stem1"].shape == (2, 32, 48, 8)
    assert taps["stem"].shape == taps["stage1"].shape == (2, 16, 24, 32)
    assert taps["stage2"].shape == (2, 8, 12, 64)


@pytest.mark.slow
def test_ends_of_stages_are_sums_or_concatenations(reference):
    for name, join in (("resnet_e", "add"), ("densenet", "concat")):
        entry = reference(name).network.entry
        taps = dict(entry.build.program.taps)
        joins = {value for tap, value in taps.items() if tap.startswith(join)}
        stages = [value for tap, value in taps.items() if tap.startswith("stage")]
        assert len(stages) == 4
        assert set(stages) <= joins
        assert entry.style.content_taps == ("stage3",)  # at a sixteenth of the size
        assert entry.style.style_taps[-3:] == ("stage1", "stage2", "stage3")


def test_sums_are_integers_over_all_products(reference):
    case = reference("zeros")
    taps = jax.jit(case.network.apply)(case.network.variables, np.full((1, 16, 14, 3), 0.5))[1]
    sums = np.asarray(taps["conv1"])
    assert sums.shape == (1, 8, 7, 32)
    np.testing.assert_array_equal(sums, np.round(sums))
    assert abs(sums).max() <= 9 * 72
    assert sums.std() > 1


@pytest.mark.slow
def test_a_flattened_map_has_taps_at_any_size_and_logits_at_its_own(reference):
    network = reference("sequential").network
    assert network.entry.sizes.free
    assert network.entry.sizes.smallest == (17, 19)
    for height, width, has_logits in ((17, 19, True), (40, 32, False), (31, 17, False)):
        picture = jnp.full((2, height, width, 3), 0.5)
        logits, taps = jax.eval_shape(network.apply, network.variables, picture)
        assert (logits.shape == (2, 7)) if has_logits else logits is None
        assert set(taps) == set(network.taps)
        assert {tap.shape[0] for tap in taps.values()} == {2}
    names = ["/".join(path) for path in network.architecture.layers()]
    assert (names[0], names[-1]) == ("float_conv1", "dense1")


@pytest.mark.slow
def test_taps_of_a_larger_picture_begin_with_those_of_the_smaller(reference):
    """Convolutions are local, so the upper left corner does not see the rest."""
    network = reference("sequential").network
    apply = jax.jit(network.apply)
    large = np.random.default_rng(0).uniform(size=(1, 33, 35, 3)).astype(np.float32)
    (logits, of_large), (_, of_small) = (
        apply(network.variables, picture) for picture in (large, large[:, :17, :19])
    )
    assert logits is None
    assert of_large["conv1"].std() > 1
    np.testing.assert_array_equal(of_large["conv1"][:, :4, :4], of_small["conv1"][:, :4, :4])


def test_a_map_that_fits_one_size_only_fixes_the_size():
    """A sum with a constant map; height and width are not exchanged."""
    constant = Tensor("constant", (1, 8, 6, 3), np.ones((1, 8, 6, 3), np.float32))
    sums = Operator(0, "ADD", (0, 4), (1,), {}), Operator(1, "ADD", (1, 0), (2,), {})
    graph = graph_of(*sums, tensors=(constant,))
    tensors = [dataclasses.replace(tensor, shape=(1, 8, 6, 3)) for tensor in graph.tensors]
    graph = dataclasses.replace(graph, tensors=tuple(tensors))
    entry, variables = graph_network.network_of(graph, "fixed")
    network = bnnjax.Network(Architecture.published(entry), variables, {})
    assert not network.entry.sizes.free
    _, taps = network.apply(network.variables, jnp.zeros((1, 8, 6, 3)))
    assert taps["add1"].shape == (1, 8, 6, 3)
    for height, width in ((6, 8), (8, 8), (16, 12)):
        message = rf"images are {height}×{width} px, .*; it takes 8×6 px only$"
        with pytest.raises(ValueError, match=message):
            network.apply(network.variables, jnp.zeros((1, height, width, 3)))


@pytest.mark.parametrize("reshaped", [True, False])
def test_height_and_width_of_a_flattened_map_are_not_exchanged(reshaped):
    """The exchanged map has as many values, in an order that the dense layer does not know."""
    steps = [Operator(0, "ADD", (0, 0), (1,), {})]
    if reshaped:
        steps.append(Operator(1, "RESHAPE", (1, 5), (2,), {}))
    steps.append(Operator(len(steps), "FULLY_CONNECTED", (len(steps), 4), (len(steps) + 1,), {}))
    kernel = np.ones((7, 8 * 6 * 3), np.float32)
    constants = Tensor("kernel", kernel.shape, kernel), Tensor("shape", (2,), np.array([1, -1]))
    graph = graph_of(*steps, tensors=constants)
    sizes = [(1, 8, 6, 3), (1, 8, 6, 3), (1, 144) if reshaped else (1, 7), (1, 7)]
    tensors = [Tensor(f"t{n}", shape, None) for n, shape in enumerate(sizes)]
    graph = dataclasses.replace(graph, tensors=(*tensors, *constants))
    entry, variables = graph_network.network_of(graph, "flattened")
    network = bnnjax.Network(Architecture.published(entry), variables, {})
    ones = jnp.ones((2, 8, 6, 3))
    logits, _ = network.apply(network.variables, ones)
    expected = 2 * network.entry.normalize(ones).sum((1, 2, 3))
    np.testing.assert_allclose(logits, np.tile(expected[:, None], 7), rtol=1e-5)
    logits, taps = network.apply(network.variables, jnp.ones((2, 6, 8, 3)))
    assert logits is None
    assert taps["add1"].shape == (2, 6, 8, 3)


def test_a_classifier_that_does_not_fit_its_own_file_is_refused():
    """Its size is that of the file, at which there must be logits."""
    kernel = Tensor("kernel", (7, 5), np.ones((7, 5), np.float32))
    graph = graph_of(
        Operator(0, "RELU", (0,), (1,), {}),
        Operator(1, "FULLY_CONNECTED", (1, 4), (2,), {}),
        tensors=(kernel,),
    )
    tensors = [*graph.tensors[:2], Tensor("logits", (1, 7), None), *graph.tensors[3:]]
    graph = dataclasses.replace(graph, tensors=tuple(tensors))
    with pytest.raises(ValueError, match="dense layer needs 5 values per picture and gets 192"):
        graph_network.network_of(graph, "name")


def test_all_taps_are_maps(reference):
    """Its only concatenation joins means [N, C]."""
    network = reference("ones").network
    assert "conv1" in network.taps
    _, taps = jax.eval_shape(network.apply, network.variables, jnp.zeros((1, 16, 14, 3)))
    assert {len(tap.shape) for tap in taps.values()} == {4}


@pytest.mark.slow
def test_pictures_of_a_batch_are_independent(reference):
    case = reference("operators")
    apply = jax.jit(lambda x: logits_of(case, x))
    one = np.asarray(apply(case.answers["x"]))
    two = np.asarray(apply(np.concatenate([case.answers["x"], case.answers["x"][:, ::-1]])))
    assert two.shape == (2, 7)
    assert_close(two[:1], one)
    assert abs(two[1] - two[0]).max() > 1e-3


# --- bad input -------------------------------------------------------------------------


def graph_of(*operators, tensors=()):
    first = Tensor("picture", (1, 8, 8, 3), None)
    rest = [Tensor(f"t{i}", (1, 8, 8, 3), None) for i in range(1, 4)]
    return Graph((first, *rest, *tensors), operators, (0,), (len(operators),))


def test_an_unknown_operator_is_named_with_its_place():
    known = Operator(0, "RELU", (0,), (1,), {})
    unknown = Operator(1, "GATHER", (1,), (2,), {})
    message = r"^operator 1 \(GATHER\), which makes tensor 't2', is not supported$"
    with pytest.raises(ValueError, match=message):
        graph_network.network_of(graph_of(known, unknown), "name")


def test_a_shape_that_the_file_does_not_state_is_named():
    pool = {"StrideH": 2, "StrideW": 2, "Padding": 0, "FilterHeight": 2, "FilterWidth": 2}
    graph = graph_of(Operator(0, "MAX_POOL_2D", (0,), (1,), pool))
    message = r"operator 0 \(MAX_POOL_2D\), .* has the shape \[1, 8, 8, 3\], not \[1, 4, 4, 3\]"
    with pytest.raises(ValueError, match=message):
        graph_network.network_of(graph, "name")


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (1, 8), (8, 8, 3)])
def test_other_inputs_are_refused(shape):
    graph = graph_of(Operator(0, "RELU", (0,), (1,), {}))
    first = dataclasses.replace(graph.tensors[0], shape=shape)
    altered = dataclasses.replace(graph, tensors=(first, *graph.tensors[1:]))
    with pytest.raises(ValueError, match=r"needs a single one \[1, h, w, 3\]"):
        graph_network.network_of(altered, "name")


def test_preprocessing_is_chosen_by_name(reference, tmp_path):
    case = reference("ones")
    path = tmp_path / "network.tflite"
    path.write_bytes(np.load(ANSWERS)["ones file"].tobytes())
    assert bnnjax.load_model(path, preprocessing="bytes").entry.normalize(2.0) == 510
    assert case.network.entry.normalize(jnp.full(3, 0.5)).shape == (3,)
    with pytest.raises(ValueError, match="preprocessing is 'zoo', needs one of"):
        bnnjax.load_model(path, preprocessing="zoo")


@pytest.mark.slow
def test_altered_bytes_end_in_a_network_or_one_line(tmp_path):
    """Tables, options and shapes are made of small numbers."""
    content = np.load(ANSWERS)["ones file"].tobytes()
    path, rng, refusals = tmp_path / "damaged.tflite", np.random.default_rng(0), []
    for _ in range(25):
        altered = np.frombuffer(content, np.uint8).copy()
        small = np.flatnonzero(altered < 32)
        altered[rng.choice(small, 5)] = rng.choice([0, 1, 2, 4, 127, 128, 255], 5)
        path.write_bytes(altered.tobytes())
        try:
            graph_network.load_graph(path)
        except ValueError as error:
            refusals.append(str(error))
    assert refusals
    assert all(refusal.startswith(f"{path}: ") for refusal in refusals)
    assert all(len(refusal.splitlines()) == 1 for refusal in refusals)


DAMAGED = {
    "an operator without results": Operator(0, "RELU", (0,), (), {}),
    "an operator of a tensor that is not there": Operator(0, "RELU", (99,), (1,), {}),
    "an operator that folds what it lacks": Operator(0, "ADD", (4,), (1,), {}),
    "a result that is its own input": Operator(0, "DEQUANTIZE", (3,), (3,), {}),
}


@pytest.mark.parametrize("fault", DAMAGED)
def test_damaged_graphs_are_refused_in_one_line(fault, tmp_path, monkeypatch):
    path = tmp_path / "network.tflite"
    path.write_bytes(b"")
    graph = graph_of(DAMAGED[fault], tensors=(Tensor("c", (1,), np.ones(1, np.float32)),))
    tensors = (*graph.tensors[:3], Tensor("t3", (1, 8), None), *graph.tensors[4:])
    graph = dataclasses.replace(graph, tensors=tensors, outputs=(3,))
    monkeypatch.setattr(graph_network, "read_graph", lambda path: graph)
    with pytest.raises(ValueError, match=r"^\S*network\.tflite: .+") as refusal:
        graph_network.load_graph(path)
    assert len(str(refusal.value).splitlines()) == 1


def test_numbers_are_packed_along_the_first_axis_only():
    shape = Operator(0, "SHAPE", (0,), (1,), {})
    pack = Operator(1, "PACK", (1, 1), (2,), {"Axis": 1})
    with pytest.raises(ValueError, match=r"operator 1 \(PACK\), .* packs along axis 1, not 0"):
        graph_network.network_of(graph_of(shape, pack), "name")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.tflite: no such file"):
        bnnjax.load_model(tmp_path / "none.tflite")


def test_the_same_file_read_again_is_the_same_architecture(reference):
    """Equal architectures are not compiled again."""
    first, second = (reference("ones").network.architecture for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)


# --- QuickNet v0.2 both ways -----------------------------------------------------------


@pytest.mark.slow
def test_the_published_file_agrees_with_its_own_module(real_tflite, real_quicknet):
    """The integers are equal operator by operator; only the names of the taps differ."""
    general = bnnjax.load_model(real_tflite).with_options(clip=CLIP, backend="dense")
    registry = real_quicknet.with_options(backend="dense")
    names = {"stem1": "stem_conv", "stem2": "stem_depthwise", "stem": "stem"}
    names |= {f"stage{n}": f"section{n}" for n in (1, 2, 3, 4)}
    sums = [tap for tap in registry.taps if tap.endswith("_conv") and tap != "stem_conv"]
    names |= {f"conv{n}": tap for n, tap in enumerate(sums, start=1)}
    pictures = np.random.default_rng(0).uniform(size=(1, 32, 64, 3)).astype(np.float32)

    def compare(network):
        def taps_and_loss(pictures):
            _, taps = network.apply(network.variables, pictures)
            weights = [taps[tap] for tap in network.entry.style.style_taps]
            return sum(
                jnp.sum(tap * jnp.cos(jnp.arange(tap.size)).reshape(tap.shape)) for tap in weights
            ), taps

        with jax.disable_jit():  # nothing is fused, so no float sum is ordered anew
            (_, taps), gradient = jax.value_and_grad(taps_and_loss, has_aux=True)(pictures)
        return taps, gradient

    (found, found_gradient), (expected, gradient) = compare(general), compare(registry)
    for name, registered in names.items():
        exact = name.startswith("conv")
        assert_close(found[name], np.asarray(expected[registered]), 0 if exact else 1e-6)
    assert_close(found_gradient, np.asarray(gradient), 1e-6)
    assert len(general.entry.style.style_taps) == len(registry.entry.style.style_taps) == 6


@pytest.mark.slow
def test_shortcuts_of_a_file_cannot_be_scaled(reference):
    """It has additions, but does not say which summand is the shortcut."""
    network = reference("resnet_e").network.with_options(residual_scale=0.5)
    with pytest.raises(ValueError, match=r"residual_scale is 0\.5, but the graph of a file"):
        network.apply(network.variables, jnp.zeros((1, *network.entry.sizes.smallest, 3)))
