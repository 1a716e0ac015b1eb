"""Writes a graph as a ``.tflite`` flatbuffer, the inverse of `bnnjax.port.tflite.graph.read_graph`.

This needs the extra ``port``. Custom operators get their options as a FlexBuffer map.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bnnjax.port.tflite.graph import DTYPES, OPTION_TABLES, Graph, Operator, Tensor, import_tflite

_TABLES = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "CONV_3D": "Conv3DOptions",
    "CONV_3D_TRANSPOSE": "Conv3DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "BATCH_MATMUL": "BatchMatMulOptions",
    "GELU": "GeluOptions",
    "CONCATENATION": "ConcatenationOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
}
_VERSIONS = {"BROADCAST_TO": 2, "TRANSPOSE_CONV": 3}  # by which interpreters find operators; or 1
_SCHEMA = 3  # the only version that there is
_ALIGNMENT = 16  # bytes, of constants
_IN_A_BYTE = 127  # operators beyond it have their number in a second field only


def write_graph(graph: Graph, *, description: str) -> bytes:
    """The bytes of a file with a single subgraph of float32 and int32 tensors.

    Raises:
      ValueError: a tensor is quantized, or the file would exceed the 2 GiB of a flatbuffer.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    tflite = import_tflite()
    import flatbuffers

    if any(tensor.quantization is not None for tensor in graph.tensors):
        raise ValueError("a graph of quantized tensors cannot be written")
    if sum(t.value.nbytes for t in graph.tensors if t.value is not None) >= 2**31 - 2**20:
        raise ValueError("the network's weights exceed the 2 GiB that a .tflite file can hold")
    builder = flatbuffers.Builder(1 << 20)
    tensors = _Tensors(tflite, builder)
    tensor_vector = _vector(builder, [tensors.write(tensor) for tensor in graph.tensors])
    kinds = list(dict.fromkeys(operator.kind for operator in graph.operators))
    operators = [_operator(tflite, builder, each, kinds) for each in graph.operators]
    ends = [_numbers(builder, each) for each in (graph.inputs, graph.outputs)]
    operator_vector = _vector(builder, operators)
    tflite.SubGraphStart(builder)
    tflite.SubGraphAddTensors(builder, tensor_vector)
    tflite.SubGraphAddInputs(builder, ends[0])
    tflite.SubGraphAddOutputs(builder, ends[1])
    tflite.SubGraphAddOperators(builder, operator_vector)
    subgraphs = _vector(builder, [tflite.SubGraphEnd(builder)])
    codes = _vector(builder, [_code(tflite, builder, kind) for kind in kinds])
    buffers, text = _vector(builder, tensors.buffers), builder.CreateString(description)
    tflite.ModelStart(builder)
    tflite.ModelAddVersion(builder, _SCHEMA)
    tflite.ModelAddOperatorCodes(builder, codes)
    tflite.ModelAddSubgraphs(builder, subgraphs)
    tflite.ModelAddDescription(builder, text)
    tflite.ModelAddBuffers(builder, buffers)
    builder.Finish(tflite.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())


class _Tensors:
    """Writes tensors; equal constants share a buffer, and computed tensors the empty one."""

    def __init__(self, tflite: Any, builder: Any) -> None:
        self._tflite, self._builder = tflite, builder
        self.buffers: list[int] = []
        self._numbers: dict[bytes, int] = {}
        self._buffer(b"")

    def write(self, tensor: Tensor) -> int:
        tflite, builder = self._tflite, self._builder
        data = b"" if tensor.value is None else np.ascontiguousarray(tensor.value).tobytes()
        buffer = self._buffer(data)
        shape, name = _numbers(builder, tensor.shape), builder.CreateString(tensor.name)
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, _NUMBERS[tensor.dtype])
        tflite.TensorAddBuffer(builder, buffer)
        tflite.TensorAddName(builder, name)
        return int(tflite.TensorEnd(builder))

    def _buffer(self, data: bytes) -> int:
        if data not in self._numbers:
            vector = _aligned(self._builder, data) if data else None
            self._tflite.BufferStart(self._builder)
            if vector is not None:
                self._tflite.BufferAddData(self._builder, vector)
            self._numbers[data] = len(self.buffers)
            self.buffers.append(self._tflite.BufferEnd(self._builder))
        return self._numbers[data]


_NUMBERS = {np.dtype(dtype).name: number for number, dtype in DTYPES.items()}


def _operator(tflite: Any, builder: Any, operator: Operator, kinds: Sequence[str]) -> int:
    inputs, outputs = (_numbers(builder, each) for each in (operator.inputs, operator.outputs))
    table, custom, options = _TABLES.get(operator.kind), None, None
    if operator.kind.startswith("Lce"):
        custom = _flexbuffer(builder, operator)
    elif table is not None:
        options = _options(tflite, builder, table, operator)
    tflite.OperatorStart(builder)
    tflite.OperatorAddOpcodeIndex(builder, kinds.index(operator.kind))
    tflite.OperatorAddInputs(builder, inputs)
    tflite.OperatorAddOutputs(builder, outputs)
    if custom is not None:
        tflite.OperatorAddCustomOptions(builder, custom)
    if options is not None:
        tflite.OperatorAddBuiltinOptionsType(builder, getattr(tflite.BuiltinOptions, str(table)))
        tflite.OperatorAddBuiltinOptions(builder, options)
    return int(tflite.OperatorEnd(builder))


def _flexbuffer(builder: Any, operator: Operator) -> int:
    from flatbuffers import flexbuffers

    return int(builder.CreateByteVector(bytes(flexbuffers.Dumps(dict(operator.options)))))


def _options(tflite: Any, builder: Any, table: str, operator: Operator) -> int:
    for name in operator.options.keys() - set(OPTION_TABLES[table]):
        raise ValueError(f"{operator} has the option {name!r}, which {table} lacks")
    getattr(tflite, f"{table}Start")(builder)
    for name, value in operator.options.items():
        getattr(tflite, f"{table}Add{name}")(builder, value)
    return int(getattr(tflite, f"{table}End")(builder))


def _code(tflite: Any, builder: Any, kind: str) -> int:
    custom = builder.CreateString(kind) if kind.startswith("Lce") else None
    number = getattr(tflite.BuiltinOperator, "CUSTOM" if custom is not None else kind)
    tflite.OperatorCodeStart(builder)
    tflite.OperatorCodeAddDeprecatedBuiltinCode(builder, min(number, _IN_A_BYTE))
    if custom is not None:
        tflite.OperatorCodeAddCustomCode(builder, custom)
    tflite.OperatorCodeAddVersion(builder, _VERSIONS.get(kind, 1))
    tflite.OperatorCodeAddBuiltinCode(builder, number)
    return int(tflite.OperatorCodeEnd(builder))


def _numbers(builder: Any, values: Sequence[int]) -> int:
    return int(builder.CreateNumpyVector(np.asarray(values, np.int32)))


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _aligned(builder: Any, data: bytes) -> int:
    """A vector of bytes that starts at a multiple of 16, as TFLite's kernels expect."""
    builder.StartVector(1, len(data), _ALIGNMENT)
    builder.head = builder.Head() - len(data)
    builder.Bytes[builder.Head() : builder.Head() + len(data)] = data
    return int(builder.EndVector())
