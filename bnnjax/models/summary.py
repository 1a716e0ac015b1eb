"""Parameters, memory and multiply-accumulates of a network, counted as ``lq.models.summary`` does.

Larq's conventions (``larq/models.py``): a batch norm always counts as two parameters per channel,
the precision of a product is the larger of its operands' bits, and a bias costs no products.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import linen as nn

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantSeparableConv
from bnnjax.models.network import Architecture
from bnnjax.models.trace import Call, by_layer, latent_shapes, trace

FLOAT_BITS = 32


@dataclasses.dataclass(frozen=True)
class LayerSummary:
    """The counts of one layer.

    Attributes:
      name: its path in the variables.
      input_bits: the bits of its quantized input; None if the input is not quantized.
      output_shape: the shape for one picture, without the batch axis.
      parameters: the number of parameters by bits per parameter.
      macs: the multiply-accumulates for one picture by bits of the larger operand.
    """

    name: str
    input_bits: int | None
    output_shape: tuple[int, ...]
    parameters: dict[int, int]
    macs: dict[int, int]

    @property
    def bits(self) -> int:
        """The memory of its parameters in bits."""
        return sum(bits * count for bits, count in self.parameters.items())


@dataclasses.dataclass(frozen=True)
class Summary:
    """The counts of all layers of a network, and their totals."""

    layers: tuple[LayerSummary, ...]

    @property
    def parameters(self) -> int:
        """The number of parameters of all precisions."""
        return sum(self.parameters_of(bits) for bits in self.parameter_bits)

    @property
    def parameter_bits(self) -> list[int]:
        """The precisions of parameters, ascending."""
        return sorted({bits for layer in self.layers for bits in layer.parameters})

    @property
    def mac_bits(self) -> list[int]:
        """The precisions of multiply-accumulates, ascending."""
        return sorted({bits for layer in self.layers for bits in layer.macs})

    def parameters_of(self, bits: int) -> int:
        """The number of parameters of this precision."""
        return sum(layer.parameters.get(bits, 0) for layer in self.layers)

    def macs_of(self, bits: int) -> int:
        """Multiply-accumulates of this precision, for one picture."""
        return sum(layer.macs.get(bits, 0) for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all precisions, for one picture."""
        return sum(self.macs_of(bits) for bits in self.mac_bits)

    @property
    def bytes(self) -> float:
        """The memory of the parameters, each at its own precision."""
        return sum(layer.bits for layer in self.layers) / 8

    @property
    def bytes_8bit(self) -> float:
        """The same if parameters of more than 8 bits had 8."""
        counts = ((min(bits, 8), self.parameters_of(bits)) for bits in self.parameter_bits)
        return sum(bits * count for bits, count in counts) / 8

    @property
    def bytes_float32(self) -> float:
        """The same if every parameter were a float32."""
        return self.parameters * FLOAT_BITS / 8


def summarize(architecture: Architecture, *, side: int = 224) -> Summary:
    """Counts every layer for one picture of ``side`` × ``side`` pixels.

    Raises:
      ValueError: the network or its classifier does not accept this size.
    """
    name = architecture.entry.name
    if not architecture.entry.sizes.takes(side):
        raise ValueError(
            f"{name} does not take pictures of {side}×{side} px; {architecture.entry.sizes}"
        )
    if architecture.num_classes is not None and not architecture.has_logits(side):
        raise ValueError(f"the classifier of {name} does not take pictures of {side}×{side} px")
    return summarize_module(architecture.module, side=side)


def summarize_module(module: nn.Module, *, side: int) -> Summary:
    """The same for any linen module that takes pictures [N, side, side, 3]."""
    shapes = by_layer(latent_shapes(module, side=side)["params"])
    calls = trace(module, side=side)
    return Summary(tuple(_layer(call, shapes.get(call.path, {})) for call in calls))


def _layer(call: Call, shapes: Mapping[str, Any]) -> LayerSummary:
    name, output_shape = "/".join(call.path), call.output_shape[1:]
    if isinstance(call.layer, BatchNorm):
        return LayerSummary(name, None, output_shape, {FLOAT_BITS: 2 * output_shape[-1]}, {})
    parameters: dict[int, int] = {}
    macs: dict[int, int] = {}
    input_bits, kernel_bits = _precisions(call)
    pixels = int(np.prod(output_shape[:-1]))
    for array, shape in shapes.items():
        bits, count = kernel_bits if array == "kernel" else FLOAT_BITS, shape.size
        parameters[bits] = parameters.get(bits, 0) + count
        if array == "kernel":
            bits = max(input_bits or FLOAT_BITS, kernel_bits)
            macs[bits] = macs.get(bits, 0) + count * pixels
    return LayerSummary(name, input_bits, output_shape, parameters, macs)


def _precisions(call: Call) -> tuple[int | None, int]:
    """The bits of the input (None if it is not quantized) and of the kernel."""
    # Larq counts both kernels of a separable convolution with the quantizer of its input.
    whole = call.parent if isinstance(call.parent, QuantSeparableConv) else call.layer
    input_quantizer = getattr(whole, "input_quantizer", None)
    kernel_quantizer = getattr(call.layer, "kernel_quantizer", None)
    input_bits = None if input_quantizer is None else quant.precision(input_quantizer)
    return input_bits, quant.precision(kernel_quantizer)


def table(summary: Summary) -> list[list[str]]:
    """The rows of Larq's table of layers, heading first and total last."""
    heading = [
        "layer",
        "input bits",
        "output",
        *(f"{bits}-bit params" for bits in summary.parameter_bits),
        "memory (KiB)",
        *(f"{bits}-bit MACs" for bits in summary.mac_bits),
    ]
    rows = [
        [
            layer.name,
            str(layer.input_bits or "-"),
            "×".join(map(str, layer.output_shape)),
            *(str(layer.parameters.get(bits, 0)) for bits in summary.parameter_bits),
            f"{layer.bits / 8 / 1024:.2f}",
            *(str(layer.macs.get(bits, 0)) for bits in summary.mac_bits),
        ]
        for layer in summary.layers
    ]
    total = [
        "total",
        "",
        "",
        *(str(summary.parameters_of(bits)) for bits in summary.parameter_bits),
        f"{summary.bytes / 1024:.2f}",
        *(str(summary.macs_of(bits)) for bits in summary.mac_bits),
    ]
    return [heading, *rows, total]


def totals(summary: Summary) -> Sequence[Sequence[str]]:
    """The lines below the table: (what, value)."""
    mib = 1024**2
    binary = summary.macs_of(1) / max(1, summary.macs)
    return [
        ("parameters", f"{summary.parameters:,}"),
        ("model size", f"{summary.bytes / mib:.2f} MiB"),
        ("model size (8-bit for floats)", f"{summary.bytes_8bit / mib:.2f} MiB"),
        ("float32 equivalent", f"{summary.bytes_float32 / mib:.2f} MiB"),
        ("ratio to float32", f"{summary.bytes / summary.bytes_float32:.4f}"),
        ("multiply-accumulates", f"{summary.macs:,}"),
        ("of them 1-bit", f"{binary:.4f}"),
    ]


def figures(summary: Summary) -> dict[str, int | float]:
    """The totals by their names in ``--json``; integral byte counts are ints."""
    return {
        "params": summary.parameters,
        "params_1bit": summary.parameters_of(1),
        "bytes": _integer(summary.bytes),
        "bytes_8bit": _integer(summary.bytes_8bit),
        "bytes_float32": _integer(summary.bytes_float32),
        "macs_1bit": summary.macs_of(1),
        "macs_other": summary.macs - summary.macs_of(1),
    }


def _integer(value: float) -> int | float:
    return int(value) if value == int(value) else value
