"""Quantized convolutions of other ranks than two, and transposed ones.

Computed as float convolutions by XLA, in both forms: the frozen ones keep packed words and unpack
them. Sums of ±1 products are whole numbers all the same.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from bnnjax.layers.depthwise import QuantSeparableConv
from bnnjax.layers.quantized import Quantized

AXES = "HWD"  # letters of spatial axes; which stands for which does not matter


class _SpatialConv(Quantized):
    """What the convolutions of one and of three dimensions share."""

    features: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str = "SAME"
    pad_values: int = 0
    dilation: tuple[int, ...] | None = None  # 1 along every axis

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, *spatial, C] → [N, *spatial', features].

        Raises:
          ValueError: an input of another rank, an unknown padding, causal padding with another
            value than 0 or along more than one axis, or an input smaller than the kernel.
        """
        rank = len(self.kernel_size)
        dilation = self.dilation or (1,) * rank
        _check_rank(x, rank)
        extents = _extents(self.kernel_size, dilation)
        pads = self._pads(x.shape[1:-1], extents)
        x = self._quantized_input(x)
        x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=self.pad_values)
        if any(size < extent for size, extent in zip(x.shape[1:-1], extents, strict=True)):
            raise ValueError(f"an input of shape {x.shape} is smaller than the kernel {extents}")
        axes = AXES[:rank]
        y = lax.conv_general_dilated(
            x,
            self._float_kernel((*self.kernel_size, x.shape[-1], self.features)),
            self.strides,
            "VALID",
            rhs_dilation=dilation,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        )
        return self._add_bias(y)

    @nn.nowrap
    def _pads(self, sizes: Sequence[int], extents: Sequence[int]) -> list[tuple[int, int]]:
        if self.pad_values not in (-1, 0, 1):
            raise ValueError(f"pad_values is {self.pad_values!r}, needs -1, 0 or 1")
        if self.padding == "CAUSAL" and len(extents) == 1:
            if self.pad_values != 0:
                raise ValueError("causal padding is with 0; pad_values is for 'SAME'")
            return [(extents[0] - 1, 0)]
        _check_padding(self.padding)
        return [*lax.padtype_to_pads(sizes, extents, self.strides, self.padding)]


class QuantConv1D(_SpatialConv):
    """1-D convolution (Larq QuantConv1D): [N, L, C] → [N, L', features].

    ``padding`` is also "CAUSAL": a result sees nothing that comes after it. Latent: parameter
    ``kernel`` [k, C, features]; frozen: ``words`` [k, ⌈C/32⌉, features].
    """

    kernel_size: tuple[int] = (3,)
    strides: tuple[int] = (1,)


class QuantConv3D(_SpatialConv):
    """3-D convolution (Larq QuantConv3D): [N, D, H, W, C] → [N, D', H', W', features].

    Latent: parameter ``kernel`` [kd, kh, kw, C, features]; frozen: ``words`` [kd, kh, kw, ⌈C/32⌉,
    features].
    """

    kernel_size: tuple[int, int, int] = (3, 3, 3)
    strides: tuple[int, int, int] = (1, 1, 1)


class _TransposedConv(Quantized):
    """What the transposed convolutions of two and of three dimensions share.

    Each is the gradient of a convolution's input. Kernels are [*kernel_size, features, C], as Keras
    has them; a quantizer with scales has one for each of the C.
    """

    features: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str = "SAME"
    output_padding: tuple[int, ...] | None = None  # as long as need be
    dilation: tuple[int, ...] | None = None  # 1 along every axis

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, *spatial, C] → [N, *spatial', features].

        Raises:
          ValueError: an input of another rank, an unknown padding, or an ``output_padding`` that is
            not below the strides.
        """
        rank = len(self.kernel_size)
        dilation = self.dilation or (1,) * rank
        _check_rank(x, rank)
        kernel = self._float_kernel((*self.kernel_size, self.features, x.shape[-1]))
        axes = AXES[:rank]
        y = lax.conv_general_dilated(
            self._quantized_input(x),
            jnp.flip(kernel, range(rank)),
            (1,) * rank,
            self._pads(x.shape[1:-1], _extents(self.kernel_size, dilation)),
            lhs_dilation=self.strides,
            rhs_dilation=dilation,
            dimension_numbers=(f"N{axes}C", f"{axes}OI", f"N{axes}C"),
        )
        return self._add_bias(y)

    @nn.nowrap
    def _pads(self, sizes: Sequence[int], extents: Sequence[int]) -> list[tuple[int, int]]:
        """What the spread-out input is padded with, such that the result is as long as in Keras."""
        lengths = self._lengths(sizes, extents)
        forward = lax.padtype_to_pads(lengths, extents, self.strides, self.padding)
        pads = []
        for n, k, s, out, (low, _) in zip(
            sizes, extents, self.strides, lengths, forward, strict=True
        ):
            first = k - 1 - low
            pads.append((first, out - ((n - 1) * s + 1) - first + k - 1))
        return pads

    @nn.nowrap
    def _lengths(self, sizes: Sequence[int], extents: Sequence[int]) -> tuple[int, ...]:
        """Keras' ``deconv_output_length``."""
        _check_padding(self.padding)
        axes = zip(sizes, extents, self.strides, strict=True)
        if self.output_padding is None:
            more = self.padding == "VALID"
            return tuple(n * s + more * max(k - s, 0) for n, k, s in axes)
        pairs = zip(self.output_padding, self.strides, strict=True)
        if not all(0 <= extra < stride for extra, stride in pairs):
            raise ValueError(
                f"output_padding is {self.output_padding}, needs less than strides {self.strides}"
            )
        cut = [2 * (k // 2) if self.padding == "SAME" else 0 for k in extents]
        return tuple(
            (n - 1) * s + k - less + extra
            for (n, k, s), less, extra in zip(axes, cut, self.output_padding, strict=True)
        )


class QuantConv2DTranspose(_TransposedConv):
    """Transposed 2-D convolution (Larq QuantConv2DTranspose): [N, H, W, C] → [N, H', W', features].

    Latent: parameter ``kernel`` [kh, kw, features, C]; frozen: ``words`` [kh, kw, ⌈features/32⌉,
    C].
    """

    kernel_size: tuple[int, int] = (3, 3)
    strides: tuple[int, int] = (1, 1)


class QuantConv3DTranspose(_TransposedConv):
    """Transposed 3-D convolution (Larq QuantConv3DTranspose): [N, D, H, W, C] → [N, D', H', W',
    features].

    Latent: parameter ``kernel`` [kd, kh, kw, features, C]; frozen: ``words`` [kd, kh, kw,
    ⌈features/32⌉, C].
    """

    kernel_size: tuple[int, int, int] = (3, 3, 3)
    strides: tuple[int, int, int] = (1, 1, 1)


class QuantSeparableConv1D(QuantSeparableConv):
    """Depthwise, then pointwise 1-D convolution (Larq QuantSeparableConv1D): [N, L, C] → [N, L',
    features].

    Kernels are those of one row of pixels: below ``depthwise`` [1, k, C, multiplier], below
    ``pointwise`` [1, 1, C · multiplier, features].
    """

    kernel_size: tuple[int] = (3,)  # type: ignore[assignment]
    strides: tuple[int] = (1,)  # type: ignore[assignment]

    def __call__(self, x: Array) -> Array:
        """[N, L, C] → [N, L', features].

        Raises:
          ValueError: an input of another rank.
        """
        _check_rank(x, 1)
        return self._separate(x[:, None], (1, *self.kernel_size), (1, *self.strides))[:, 0]


def _extents(kernel_size: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    return tuple((k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True))


def _check_rank(x: Array, rank: int) -> None:
    if x.ndim != rank + 2:
        raise ValueError(f"an input of shape {x.shape}; needs [N, {rank} spatial axes, C]")


def _check_padding(padding: str) -> None:
    if padding not in ("SAME", "VALID"):
        raise ValueError(f"padding is {padding!r}, needs 'SAME' or 'VALID'")
