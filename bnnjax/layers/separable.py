"""Separable convolutions: a depthwise one followed by a pointwise one."""

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax.layers import arguments
from bnnjax.layers.arguments import AnyQuantizer, PerAxis
from bnnjax.layers.convolutions import QuantConv
from bnnjax.layers.depthwise import QuantDepthwiseConv


class QuantSeparableConv(nn.Module):
    """Depthwise, then pointwise 2-D convolution (Larq QuantSeparableConv2D).

    The input quantizer is applied to the input, not between the two convolutions. The parameters
    are below ``depthwise`` and ``pointwise``, each with a ``weight_clip`` of its own.
    """

    features: int
    kernel_size: PerAxis = (3, 3)
    strides: PerAxis = (1, 1)
    padding: str = "SAME"
    pad_values: int = 0
    dilation: PerAxis = (1, 1)
    multiplier: int = 1
    input_quantizer: AnyQuantizer = None
    depthwise_quantizer: AnyQuantizer = None
    pointwise_quantizer: AnyQuantizer = None
    depthwise_clip: float | None = None
    pointwise_clip: float | None = None
    use_bias: bool = False

    rank = 2  # spatial axes

    def __post_init__(self) -> None:
        arguments.settle(self, self.rank)
        super().__post_init__()

    def __call__(self, x: Array) -> Array:
        """[N, H, W, C] → [N, H', W', features]."""
        return self._separate(x, self.kernel_size, self.strides, dilation=self.dilation)

    @nn.compact
    def _separate(
        self, x: Array, kernel_size: tuple[int, ...], strides: tuple[int, ...], **changes: Any
    ) -> Array:
        others = {
            "padding": self.padding,
            "pad_values": self.pad_values,
            "input_quantizer": self.input_quantizer,
        }
        x = QuantDepthwiseConv(
            kernel_size,
            strides,
            multiplier=self.multiplier,
            kernel_quantizer=self.depthwise_quantizer,
            weight_clip=self.depthwise_clip,
            name="depthwise",
            **{**others, **changes},
        )(x)
        return QuantConv(
            self.features,
            (1, 1),
            kernel_quantizer=self.pointwise_quantizer,
            weight_clip=self.pointwise_clip,
            use_bias=self.use_bias,
            name="pointwise",
        )(x)


class QuantSeparableConv1D(QuantSeparableConv):
    """Depthwise, then pointwise 1-D convolution (Larq QuantSeparableConv1D): [N, L, C] → [N, L',
    features].

    ``padding`` may also be "CAUSAL": no output depends on later inputs. The kernels are 2-D with a
    single row: [1, k, C, multiplier] below ``depthwise`` and
    [1, 1, C · multiplier, features] below ``pointwise``.
    """

    kernel_size: PerAxis = (3,)
    strides: PerAxis = (1,)
    dilation: PerAxis = (1,)

    rank = 1

    def __call__(self, x: Array) -> Array:
        """[N, L, C] → [N, L', features].

        Raises:
          ValueError: the input has the wrong rank, or the padding is causal with a value other than
            0.
        """
        arguments.check_rank(x.shape, 1)
        changes: dict[str, Any] = {"dilation": (1, *self.dilation)}
        if self.padding == "CAUSAL":
            x = self._padded_before(x)
            changes |= {"padding": "VALID", "input_quantizer": None}
        return self._separate(x[:, None], (1, *self.kernel_size), (1, *self.strides), **changes)[
            :, 0
        ]

    def _padded_before(self, x: Array) -> Array:
        """The quantized input, padded such that no output depends on later inputs."""
        arguments.check_causal(self.pad_values)
        x = x if self.input_quantizer is None else self.input_quantizer(x)
        return jnp.pad(x, ((0, 0), ((self.kernel_size[0] - 1) * self.dilation[0], 0), (0, 0)))
