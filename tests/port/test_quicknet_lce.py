"""QuickNet v0.2 out of a graph: a graph built here from random weights, and altered ones."""

import dataclasses

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.models.quicknet_v0 import BLOCKS
from bnnjax.port.quicknet_lce import read_variables
from bnnjax.port.tflite_graph import Graph, Operator, Tensor, read_graph

OPTIONS = {
    "padding": 1,
    "pad_values": 1,
    "fused_activation_function": 1,
    "dilation_height_factor": 1,
    "dilation_width_factor": 1,
}


def lce_filter(words):
    """Our words [kh, kw, I/32, O] (a set bit is +1) as LCE's int32 [O, kh, kw, I/32] (−1)."""
    return (~np.asarray(words)).transpose(3, 0, 1, 2).view(np.int32)


def graph_of(params):
    """What Larq Compute Engine wrote of these weights in 2020; the wiring is left out."""
    params = flatten_dict(params, sep="/")
    tensors, operators = [], []

    def add(kind, *constants, computed=1, **options):
        inputs = [-1] * computed
        for constant in constants:
            inputs.append(len(tensors))
            value = np.asarray(constant)
            tensors.append(Tensor(f"constant{len(tensors)}", value.shape, value))
        operators.append(Operator(len(operators), kind, tuple(inputs), (), options))

    def norm(name):
        add("MUL", params[f"{name}/multiplier"])
        add("ADD", params[f"{name}/bias"])

    halving = {"StrideH": 2, "StrideW": 2}
    kernel = np.moveaxis(params["stem_conv/kernel"], 3, 0)
    add("CONV_2D", kernel, np.zeros(8, np.float32), **halving)
    add(
        "DEPTHWISE_CONV_2D",
        params["stem_depthwise/kernel"].reshape(1, 3, 3, 64),  # channel · multiplier + m
        np.zeros(64, np.float32),
        DepthMultiplier=8,
        **halving,
    )
    norm("stem_norm")
    for section, count in enumerate(BLOCKS, start=1):
        for block in range(1, count + 1):
            name = f"section{section}_block{block}"
            if section > 1 and block == 1:
                add("MAX_POOL_2D", FilterHeight=2, FilterWidth=2, **halving)
                norm(f"{name}_shortcut_norm")
            words = params[f"{name}_conv/words"]
            stride = 2 if section > 1 and block == 1 else 1
            add(
                "LceBconv2d",
                lce_filter(words),
                params[f"{name}_norm/multiplier"],
                params[f"{name}_norm/bias"],
                channels_in=32 * words.shape[2],
                stride_height=stride,
                stride_width=stride,
                **OPTIONS,
            )
            add("ADD", computed=2)
    add("RESHAPE", np.array([1, 512], np.int32))
    add("FULLY_CONNECTED", np.transpose(params["dense/kernel"]), params["dense/bias"])
    add("SOFTMAX")
    return Graph(tuple(tensors), tuple(operators), (), ())


@pytest.fixture(scope="module")
def graph(quicknet):
    return graph_of(quicknet.variables["params"])


def with_operator(graph, position, **changes):
    operators = list(graph.operators)
    operators[position] = dataclasses.replace(operators[position], **changes)
    return dataclasses.replace(graph, operators=tuple(operators))


def with_constant(graph, position, slot, value):
    """The graph with another constant in an operator's input slot."""
    operator = graph.operators[position]
    inputs = list(operator.inputs)
    inputs[slot] = len(graph.tensors)
    tensors = (*graph.tensors, Tensor("other", value.shape, value))
    graph = dataclasses.replace(graph, tensors=tensors)
    return with_operator(graph, position, inputs=tuple(inputs))


def first(graph, kind):
    return next(operator.position for operator in graph.operators if operator.kind == kind)


def faults(graph, architecture):
    with pytest.raises(ValueError, match="not a QuickNet") as raised:
        read_variables(graph, architecture)
    return [line.strip() for line in str(raised.value).splitlines()[1:]]


def test_every_weight_arrives_unchanged(graph, quicknet):
    read = flatten_dict(read_variables(graph, quicknet.architecture)["params"])
    expected = flatten_dict(quicknet.variables["params"])
    assert read.keys() == expected.keys()
    for path, value in expected.items():
        assert read[path].dtype == value.dtype
        np.testing.assert_array_equal(read[path], value, str(path))


def test_a_missing_constant_is_named(graph, quicknet):
    last = first(graph, "FULLY_CONNECTED")
    shorter = with_operator(graph, last, inputs=graph.operators[last].inputs[:2])
    assert faults(shorter, quicknet.architecture) == [
        "missing: dense/bias as input 2 of a FULLY_CONNECTED"
    ]


def test_an_extra_constant_is_named(graph, quicknet):
    extra = Operator(len(graph.operators), "MUL", (-1, 0), (), {})
    longer = dataclasses.replace(graph, operators=(*graph.operators, extra))
    (fault,) = faults(longer, quicknet.architecture)
    assert fault.startswith(f"left over: operator {extra.position} (MUL), input 1")


def test_a_constant_of_another_shape_is_named_with_both_shapes(graph, quicknet):
    position = first(graph, "LceBconv2d")
    (fault,) = faults(
        with_constant(graph, position, 3, np.zeros(63, np.float32)), quicknet.architecture
    )
    assert fault.startswith("section1_block1_norm/bias: needs shape (64,)")
    assert f"operator {position} (LceBconv2d), input 3, shape (63,)" in fault


def test_a_filter_of_other_channels_is_named(graph, quicknet):
    position = first(graph, "LceBconv2d")
    words = graph.constant(graph.operators[position], 1)
    (fault,) = faults(with_constant(graph, position, 1, words[..., :1]), quicknet.architecture)
    assert fault.startswith("section1_block1_conv/words: 1 words hold at most 32 channels")


def test_a_bias_that_should_be_zero_is_refused(graph, quicknet):
    (fault,) = faults(with_constant(graph, 0, 2, np.eye(1, 8)[0]), quicknet.architecture)
    assert fault.startswith("unexpected values")
    assert "operator 0 (CONV_2D), input 2" in fault


@pytest.mark.parametrize("name", [*OPTIONS, "stride_height", "stride_width"])
def test_options_of_another_network_are_refused(graph, quicknet, name):
    position = first(graph, "LceBconv2d")
    options = {**graph.operators[position].options, name: 2}
    altered = with_operator(graph, position, options=options)
    assert faults(altered, quicknet.architecture) == [
        f"operator {position} (LceBconv2d): {name} is 2, needs 1"
    ]


def test_strides_of_another_network_are_refused(graph, quicknet):
    """The stem's, a pool's, and that of a transition, which is 2."""
    binary = [operator for operator in graph.operators if operator.kind == "LceBconv2d"]
    for operator, name in (
        (graph.operators[0], "StrideH"),
        (graph.operators[1], "StrideW"),
        (graph.operators[first(graph, "MAX_POOL_2D")], "FilterWidth"),
        (binary[BLOCKS[0]], "stride_height"),
    ):
        altered = with_operator(graph, operator.position, options={**operator.options, name: 1})
        assert faults(altered, quicknet.architecture) == [f"{operator}: {name} is 1, needs 2"]


@pytest.mark.parametrize(
    "options", [{}, OPTIONS, {**OPTIONS, "channels_in": None}], ids=["none", "others", "void"]
)
def test_a_binary_convolution_without_its_channels_is_refused(graph, quicknet, options):
    altered = with_operator(graph, first(graph, "LceBconv2d"), options=options)
    assert any("section1_block1_conv" in line for line in faults(altered, quicknet.architecture))


def test_all_faults_are_listed_at_once(graph, quicknet):
    """A missing, an extra and a misshaped constant, a wrong value and a wrong option."""
    last, binary = first(graph, "FULLY_CONNECTED"), first(graph, "LceBconv2d")
    extra = Operator(len(graph.operators), "MUL", (-1, 0, 1), (), {})
    altered = dataclasses.replace(graph, operators=(*graph.operators, extra))
    altered = with_operator(altered, last, inputs=graph.operators[last].inputs[:2])
    altered = with_constant(altered, 0, 1, np.zeros((8, 5, 5, 3), np.float32))
    altered = with_constant(altered, 1, 2, np.ones(64, np.float32))
    options = {**graph.operators[binary].options, "padding": 2}
    altered = with_operator(altered, binary, options=options)
    found = faults(altered, quicknet.architecture)
    wanted = [
        ("padding is 2, needs 1", f"operator {binary} (LceBconv2d)"),
        ("stem_conv/kernel", "needs shape (3, 3, 3, 8)", "shape (8, 5, 5, 3)"),
        ("unexpected values", "operator 1 (DEPTHWISE_CONV_2D), input 2"),
        ("expected dense/bias", f"found operator {extra.position} (MUL), input 1"),
        ("left over", f"operator {extra.position} (MUL), input 2"),
    ]
    assert len(found) == len(wanted)
    for fault, parts in zip(found, wanted, strict=True):
        assert all(part in fault for part in parts), fault


def test_a_graph_of_something_else_is_refused(quicknet):
    empty = Graph((), (), (), ())
    missing = faults(empty, quicknet.architecture)
    assert all(line.startswith("missing: ") for line in missing)
    named = [line.split()[1] for line in missing]
    weights = flatten_dict(quicknet.variables["params"], sep="/")
    assert set(weights) <= set(named)


def test_the_published_file_fills_every_weight(real_tflite, quicknet):
    read = flatten_dict(read_variables(read_graph(real_tflite), quicknet.architecture)["params"])
    expected = flatten_dict(quicknet.variables["params"])
    assert {path: value.shape for path, value in read.items()} == {
        path: value.shape for path, value in expected.items()
    }
    for path, value in read.items():
        assert np.isfinite(value.astype(np.float64)).all()
        assert np.ptp(value.astype(np.float64)) > 0, path
