"""The base of quantized layers: quantizers, and the two forms of a kernel."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.binary import backend, bits, conv, planes
from bnnjax.binary.windows import Geometry
from bnnjax.layers.arguments import AnyQuantizer
from bnnjax.layers.kernel import KernelLayer, per_channel

BLOCK = 1 << 20  # values of a kernel that are quantized together
UNPACKABLE = "only ±1, or ± one scale per output channel, can be packed"


class Quantized(KernelLayer, kw_only=True):
    """The base of layers with quantizers.

    The variables determine the form of a layer. A latent layer has ``kernel``, which is quantized
    on every call. A frozen layer has ``words`` (and ``scale``, if the kernel quantizer has one per
    output channel) for a binary kernel, or the quantized values ``levels`` for any other.

    Attributes:
      input_quantizer: the quantizer of the input, or its name (see `bnnjax.quant.get`); None for
        float inputs.
      kernel_quantizer: the quantizer of the latent kernel, likewise.
    """

    input_quantizer: AnyQuantizer = None
    kernel_quantizer: AnyQuantizer = None

    @nn.nowrap
    def freeze(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters of the frozen layer from those of the latent one.

        Raises:
          ValueError: the layer is frozen already, a latent weight is not finite (a bit cannot
            represent it), or the quantizer's values contradict the table in `bnnjax.quant`.

        Examples:
          >>> layer = bnnjax.layers.QuantDense(2, kernel_quantizer="ste_sign")
          >>> packed = layer.freeze({"kernel": jnp.full((40, 2), -0.3)})
          >>> packed["words"].shape, packed["words"].dtype  # 40 inputs take 2 words of 32 bits
          ((2, 2), dtype('uint32'))
          >>> layer.thaw(packed, (40, 2))["kernel"][0]
          Array([-1., -1.], dtype=float32)
        """
        if "kernel" not in params:
            raise ValueError(f"holds {', '.join(params)}: it is frozen already")
        rest = {name: jnp.asarray(value) for name, value in params.items() if name != "kernel"}
        latent = np.asarray(params["kernel"])
        if not np.isfinite(latent).all():
            raise ValueError("the kernel holds values that are not finite")
        if self.kernel_quantizer is None:
            return {"kernel": jnp.asarray(latent), **rest}
        if not self._packs:
            return {"levels": self.kernel_quantizer(jnp.asarray(latent)), **rest}
        positive = latent >= 0
        scale = self._scale_of(latent, positive)
        packed = {"words": jnp.asarray(self._pack(positive))}
        if self._scaled:
            packed["scale"] = jnp.asarray(scale)
        elif not (scale == 1).all():
            raise ValueError(UNPACKABLE)
        return {**packed, **rest}

    @nn.nowrap
    def _scale_of(self, latent: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """The scale [outputs] of a kernel before packing.

        The intermediate results of a quantizer are several times as large as the kernel. The kernel
        is therefore quantized a few outputs at a time, if these are independent of each other and
        lie along the last axis.
        """
        quantize: Any = jax.jit(self.kernel_quantizer)
        if quant.needs_whole(self.kernel_quantizer):
            latent, quantize = np.asarray(quantize(latent)), np.asarray
        apart = self._outputs(latent.shape) == latent.shape[-1]
        parts = min(-(-latent.size // BLOCK), latent.shape[-1]) if apart else 1
        pieces = (np.array_split(array, parts, axis=-1) for array in (latent, positive))
        scales = []
        for kernel, signs in zip(*pieces, strict=True):
            rows = np.asarray(quantize(kernel)).reshape(-1, self._outputs(kernel.shape))
            scale = np.maximum(rows.max(0), -rows.min(0))
            if not (rows == np.where(signs.reshape(rows.shape), scale, -scale)).all():
                raise ValueError(UNPACKABLE)
            scales.append(scale)
        return np.concatenate(scales)

    @nn.nowrap
    def thaw(self, params: Mapping[str, Array], shape: tuple[int, ...]) -> dict[str, Array]:
        """Latent parameters of kernel ``shape`` whose quantized values are the frozen ones."""
        names = ("kernel", "words", "scale", "levels")
        rest = {name: value for name, value in params.items() if name not in names}
        if "words" not in params:
            return {"kernel": params["levels" if "levels" in params else "kernel"], **rest}
        return {"kernel": self._unpack(params["words"], params.get("scale"), shape), **rest}

    @nn.nowrap
    def frozen_shapes(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Shapes of the parameters that `freeze` returns, from those of the latent parameters."""
        rest = {name: leaf for name, leaf in params.items() if name != "kernel"}
        kernel = params["kernel"]
        if self.kernel_quantizer is None:
            return dict(params)
        if not self._packs:
            return {"levels": kernel, **rest}
        packed = {"words": jax.ShapeDtypeStruct(self._words_shape(kernel.shape), jnp.uint32)}
        if self._scaled:
            packed["scale"] = jax.ShapeDtypeStruct((self._outputs(kernel.shape),), jnp.float32)
        return {**packed, **rest}

    @property
    def _packs(self) -> bool:
        return quant.values(self.kernel_quantizer) in ("signs", "scaled signs")

    @property
    def _scaled(self) -> bool:
        return quant.values(self.kernel_quantizer) == "scaled signs"

    @property
    def _is_packed(self) -> bool:
        return self.has_variable("params", "words")

    def _input(self, x: Array) -> Array:
        return x if self.input_quantizer is None else self.input_quantizer(x)

    def _kernel(self, shape: tuple[int, ...]) -> Array:
        """The quantized kernel as floats, from either form."""
        if self._is_packed:
            return self._unpack(self._words(shape), self._scale(self._outputs(shape)), shape)
        if self.has_variable("params", "levels"):
            return self.param("levels", nn.initializers.zeros, shape, jnp.float32)
        kernel = super()._kernel(shape)
        return kernel if self.kernel_quantizer is None else self.kernel_quantizer(kernel)

    def _words(self, shape: tuple[int, ...]) -> Array:
        return self.param("words", nn.initializers.zeros, self._words_shape(shape), jnp.uint32)

    def _scale(self, outputs: int) -> Array | None:
        if not self._scaled:
            return None
        return self.param("scale", nn.initializers.ones, (outputs,), jnp.float32)

    # How a kernel [..., in, out] is packed; depthwise layers override this.

    @nn.nowrap
    def _words_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-2], bits.words_for(shape[-2]), shape[-1])

    @nn.nowrap
    def _pack(self, positive: np.ndarray) -> np.ndarray:
        return bits.pack_positive(positive, axis=-2)

    @nn.nowrap
    def _unpack(self, words: Array, scale: Array | None, shape: tuple[int, ...]) -> Array:
        kernel = conv.unpack_kernel(words, shape[-2])
        return kernel if scale is None else kernel * per_channel(scale, kernel.ndim)

    @nn.nowrap
    def _outputs(self, shape: tuple[int, ...]) -> int:
        return shape[-1]

    # Products of a packed kernel with signs or with activations of a few bits.

    def _counts_bits(self) -> bool:
        """Whether products are computed by xor and popcount."""
        multiplies = _bit_product(self.input_quantizer) is not None
        return self._is_packed and multiplies and backend.arithmetic().counts_bits

    def _packed_product(self, parts: Sequence[Array], words: Array, where: Geometry) -> Array:
        """The products of all groups of channels, each with its share of the kernel's outputs."""
        kernels = jnp.split(words, len(parts), axis=-1)
        backwards = jnp.split(self._backward(words, where.channels), len(parts))
        convolve = _bit_product(self.input_quantizer)
        assert convolve is not None
        products = [
            convolve(*operands, where) for operands in zip(parts, kernels, backwards, strict=True)
        ]
        y = jnp.concatenate(products, axis=3)
        scale = self._scale(words.shape[-1])
        return y if scale is None else y * per_channel(scale, y.ndim)

    def _backward(self, words: Array, channels: int) -> Array:
        if self.has_variable("backward", "kernel"):
            return self.get_variable("backward", "kernel")
        kernel = conv.gradient_kernel(words, channels, dtype=backend.arithmetic().backward)
        if self.is_mutable_collection("backward"):
            self.put_variable("backward", "kernel", kernel)
        return kernel


def _bit_product(quantizer: quant.Quantizer | None) -> Callable[..., Array] | None:
    """The function that multiplies a quantizer's activations by a packed kernel; None for floats.

    Activations of DoReFa-Net with few bits are split into bit planes. The values of its
    ``mode="weights"`` are not, because they lie outside [0, 1].
    """
    if quant.values(quantizer) == "signs":
        return conv.packed_conv
    bound = quantizer if isinstance(quantizer, partial) else partial(quantizer or quant.no_op)
    if bound.func is not quant.dorefa or bound.keywords.get("mode") == "weights":
        return None
    bitwidth = quant.precision(quantizer)
    return partial(planes.planes_conv, bitwidth=bitwidth) if bitwidth <= planes.MOST else None
