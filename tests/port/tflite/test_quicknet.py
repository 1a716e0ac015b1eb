"""QuickNet v0.2 from a graph with random weights, which is built here, and from altered graphs."""

import dataclasses

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.models.quicknet_v0 import BLOCKS
from bnnjax.port.tflite.graph import Graph, Operator, Tensor, read_graph
from bnnjax.port.tflite.quicknet import read_variables

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
    """The file that Larq Compute Engine wrote in 2020 for these weights and pictures of 32 px."""
    params = flatten_dict(params, sep="/")
    tensors, operators = [Tensor("picture", (1, 32, 32, 3), None)], []

    def add(kind, *inputs, shape, **options):
        """Appends an operator on tensors (their numbers) and constants; returns its output."""
        numbers = []
        for value in inputs:
            if not isinstance(value, int):
                value = np.asarray(value)
                tensors.append(Tensor(f"constant{len(tensors)}", value.shape, value))
                value = len(tensors) - 1
            numbers.append(value)
        tensors.append(Tensor(f"result{len(tensors)}", (1, *shape), None))
        output = len(tensors) - 1
        operators.append(Operator(len(operators), kind, tuple(numbers), (output,), options))
        return output

    def norm(name, x, shape):
        x = add("MUL", x, params[f"{name}/multiplier"], shape=shape)
        return add("ADD", x, params[f"{name}/bias"], shape=shape)

    halving = {"StrideH": 2, "StrideW": 2, "Padding": 0}
    kernel = np.moveaxis(params["stem_conv/kernel"], 3, 0)
    x = add("CONV_2D", 0, kernel, np.zeros(8, np.float32), shape=(16, 16, 8), **halving)
    side, channels = 8, 64
    x = add(
        "DEPTHWISE_CONV_2D",
        x,
        params["stem_depthwise/kernel"].reshape(1, 3, 3, 64),  # channel · multiplier + m
        np.zeros(64, np.float32),
        shape=(side, side, channels),
        DepthMultiplier=8,
        FusedActivationFunction=1,
        **halving,
    )
    x = norm("stem_norm", x, (side, side, channels))
    for section, count in enumerate(BLOCKS, start=1):
        for block in range(1, count + 1):
            name = f"section{section}_block{block}"
            first = section > 1 and block == 1
            stride = 2 if first else 1
            side //= stride
            shape = (side, side, channels)
            shortcut = x
            if first:
                pool = {**halving, "Padding": 1, "FilterHeight": 2, "FilterWidth": 2}
                shortcut = norm(
                    f"{name}_shortcut_norm", add("MAX_POOL_2D", x, shape=shape, **pool), shape
                )
            deep = add(
                "LceBconv2d",
                x,
                lce_filter(params[f"{name}_conv/words"]),
                params[f"{name}_norm/multiplier"],
                params[f"{name}_norm/bias"],
                shape=shape,
                channels_in=channels,
                stride_height=stride,
                stride_width=stride,
                **OPTIONS,
            )
            relu = {"FusedActivationFunction": 1} if (section, block) == (4, BLOCKS[-1]) else {}
            x = add("ADD", deep, shortcut, shape=shape, **relu)
            if first:
                channels *= 2
                x = add("CONCATENATION", shortcut, x, shape=(side, side, channels), Axis=3)
    pool = {"FilterHeight": side, "FilterWidth": side, "StrideH": 1, "StrideW": 1, "Padding": 1}
    x = add("AVERAGE_POOL_2D", x, shape=(1, 1, 512), **pool)
    x = add("RESHAPE", x, np.array([1, 512], np.int32), shape=(512,))
    dense = np.transpose(params["dense/kernel"]), params["dense/bias"]
    x = add("FULLY_CONNECTED", x, *dense, shape=(1000,))
    x = add("SOFTMAX", x, shape=(1000,))
    return Graph(tuple(tensors), tuple(operators), (0,), (x,))


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


@pytest.mark.slow
def test_every_weight_arrives_unchanged(graph, quicknet):
    read = flatten_dict(read_variables(graph, quicknet.architecture)["params"])
    expected = flatten_dict(quicknet.variables["params"])
    assert read.keys() == expected.keys()
    for path, value in expected.items():
        assert read[path].dtype == value.dtype
        np.testing.assert_array_equal(read[path], value, str(path))


def where(graph, operator):
    return f"{operator}, which makes tensor {graph.tensors[operator.outputs[0]].name!r},"


def with_extra(graph):
    """The graph with a MUL appended."""
    last = graph.outputs[0]
    extra = Operator(len(graph.operators), "MUL", (last, last), (len(graph.tensors),), {})
    tensors = (*graph.tensors, Tensor("extra", (1, 1000), None))
    return extra, dataclasses.replace(
        graph, tensors=tensors, operators=(*graph.operators, extra), outputs=extra.outputs
    )


def test_a_missing_constant_is_named(graph, quicknet):
    dense = graph.operators[first(graph, "FULLY_CONNECTED")]
    shorter = with_operator(graph, dense.position, inputs=dense.inputs[:2])
    assert faults(shorter, quicknet.architecture) == [
        f"missing: dense/bias in {where(graph, dense)}"
    ]


def test_a_missing_operator_is_named(graph, quicknet):
    softmax = graph.operators[-1]
    shorter = dataclasses.replace(graph, operators=graph.operators[:-1], outputs=softmax.inputs)
    (fault,) = faults(shorter, quicknet.architecture)
    assert fault == "missing: a step 'softmax' at the end"


def test_an_extra_operator_is_named(graph, quicknet):
    extra, longer = with_extra(graph)
    (fault,) = faults(longer, quicknet.architecture)
    assert fault == f"left over: {where(longer, extra)} a step 'mul'"


def test_an_operator_of_another_kind_is_the_only_fault(graph, quicknet):
    position = first(graph, "MAX_POOL_2D")
    altered = with_operator(graph, position, kind="AVERAGE_POOL_2D")
    (fault,) = faults(altered, quicknet.architecture)
    assert fault == f"{where(altered, altered.operators[position])} is 'avg_pool', needs 'max_pool'"


def test_a_constant_of_another_shape_is_named_with_both_shapes(graph, quicknet):
    binary = graph.operators[first(graph, "LceBconv2d")]
    (fault,) = faults(
        with_constant(graph, binary.position, 3, np.zeros(63, np.float32)), quicknet.architecture
    )
    assert fault.startswith("section1_block1_norm/bias: has shape [63], needs [64]")
    assert where(graph, binary) in fault


def test_a_filter_of_other_channels_is_named(graph, quicknet):
    position = first(graph, "LceBconv2d")
    words = graph.constant(graph.operators[position], 1)
    found = faults(with_constant(graph, position, 1, words[..., :1]), quicknet.architecture)
    assert any("has groups 2, needs 1" in fault for fault in found)
    assert any(fault.startswith("section1_block1_conv/words: has shape") for fault in found)


def test_a_bias_that_should_be_zero_is_refused(graph, quicknet):
    eye = np.eye(1, 8, dtype=np.float32)[0]
    (fault,) = faults(with_constant(graph, 0, 2, eye), quicknet.architecture)
    assert fault == f"{where(graph, graph.operators[0])} has a bias, needs a bias of zeros"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("padding", "has padding VALID, needs SAME"),
        ("pad_values", "has pad_value 2, needs 1"),
        ("fused_activation_function", "has option 2, needs 1"),
        ("dilation_height_factor", "has dilations (2, 1), needs (1, 1)"),
        ("dilation_width_factor", "has dilations (1, 2), needs (1, 1)"),
        ("stride_height", "has strides (2, 1), needs (1, 1)"),
        ("stride_width", "has strides (1, 2), needs (1, 1)"),
    ],
)
def test_options_of_another_network_are_refused(graph, quicknet, name, fault):
    binary = graph.operators[first(graph, "LceBconv2d")]
    altered = with_operator(graph, binary.position, options={**binary.options, name: 2})
    assert faults(altered, quicknet.architecture) == [f"{where(graph, binary)} {fault}"]


@pytest.mark.slow
def test_strides_of_another_network_are_refused(graph, quicknet):
    """The strides of the stem, a pool and a transition, which is 2."""
    binary = [operator for operator in graph.operators if operator.kind == "LceBconv2d"]
    for operator, name, fault in (
        (graph.operators[0], "StrideH", "strides (1, 2), needs (2, 2)"),
        (graph.operators[1], "StrideW", "strides (2, 1), needs (2, 2)"),
        (graph.operators[first(graph, "MAX_POOL_2D")], "FilterWidth", "size (2, 1), needs (2, 2)"),
        (binary[BLOCKS[0]], "stride_height", "strides (1, 2), needs (2, 2)"),
    ):
        altered = with_operator(graph, operator.position, options={**operator.options, name: 1})
        assert faults(altered, quicknet.architecture) == [f"{where(graph, operator)} has {fault}"]


@pytest.mark.parametrize(
    "options", [{}, OPTIONS, {**OPTIONS, "channels_in": None}], ids=["none", "others", "void"]
)
def test_a_binary_convolution_without_its_channels_is_refused(graph, quicknet, options):
    binary = graph.operators[first(graph, "LceBconv2d")]
    altered = with_operator(graph, binary.position, options=options)
    with pytest.raises(ValueError, match="has options of no version of LCE") as raised:
        read_variables(altered, quicknet.architecture)
    assert str(raised.value).startswith(where(graph, binary))


def test_all_faults_are_listed_at_once(graph, quicknet):
    """A missing and a misshaped constant, an extra operator, a wrong value and a wrong option."""
    dense = graph.operators[first(graph, "FULLY_CONNECTED")]
    binary = graph.operators[first(graph, "LceBconv2d")]
    extra, altered = with_extra(graph)
    altered = with_operator(altered, dense.position, inputs=dense.inputs[:2])
    altered = with_constant(altered, 0, 1, np.zeros((8, 5, 5, 3), np.float32))
    altered = with_constant(altered, 1, 2, np.ones(64, np.float32))
    options = {**binary.options, "padding": 2}
    altered = with_operator(altered, binary.position, options=options)
    found = faults(altered, quicknet.architecture)
    wanted = [
        ("has size (5, 5), needs (3, 3)", "operator 0 (CONV_2D)"),
        ("stem_conv/kernel: has shape [5, 5, 3, 8], needs [3, 3, 3, 8]", "operator 0 (CONV_2D)"),
        ("needs a bias of zeros", "operator 1 (DEPTHWISE_CONV_2D)"),
        ("has padding VALID, needs SAME", f"{binary}"),
        ("missing: dense/bias", f"{dense}"),
        ("left over", f"{extra}"),
    ]
    assert len(found) == len(wanted)
    for fault, parts in zip(found, wanted, strict=True):
        assert all(part in fault for part in parts), fault


def test_an_empty_graph_lacks_every_weight(quicknet):
    empty = Graph((Tensor("picture", (1, 32, 32, 3), None),), (), (0,), (0,))
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
