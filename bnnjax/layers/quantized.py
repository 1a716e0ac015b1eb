"""What quantized layers share: quantizers, and the two forms of a kernel."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

from bnnjax import quant
from bnnjax.binary import backend, bits, conv, planes
from bnnjax.binary.windows import Geometry

BLOCK = 1 << 20  # values of a kernel that are quantized together
UNPACKABLE = "only ±1, or ± one scale an output channel, can be packed"


class Quantized(nn.Module, kw_only=True):
    """What the quantized layers share; not a layer by itself.

    Attributes:
      input_quantizer: of the layer's input, see `bnnjax.quant.get`; None leaves it as it is.
      kernel_quantizer: of the latent kernel, likewise.
      weight_clip: training keeps latent weights within ± it (see `clip_weights`); None does not.
      use_bias: whether a bias is added (Larq's default is True; binary networks have none).
      frozen: whether the kernel is stored packed, where its quantizer is binary.
      backend: arithmetic of frozen binary layers, see `bnnjax.binary.backend`.
      gradient_dtype: of the backward products of packed layers, "bfloat16" or "float32".
    """

    input_quantizer: quant.Quantizer | None = None
    kernel_quantizer: quant.Quantizer | None = None
    weight_clip: float | None = None
    use_bias: bool = False
    frozen: bool = False
    backend: str = "auto"
    gradient_dtype: str = "bfloat16"

    @nn.nowrap
    def freeze(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """Parameters of the frozen layer from those of the latent one.

        Raises:
          ValueError: a latent weight is not finite (a bit could not show it), or the quantizer's
            values are not what the table in `bnnjax.quant` says.
        """
        rest = {name: jnp.asarray(value) for name, value in params.items() if name != "kernel"}
        latent = np.asarray(params["kernel"])
        if not np.isfinite(latent).all():
            raise ValueError("the kernel holds values that are not finite")
        if not self._packs:
            return {"kernel": self._quantize(jnp.asarray(latent)), **rest}
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
        """The scale [outputs] of a kernel that is to be packed.

        A quantizer's intermediate results are several times as large as the kernel, so it gets a
        few outputs at a time, if they do not depend on each other and lie along the last axis.
        """
        assert self.kernel_quantizer is not None
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
        rest = {name: value for name, value in params.items() if name not in ("words", "scale")}
        if "words" not in params:
            return rest
        scale = self._spread_scale(params["scale"], shape) if "scale" in params else 1
        return {"kernel": self._unpack(params["words"], shape) * scale, **rest}

    @property
    def _packs(self) -> bool:
        return quant.values(self.kernel_quantizer) in ("signs", "scaled signs")

    @property
    def _scaled(self) -> bool:
        return quant.values(self.kernel_quantizer) == "scaled signs"

    def _quantize(self, kernel: Array) -> Array:
        return kernel if self.kernel_quantizer is None else self.kernel_quantizer(kernel)

    def _quantized_input(self, x: Array) -> Array:
        return x if self.input_quantizer is None else self.input_quantizer(x)

    def _float_kernel(self, shape: tuple[int, ...]) -> Array:
        """The quantized kernel as floats, from whichever form there is."""
        if self.frozen and self._packs:
            kernel = self._unpack(self._words(shape), shape)
            return (
                kernel * self._spread_scale(self._scale(shape), shape) if self._scaled else kernel
            )
        kernel = self.param("kernel", self._initializer, shape)
        if self.weight_clip is not None and self.is_mutable_collection("weight_clip"):
            self.put_variable("weight_clip", "kernel", jnp.float32(self.weight_clip))
        return kernel if self.frozen else self._quantize(kernel)

    @property
    def _initializer(self) -> nn.initializers.Initializer:
        return nn.initializers.glorot_normal()

    def _words(self, shape: tuple[int, ...]) -> Array:
        return self.param("words", nn.initializers.zeros, self._words_shape(shape), jnp.uint32)

    def _scale(self, shape: tuple[int, ...]) -> Array:
        return self.param("scale", nn.initializers.ones, (self._outputs(shape),))

    def _add_bias(self, y: Array) -> Array:
        if not self.use_bias:
            return y
        return y + self.param("bias", nn.initializers.zeros, y.shape[-1:])

    # How a kernel [..., in, out] is packed; a depthwise one differs.

    @nn.nowrap
    def _words_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-2], bits.words_for(shape[-2]), shape[-1])

    @nn.nowrap
    def _pack(self, positive: np.ndarray) -> np.ndarray:
        return bits.pack_positive(positive, axis=-2)

    @nn.nowrap
    def _unpack(self, words: Array, shape: tuple[int, ...]) -> Array:
        return conv.unpack_kernel(words, shape[-2])

    @nn.nowrap
    def _outputs(self, shape: tuple[int, ...]) -> int:
        return shape[-1]

    @nn.nowrap
    def _spread_scale(self, scale: Array, shape: tuple[int, ...]) -> Array:
        return scale

    # Products with a packed kernel: of signs, or of a few bits.

    def _packed_product(self, parts: Sequence[Array], words: Array, where: Geometry) -> Array:
        """Of groups of channels, each with its share of the kernel's outputs."""
        kernels = jnp.split(words, len(parts), axis=-1)
        backwards = jnp.split(self._backward(words, where.channels), len(parts))
        convolve = _bit_product(self.input_quantizer)
        assert convolve is not None
        products = [
            convolve(*operands, where) for operands in zip(parts, kernels, backwards, strict=True)
        ]
        y = jnp.concatenate(products, axis=3)
        return y * self._scale(words.shape) if self._scaled else y

    def _counts_bits(self) -> bool:
        """Whether frozen products are computed by xor and popcount."""
        packed = self.frozen and self._packs and _bit_product(self.input_quantizer) is not None
        return packed and backend.choose(self.backend) == "packed"

    def _backward(self, words: Array, channels: int) -> Array:
        if self.has_variable("backward", "kernel"):
            return self.get_variable("backward", "kernel")
        kernel = conv.gradient_kernel(words, channels, dtype=jnp.dtype(self.gradient_dtype))
        if self.is_mutable_collection("backward"):
            self.put_variable("backward", "kernel", kernel)
        return kernel


def _bit_product(quantizer: quant.Quantizer | None) -> Callable[..., Array] | None:
    """What multiplies activations of a quantizer by a packed kernel; None where floats have to.

    Those of DoReFa-Net are made of planes of bits, if they are few; not what its ``mode="weights"``
    gives, which is not in [0, 1].
    """
    if quant.values(quantizer) == "signs":
        return conv.packed_conv
    bound = quantizer if isinstance(quantizer, partial) else partial(quantizer or quant.no_op)
    if bound.func is not quant.dorefa or bound.keywords.get("mode") == "weights":
        return None
    bitwidth = quant.precision(quantizer)
    return partial(planes.planes_conv, bitwidth=bitwidth) if bitwidth <= planes.MOST else None


def clip_weights(params: Mapping[str, Any], clips: Mapping[str, Any]) -> dict[str, Any]:
    """The constraint of Larq (``WeightClip``): to be applied after each update of training.

    Args:
      params: the collection ``params`` of a network's variables.
      clips: the collection ``weight_clip`` that layers with a ``weight_clip`` made at ``init``.

    Returns:
      ``params`` with the latent kernels of those layers clipped to ± their clip.
    """
    clipped = flatten_dict(params)
    for path, clip in flatten_dict(clips).items():
        clipped[path] = jnp.clip(clipped[path], -clip, clip)
    return unflatten_dict(clipped)
