"""LCE's operators and some built-in ones in NumPy, after their documentation, value by value.

A set bit is −1. The popcount of differing bits is p; the result is clamp(K − 2p) · multiplier +
bias, or bit 1 where p exceeds the threshold.
"""

from functools import partial

import numpy as np

ACTIVATIONS = {
    0: lambda x: x,
    1: lambda x: np.maximum(x, 0),
    2: lambda x: np.clip(x, -1, 1),
    3: lambda x: np.clip(x, 0, 6),
}


def interpret(graph, picture):
    """The result of a graph for a picture [1, H, W, 3]."""
    values = {i: tensor.value for i, tensor in enumerate(graph.tensors)} | {0: picture}
    for op in graph.operators:
        inputs = [None if i < 0 else values[i] for i in op.inputs]
        result = OPERATORS[op.kind](op, *inputs)
        shape = graph.tensors[op.outputs[0]].shape
        if op.kind == "LceDequantize":  # unused bits
            result = result[..., : shape[-1]]
        result = ACTIVATIONS[op.options.get("FusedActivationFunction", 0)](result)
        assert result.shape == shape, op
        values[op.outputs[0]] = result
    return values[graph.outputs[0]]


def windows(x, size, strides, padding, outside):
    """[1, H', W', kh, kw, C]."""
    pads = [(0, 0)]
    for n, k, s in zip(x.shape[1:3], size, strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0) if padding == 0 else 0
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, [*pads, (0, 0)], constant_values=outside)
    found = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return np.moveaxis(found[:, :: strides[0], :: strides[1]], 3, 5)


def of(options, *names):
    return [options[name] for name in names]


def pack(op, x):
    words = np.zeros((*x.shape[:-1], -(-x.shape[-1] // 32)), np.uint32)
    for channel in range(x.shape[-1]):
        bit = (x[..., channel] < 0).astype(np.uint32)
        words[..., channel // 32] |= bit << np.uint32(channel % 32)
    return words.view(np.int32)


def bits(words):
    octets = np.ascontiguousarray(words).view(np.uint8)
    return np.unpackbits(octets, axis=-1, bitorder="little").astype(np.int64)


def binary_conv(op, x, filters, multiplier, bias, threshold):
    strides = of(op.options, "stride_height", "stride_width")
    where = (filters.shape[1:3], strides, op.options["padding"], 0)
    seen, places = windows(bits(x), *where), windows(np.ones((*x.shape[:3], 1)), *where)
    kernels = bits(filters)
    channels = op.options["channels_in"]
    differs = seen[:, :, :, None] != kernels
    if op.options["pad_values"] == 0:  # what lies outside counts neither way
        inside = places[:, :, :, None] == 1
        terms = np.where(inside, 1 - 2 * differs.astype(int), 0)[..., :channels]
    else:
        terms = 1 - 2 * differs[..., :channels].astype(int)
    sums = terms.sum((-3, -2, -1))
    if threshold is not None:
        products = channels * filters.shape[1] * filters.shape[2]
        return pack(op, np.where((products - sums) // 2 > threshold, -1, 1))
    clamped = ACTIVATIONS[op.options["fused_activation_function"]](sums)
    return (clamped * multiplier + bias).astype(np.float32)


def spread(kernel, op, axes):
    """A kernel [..., kh, kw, ...] with zeros for its dilation."""
    for axis, step in zip(axes, of(op.options, "DilationHFactor", "DilationWFactor"), strict=True):
        shape = list(kernel.shape)
        shape[axis] = (shape[axis] - 1) * step + 1
        wide = np.zeros(shape, kernel.dtype)
        wide[(slice(None),) * axis + (slice(None, None, step),)] = kernel
        kernel = wide
    return kernel


def conv(op, x, kernel, bias):
    kernel, strides = spread(kernel, op, (1, 2)), of(op.options, "StrideH", "StrideW")
    groups = x.shape[3] // kernel.shape[3]
    results = []
    for part, each in zip(np.split(x, groups, 3), np.split(kernel, groups, 0), strict=True):
        seen = windows(part, kernel.shape[1:3], strides, op.options["Padding"], 0)
        results.append(np.einsum("nhwijc,oijc->nhwo", seen, each, optimize=True))
    return np.concatenate(results, 3) + bias


def depthwise(op, x, kernel, bias):
    kernel, strides = spread(kernel, op, (1, 2)), of(op.options, "StrideH", "StrideW")
    x = np.repeat(x, op.options["DepthMultiplier"], axis=3)
    seen = windows(x, kernel.shape[1:3], strides, op.options["Padding"], 0)
    return np.einsum("nhwijc,ijc->nhwc", seen, kernel[0], optimize=True) + bias


def volume_windows(x, op, size):
    """[1, D', H', W', kd, kh, kw, C]."""
    strides = of(op.options, "StrideD", "StrideH", "StrideW")
    spread = of(op.options, "DilationDFactor", "DilationHFactor", "DilationWFactor")
    extents = [(k - 1) * d + 1 for k, d in zip(size, spread, strict=True)]
    pads = [(0, 0)]
    for n, k, s in zip(x.shape[1:4], extents, strides, strict=True):
        total = max((-(-n // s) - 1) * s + k - n, 0) if op.options["Padding"] == 0 else 0
        pads.append((total // 2, total - total // 2))
    x = np.pad(x, [*pads, (0, 0)])
    found = np.lib.stride_tricks.sliding_window_view(x, extents, axis=(1, 2, 3))
    found = found[:, :: strides[0], :: strides[1], :: strides[2]]
    return np.moveaxis(found[..., :: spread[0], :: spread[1], :: spread[2]], 4, 7)


def conv_3d(op, x, kernel, bias):
    seen = volume_windows(x, op, kernel.shape[:3])
    return np.einsum("ndhwijkc,ijkco->ndhwo", seen, kernel, optimize=True) + bias


def transposed_conv(axes, op, shape, kernel, x, bias):
    """Each value of the input adds the kernel to the result at its own place.

    LCE's interpreter computes this only if the result has one of two sizes.
    """
    kernel = np.moveaxis(kernel, 0, 2) if len(axes) == 2 else kernel  # to [*size, O, I]
    strides, size = of(op.options, *(f"Stride{axis}" for axis in axes)), kernel.shape[:-2]
    lows, lines = [], zip(x.shape[1:-1], shape[1:-1], size, strides, strict=True)
    for before, after, k, s in lines:
        if op.options["Padding"] == 0:
            assert before == -(-after // s)
            lows.append(max((before - 1) * s + k - after, 0) // 2)
        else:
            assert after == (before - 1) * s + k
            lows.append(0)
    result = np.zeros(shape, np.float64)
    for place in np.ndindex(*x.shape[1:-1]):
        for offset in np.ndindex(*size):
            steps = zip(place, strides, lows, offset, strict=True)
            target = tuple(n * s - low + k for n, s, low, k in steps)
            if all(0 <= n < side for n, side in zip(target, shape[1:-1], strict=True)):
                result[(0, *target)] += kernel[offset] @ x[(0, *place)]
    return (result + bias).astype(np.float32)


def average_pool(op, x):
    """The mean of what is inside the picture."""
    size = of(op.options, "FilterHeight", "FilterWidth")
    strides = of(op.options, "StrideH", "StrideW")
    return np.nanmean(windows(x, size, strides, op.options["Padding"], np.nan), (3, 4))


def max_pool(op, x):
    size = of(op.options, "FilterHeight", "FilterWidth")
    strides = of(op.options, "StrideH", "StrideW")
    return windows(x, size, strides, op.options["Padding"], -np.inf).max((3, 4))


def binary_max_pool(op, x):
    """A maximum is −1 where all are."""
    size = of(op.options, "filter_height", "filter_width")
    strides = of(op.options, "stride_height", "stride_width")
    seen = windows(x, size, strides, op.options["padding"], -1)  # all bits set
    return np.bitwise_and.reduce(seen.reshape(*seen.shape[:3], -1, x.shape[3]), axis=3)


OPERATORS = {
    "LceBMaxPool2d": binary_max_pool,
    "LceDequantize": lambda op, x: 1.0 - 2 * bits(x),
    "LceQuantize": pack,
    "LceBconv2d": binary_conv,
    "CONV_2D": conv,
    "CONV_3D": conv_3d,
    "TRANSPOSE_CONV": partial(transposed_conv, "HW"),
    "CONV_3D_TRANSPOSE": partial(transposed_conv, "DHW"),
    "BATCH_MATMUL": lambda op, x, y: x @ y,
    "TRANSPOSE": lambda op, x, axes: x.transpose(axes),
    "CONCATENATION": lambda op, *xs: np.concatenate(xs, op.options["Axis"]),
    "AVERAGE_POOL_2D": average_pool,
    "FULLY_CONNECTED": lambda op, x, kernel, bias: x @ kernel.T + bias,
    "MAX_POOL_2D": max_pool,
    "DEPTHWISE_CONV_2D": depthwise,
    "MEAN": lambda op, x, axes: x.mean(tuple(axes)),
    "STRIDED_SLICE": lambda op, x, *sides: x[tuple(map(slice, *sides))],
    "GREATER": lambda op, x, y: x > y,
    "LESS": lambda op, x, y: x < y,
    "SELECT_V2": lambda op, which, x, y: np.where(which, x, y),
    "MAXIMUM": lambda op, x, y: np.maximum(x, y),
    "MINIMUM": lambda op, x, y: np.minimum(x, y),
    "RELU": lambda op, x: np.maximum(x, 0),
    "PRELU": lambda op, x, slopes: np.where(x < 0, slopes * x, x),
    "LOGISTIC": lambda op, x: 1 / (1 + np.exp(-x)),
    "ROUND": lambda op, x: np.round(x),
    "ADD": lambda op, x, y: x + y,
    "SUB": lambda op, x, y: x - y,
    "MUL": lambda op, x, y: x * y,
    "DIV": lambda op, x, y: x / y,
    "PAD": lambda op, x, amounts: np.pad(x, amounts),
    "PADV2": lambda op, x, amounts, value: np.pad(x, amounts, constant_values=value),
    "RESHAPE": lambda op, x, shape: x.reshape(shape),
}
