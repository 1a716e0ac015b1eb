"""Translates locally connected layers, whose kernels Keras stores in three layouts.

``implementation=1`` stores one kernel per place, [places, window · C, features]. The second stores
[*spatial, C, *spatial', features], of which it uses what a window covers. The third stores what the
second uses, sorted by place, feature and input.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from bnnjax import layers, quant
from bnnjax.layers.local import paddings
from bnnjax.port.keras.builder import KerasBuilder, Value
from bnnjax.port.keras.handlers import quantizers
from bnnjax.port.keras.handlers.convolutions import axes, with_kernel
from bnnjax.port.keras.model import Layer
from bnnjax.port.program.program import Call


class Windows(NamedTuple):
    """The windows of a locally connected layer."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    features: int
    implementation: int

    def per_place(self, kernel: np.ndarray, input_shape: Sequence[int]) -> np.ndarray:
        """A kernel in the layout of ``implementation=1``.

        Args:
          kernel: in the layout of the file.
          input_shape: the shape [N, *spatial, C] of the layer's input.

        Raises:
          ValueError: the kernel does not fit the input.
        """
        if self.implementation == 1:
            return kernel
        *sizes, channels = input_shape[1:]
        covered, inside = self._covered(sizes, channels)
        values = self._used(kernel, covered) if self.implementation == 2 else kernel
        # What lies outside of the picture is multiplied by 0.
        whole = np.ones((len(inside), self.features, inside.shape[1]), np.float32)
        into = np.broadcast_to(inside[:, None], whole.shape)
        if values.shape != (needed := int(into.sum()),):
            raise ValueError(f"kernel has {values.size} values in use, needs {needed}")
        whole[into] = values
        return whole.swapaxes(1, 2)

    def _covered(self, sizes: Sequence[int], channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Which inputs the window of each place covers [places, inputs], and which part of the
        window is in the picture [places, window]."""
        pads = paddings(sizes, self.kernel_size, self.strides, self.padding.upper())
        covered, inside = [], []
        for n, k, s, (low, high) in zip(sizes, self.kernel_size, self.strides, pads, strict=True):
            starts = np.arange((n + low + high - k) // s + 1)[:, None] * s - low
            distance = np.arange(n) - starts
            covered.append((distance >= 0) & (distance < k))
            place = starts + np.arange(k)
            inside.append((place >= 0) & (place < n))
        ones = np.ones((1, channels), bool)
        return reduce(np.kron, [*covered, ones]), reduce(np.kron, [*inside, ones])

    def _used(self, kernel: np.ndarray, covered: np.ndarray) -> np.ndarray:
        rank = len(self.kernel_size)
        first, last = range(rank + 1), range(rank + 1, kernel.ndim)
        laid = kernel.transpose(*last, *first).reshape(len(covered), self.features, -1)
        return laid[np.broadcast_to(covered[:, None], laid.shape)]


def _local(rank: int, made: Any, builder: KerasBuilder, layer: Layer, x: Value) -> Value:
    config = layer.config
    window = {
        "kernel_size": axes(config, "kernel_size", rank),
        "strides": axes(config, "strides", rank),
        "padding": config.get("padding", "valid"),
        "features": config["filters"],
    }
    windows = Windows(**window, implementation=config.get("implementation", 1))
    builder.layouts[layer.source] = (windows.per_place, x)
    _check(windows, config)
    down, across = windows.strides if rank == 2 else (1, 1)
    return with_kernel(builder, layer, x, Call.of(made, **window), factors=(down, across))


def _check(windows: Windows, config: Mapping[str, Any]) -> None:
    quantizer = quantizers.read(config, "kernel_quantizer")
    if windows.implementation != 1 and quant.values(quantizer) == "scaled signs":
        raise ValueError(
            "its kernel_quantizer scales by weights that no window uses; set implementation=1"
        )


HANDLERS: dict[str, Callable[..., Any]] = {
    f"{prefix}LocallyConnected{rank}D": partial(_local, rank, made)
    for prefix in ("", "Quant")
    for rank, made in ((1, layers.QuantLocallyConnected1D), (2, layers.QuantLocallyConnected2D))
}
