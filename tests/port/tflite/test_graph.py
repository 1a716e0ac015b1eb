"""Reading .tflite files: one built here, the published one, and damaged ones."""

import dataclasses
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnjax.port.tflite.graph import Graph, Operator, Tensor, read_graph

flatbuffers = pytest.importorskip("flatbuffers")
tflite = pytest.importorskip("tflite")

FILTER = np.array([[[[-7]]], [[[2**31 - 1]]]], np.int32)  # [O, kh, kw, words]
SCALE = np.array([0.5, -2.0], np.float32)
TENSORS = [  # name, shape, type of the schema, constant
    ("pictures", (1, 8, 8, 3), tflite.TensorType.FLOAT32, None),
    ("filter", FILTER.shape, tflite.TensorType.INT32, FILTER),
    ("sums", (1, 8, 8, 2), tflite.TensorType.FLOAT32, None),
    ("scale", (2,), tflite.TensorType.FLOAT32, SCALE),
    ("result", (1, 8, 8, 2), tflite.TensorType.FLOAT32, None),
]
CUSTOM_OPTIONS = {"channels_in": 3, "padding": 1, "pad_values": 1}


def built(tensors=TENSORS):
    """The bytes of a network of two operators: a custom one without its last input, and a MUL."""
    builder = flatbuffers.Builder(1024)
    buffers = [b"", *(value.tobytes() for *_, value in tensors if value is not None)]
    numbers = iter(range(1, len(buffers)))
    data = [builder.CreateByteVector(content) if content else None for content in buffers]
    offsets = []
    for content in data:
        tflite.BufferStart(builder)
        if content is not None:
            tflite.BufferAddData(builder, content)
        offsets.append(tflite.BufferEnd(builder))
    all_buffers = vector(builder, tflite.ModelStartBuffersVector, offsets)

    offsets = []
    for name, shape, kind, value in tensors:
        text = builder.CreateString(name)
        sides = builder.CreateNumpyVector(np.array(shape, np.int32))
        tflite.TensorStart(builder)
        tflite.TensorAddName(builder, text)
        tflite.TensorAddShape(builder, sides)
        tflite.TensorAddType(builder, kind)
        tflite.TensorAddBuffer(builder, 0 if value is None else next(numbers))
        offsets.append(tflite.TensorEnd(builder))
    all_tensors = vector(builder, tflite.SubGraphStartTensorsVector, offsets)

    operators = [custom_operator(builder), mul_operator(builder)]
    all_operators = vector(builder, tflite.SubGraphStartOperatorsVector, operators)
    inputs = builder.CreateNumpyVector(np.array([0], np.int32))
    outputs = builder.CreateNumpyVector(np.array([4], np.int32))
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, all_tensors)
    tflite.SubGraphAddOperators(builder, all_operators)
    tflite.SubGraphAddInputs(builder, inputs)
    tflite.SubGraphAddOutputs(builder, outputs)
    graph = tflite.SubGraphEnd(builder)
    graphs = vector(builder, tflite.ModelStartSubgraphsVector, [graph])

    custom = builder.CreateString("LceBconv2d")
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, tflite.BuiltinOperator.CUSTOM)
    tflite.OperatorCodeAddCustomCode(builder, custom)
    codes = [tflite.OperatorCodeEnd(builder)]
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, tflite.BuiltinOperator.MUL)
    codes.append(tflite.OperatorCodeEnd(builder))
    all_codes = vector(builder, tflite.ModelStartOperatorCodesVector, codes)

    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, 3)
    tflite.ModelAddOperatorCodes(builder, all_codes)
    tflite.ModelAddSubgraphs(builder, graphs)
    tflite.ModelAddBuffers(builder, all_buffers)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


def vector(builder, start, offsets):
    start(builder, len(offsets))
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def custom_operator(builder):
    from flatbuffers import flexbuffers

    flex = flexbuffers.Builder()
    with flex.Map():
        for name, value in CUSTOM_OPTIONS.items():
            flex.Key(name)
            flex.Int(value)
    options = builder.CreateByteVector(bytes(flex.Finish()))
    inputs = builder.CreateNumpyVector(np.array([0, 1, -1], np.int32))
    outputs = builder.CreateNumpyVector(np.array([2], np.int32))
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, 0)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    tflite.OperatorAddCustomOptions(builder, options)
    return tflite.OperatorEnd(builder)


def mul_operator(builder):
    tflite.MulOptionsStart(builder)
    tflite.MulOptionsAddFusedActivationFunction(builder, tflite.ActivationFunctionType.RELU6)
    options = tflite.MulOptionsEnd(builder)
    inputs = builder.CreateNumpyVector(np.array([2, 3], np.int32))
    outputs = builder.CreateNumpyVector(np.array([4], np.int32))
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, 1)
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    tflite.OperatorAddBuiltinOptionsType(builder, tflite.BuiltinOptions.MulOptions)
    tflite.OperatorAddBuiltinOptions(builder, options)
    return tflite.OperatorEnd(builder)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A file that every example overwrites."""
    return tmp_path_factory.mktemp("tflite") / "network.tflite"


def read(scratch, content):
    scratch.write_bytes(content)
    return read_graph(scratch)


def graph_or_refusal(path):
    """The graph, or None after a single line that names the file; any other error fails."""
    try:
        return read_graph(path)
    except ValueError as error:
        refusal = str(error)
    assert refusal.startswith(f"{path}: ")
    assert len(refusal.splitlines()) == 1
    return None


def test_a_file_is_read_as_it_was_written(scratch):
    graph = read(scratch, built())
    assert [(tensor.name, tensor.shape) for tensor in graph.tensors] == [
        (name, shape) for name, shape, *_ in TENSORS
    ]
    for tensor, (*_, value) in zip(graph.tensors, TENSORS, strict=True):
        if value is None:
            assert tensor.value is None
        else:
            assert tensor.value.dtype == value.dtype
            np.testing.assert_array_equal(tensor.value, value)
    custom, mul = graph.operators
    assert (custom.position, custom.kind) == (0, "LceBconv2d")
    assert (custom.inputs, custom.outputs) == ((0, 1, -1), (2,))
    assert custom.options == CUSTOM_OPTIONS
    assert (mul.position, mul.kind) == (1, "MUL")
    assert (mul.inputs, mul.outputs) == ((2, 3), (4,))
    assert mul.options == {"FusedActivationFunction": tflite.ActivationFunctionType.RELU6}
    assert (graph.inputs, graph.outputs) == ((0,), (4,))


def test_constants_are_found_by_their_slot():
    value = np.ones(2, np.float32)
    tensors = (Tensor("x", (2,), None), Tensor("y", (2,), value))
    operator = Operator(3, "MUL", (0, 1, -1), (2,), {})
    graph = Graph(tensors, (operator,), (0,), (2,))
    assert [graph.constant(operator, slot) is value for slot in range(4)] == [0, 1, 0, 0]
    assert [graph.constant(operator, slot) is None for slot in range(4)] == [1, 0, 1, 1]
    assert str(operator) == "operator 3 (MUL)"


def test_every_truncation_is_refused_or_harmless(scratch):
    content = built()
    whole = read(scratch, content)
    for length in range(len(content)):
        scratch.write_bytes(content[:length])
        graph = graph_or_refusal(scratch)
        assert graph is None or same(graph, whole), f"first {length} bytes"


def same(a, b):
    constants = [
        [None if tensor.value is None else tensor.value.tobytes() for tensor in graph.tensors]
        for graph in (a, b)
    ]
    bare = [
        dataclasses.replace(
            graph, tensors=tuple(dataclasses.replace(t, value=None) for t in graph.tensors)
        )
        for graph in (a, b)
    ]
    return constants[0] == constants[1] and bare[0] == bare[1]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_altered_bytes_end_in_a_graph_or_one_line(scratch, data):
    content = bytearray(built())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    scratch.write_bytes(content)
    graph_or_refusal(scratch)


@settings(max_examples=50, deadline=None)
@given(content=st.binary(max_size=200))
def test_whatever_follows_the_mark_ends_in_one_line(scratch, content):
    scratch.write_bytes(content[:4].ljust(4, b"\0") + b"TFL3" + content[4:])
    graph_or_refusal(scratch)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"1234TFL", b"\x89PNG\r\n\x1a\n", b"a b c d e"])
def test_other_files_are_refused(scratch, content):
    with pytest.raises(ValueError, match=r"network\.tflite: not a \.tflite file"):
        read(scratch, content)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"^\S*none\.tflite: No such file"):
        read_graph(tmp_path / "none.tflite")
    with pytest.raises(ValueError, match="Is a directory"):
        read_graph(tmp_path)


def test_a_constant_that_does_not_fill_its_shape_is_named(scratch):
    tensors = [*TENSORS[:3], ("short", (3,), tflite.TensorType.FLOAT32, SCALE), TENSORS[4]]
    with pytest.raises(ValueError, match=r"network\.tflite: tensor 'short' has 2 values"):
        read(scratch, built(tensors))


def test_a_type_that_is_not_read_is_named(scratch):
    tensors = [*TENSORS[:3], ("half", (4,), tflite.TensorType.FLOAT16, SCALE), TENSORS[4]]
    with pytest.raises(ValueError, match=r"network\.tflite: tensor 'half' has TFLite type 1"):
        read(scratch, built(tensors))


def test_without_the_extra_one_line_says_what_to_install(scratch, monkeypatch):
    scratch.write_bytes(built())
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'bnnjax\[port\]'"):
        read_graph(scratch)


# --- the published file --------------------------------------------------------------------


@pytest.fixture(scope="module")
def published(real_tflite):
    return read_graph(real_tflite)


def test_the_published_network_has_its_operators(published):
    kinds = [operator.kind for operator in published.operators]
    assert len(kinds) == 46
    assert [operator.position for operator in published.operators] == list(range(46))
    assert kinds.count("LceBconv2d") == 13
    assert kinds[:2] == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert kinds[-2:] == ["FULLY_CONNECTED", "SOFTMAX"]
    assert published.tensors[published.inputs[0]].shape == (1, 224, 224, 3)
    assert published.tensors[published.outputs[0]].shape == (1, 1000)


def test_the_published_filters_are_words_of_32_channels(published):
    for operator in published.operators:
        if operator.kind == "LceBconv2d":
            channels = operator.options["channels_in"]
            words = published.constant(operator, 1)
            assert words.dtype == np.int32
            assert words.shape == (channels, 3, 3, channels // 32)
            for slot in (2, 3):  # multiplier and bias of the batch norm
                assert published.constant(operator, slot).shape == (channels,)


def test_the_published_file_cut_short_is_refused(real_tflite, scratch):
    content = real_tflite.read_bytes()
    cuts = [*range(0, 200, 8), *range(300, len(content) - 200, len(content) // 60)]
    for length in [*cuts, len(content) - 100, len(content) - 40]:
        scratch.write_bytes(content[:length])
        assert graph_or_refusal(scratch) is None, f"first {length} bytes"


@pytest.mark.slow
def test_the_published_file_with_altered_bytes_ends_in_a_graph_or_one_line(real_tflite, scratch):
    content = real_tflite.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):  # the tables of operators and tensors fill the first 10 kB
        altered = bytearray(content)
        altered[rng.integers(10_000)] = rng.choice([0, 1, 127, 128, 255])
        scratch.write_bytes(altered)
        graph_or_refusal(scratch)
