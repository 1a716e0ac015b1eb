"""Binary convolutions of Larq Compute Engine (LCE), as written by its versions 0.1 to 0.16.

The formats differ (``larq_compute_engine/tflite/kernels/bconv2d*.cc`` of each release):

- 0.1: ``LqceBconv2d32`` and ``LqceBconv2d64`` take float input and a float filter; the result is
  ``add + multiply · popcount``.
- 0.2 and 0.3: ``LceBconv2d`` has four-element ``strides`` and ``dilations``, string options, and a
  filter of floats (HWIO, OHWI) or of packed words (OHWI_PACKED).
- June to August 2020: there is one option per number (``stride_height`` …), the operator binarizes
  its float input itself, and ``padding`` is TfLitePadding's enumeration (1 SAME, 2 VALID).
- 0.4 and later: the input is packed, ``padding`` is the schema's enumeration (0 SAME, 1 VALID), and
  a packed result replaces the batch norm by one threshold per channel.

A set bit in LCE's words is −1. In all formats the result is ``activation(ŷ) · multiplier + bias``,
where ŷ is the sum of ±1 products.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from bnnjax.binary import bits
from bnnjax.binary.windows import Geometry
from bnnjax.port.program.program import Window
from bnnjax.port.tflite.graph import Graph, Operator

KINDS = ("LceBconv2d", "LqceBconv2d32", "LqceBconv2d64")
_BY_NAME = {"": 0, "NONE": 0, "RELU": 1, "RELU1": 2, "RELU_N1_TO_1": 2, "RELU6": 3}


class BinaryConv(NamedTuple):
    """A binary convolution.

    Attributes:
      window: the window.
      words: the kernel, uint32 [kh, kw, words per group, O], packed as in `bnnjax.binary.bits`.
      activation: the schema's number of the activation that follows.
      multiplier: float32 [O], the multiplier of the affine map after the activation.
      bias: float32 [O], the bias of that map.
      packed: whether only the signs of the result are used.
    """

    window: Window
    words: np.ndarray
    activation: int
    multiplier: np.ndarray
    bias: np.ndarray
    packed: bool


def read(graph: Graph, operator: Operator) -> BinaryConv:
    """Reads a binary convolution.

    Raises:
      ValueError: options or shapes that no version of LCE writes.
    """
    options = operator.options
    source, filter_values = graph.tensors[operator.inputs[0]], graph.constant(operator, 1)
    if filter_values is None or filter_values.ndim != 4:
        raise ValueError("has no constant filter of four axes")
    try:
        if "stride_height" in options:
            strides, dilations, padding = _single_options(options, source.dtype)
            channels = int(options["channels_in"])  # unknown from a packed input
        else:
            strides, dilations, padding = _listed_options(options)
            channels = int(options.get("channels_in") or source.shape[-1])
        activation = _activation(options)
    except (LookupError, TypeError) as error:
        raise ValueError(f"has options of no version of LCE: {dict(options)} ({error!r})") from None
    words, depth = _words(filter_values, options, channels)
    groups = channels // depth
    window = Window(
        (words.shape[0], words.shape[1]),
        strides,
        padding,
        dilations,
        features=words.shape[3],
        groups=groups,
        pad_value=int(options.get("pad_values") or 0),
    )
    products = window.size[0] * window.size[1] * depth
    packed = graph.tensors[operator.outputs[0]].dtype == "int32"
    multiplier, bias = _affine(graph, operator, products, words.shape[3])
    if graph.constant(operator, 4) is not None:
        activation = 0  # the thresholds include it
    return BinaryConv(window, words, activation, multiplier, bias, packed)


_Geometry = tuple[tuple[int, int], tuple[int, int], str]  # strides, dilations, padding


def _single_options(options: Mapping[str, Any], dtype: str) -> _Geometry:
    names = {1: "SAME", 2: "VALID"} if dtype == "float32" else {0: "SAME", 1: "VALID"}
    return (
        (options["stride_height"], options["stride_width"]),
        (options["dilation_height_factor"], options["dilation_width_factor"]),
        names[options["padding"]],
    )


def _listed_options(options: Mapping[str, Any]) -> _Geometry:
    _, *strides, _ = options["strides"]
    _, *dilations, _ = options.get("dilations") or (1, 1, 1, 1)
    padding = str(options["padding"]).upper()
    if padding not in ("SAME", "VALID"):
        raise KeyError(padding)
    return (int(strides[0]), int(strides[1])), (int(dilations[0]), int(dilations[1])), padding


def _activation(options: Mapping[str, Any]) -> int:
    found = options.get("fused_activation_function", options.get("activation"))
    return _BY_NAME[(found or "").upper()] if isinstance(found, str | None) else int(found)


def _words(values: np.ndarray, options: Mapping[str, Any], channels: int) -> tuple[np.ndarray, int]:
    """The kernel's words [kh, kw, words, O], and how many channels each output channel sees."""
    if values.dtype != np.int32:
        hwio = (options.get("filter_format") or "HWIO") == "HWIO"
        kernel = values if hwio else np.moveaxis(values, 0, 3)
        return bits.pack_positive(kernel >= 0, axis=-2), kernel.shape[2]
    groups, left = divmod(bits.words_for(channels), values.shape[3])
    if left or not groups or (groups > 1 and channels % (groups * bits.WORD)):
        raise ValueError(f"has a filter of shape {values.shape} on an input of {channels} channels")
    depth = channels // groups
    return _flipped(values, depth), depth


def _flipped(values: np.ndarray, channels: int) -> np.ndarray:
    """LCE's int32 [O, kh, kw, words] (a set bit is −1) as our uint32 [kh, kw, words, O] (+1)."""
    return np.ascontiguousarray(np.moveaxis(~values.view(np.uint32) & used_bits(channels), 0, 3))


def used_bits(channels: int) -> np.ndarray:
    """Words whose set bits are channels; the last word may have others."""
    used = np.full(bits.words_for(channels), 2**bits.WORD - 1, np.uint32)
    used[-1] >>= -channels % bits.WORD
    return used


def filter_of(words: np.ndarray, channels: int) -> np.ndarray:
    """The filter int32 [O, kh, kw, ⌈I/32⌉] of version 0.4 and later, from the kernel's words uint32
    [kh, kw, ⌈I/32⌉, O] on ``channels`` channels."""
    flipped = np.moveaxis(~words & used_bits(channels)[:, None], 3, 0)
    return np.ascontiguousarray(flipped).view(np.int32)


def options_of(where: Geometry, padding: int) -> dict[str, int]:
    """The options of a convolution in version 0.4 and later; ``padding`` is the schema's number."""
    return {
        "channels_in": where.channels,
        "dilation_height_factor": where.dilation[0],
        "dilation_width_factor": where.dilation[1],
        "fused_activation_function": 0,
        "pad_values": max(where.pad_value, 0),
        "padding": padding,
        "stride_height": where.strides[0],
        "stride_width": where.strides[1],
    }


def _affine(
    graph: Graph, operator: Operator, products: int, features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and bias [O] of the integer sums."""
    multiplier, bias, threshold = (graph.constant(operator, slot) for slot in (2, 3, 4))
    if threshold is not None:
        return _from_threshold(threshold, products)
    ones, zeros = np.ones(features, np.float32), np.zeros(features, np.float32)
    multiplier = ones if multiplier is None else multiplier.reshape(-1)
    bias = zeros if bias is None else bias.reshape(-1)
    if operator.kind.startswith("Lqce"):  # applies to the popcount (products − ŷ) / 2
        bias, multiplier = bias + multiplier * (products / 2), -multiplier / 2
    return np.asarray(multiplier, np.float32), np.asarray(bias, np.float32)


def _from_threshold(threshold: np.ndarray, products: int) -> tuple[np.ndarray, np.ndarray]:
    """A replacement for the batch norm that a threshold τ was derived from.

    The bit is −1 where the popcount (K − ŷ) / 2 > τ, with K the number of ``products`` in a sum;
    equivalently, where ŷ < θ = K − 2τ − 1, halfway between two possible values of ŷ. We compute
    (ŷ − θ) / √K, whose sign is that bit. √K is the standard deviation of a sum of K independent
    signs. Because it is a constant, the gradient of a picture depends neither on other pictures nor
    on the size. The scale of the original norm is lost; where that was smaller, fewer gradients
    were clipped. A popcount lies between 0 and K, so a channel with τ < 0 is always −1, one with
    τ ≥ K is always +1, and both have zero slope.
    """
    center = products - 2.0 * threshold.astype(np.float64) - 1
    scale = np.full(threshold.shape, products**-0.5)
    bias = -center * scale
    constant = (threshold < 0) | (threshold >= products)
    scale[constant], bias[constant] = 0, np.where(threshold[constant] < 0, -1, 1)
    return scale.astype(np.float32), bias.astype(np.float32)
