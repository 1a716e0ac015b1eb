"""Quantized convolutions along one and three axes, and transposed convolutions.

In both forms, XLA computes them as float convolutions: frozen layers store packed words and unpack
them on every call. Sums of ±1 products are still exact integers.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from bnnjax.layers import arguments
from bnnjax.layers.arguments import PerAxis
from bnnjax.layers.quantized import Quantized

AXES = "HWD"  # letters for spatial axes; their assignment does not matter


class _SpatialConv(Quantized):
    """The base of convolutions along one and three axes."""

    features: int
    kernel_size: PerAxis = 3
    strides: PerAxis = 1
    padding: str = "SAME"
    pad_values: int = 0
    dilation: PerAxis = 1
    groups: int = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, *spatial, C] → [N, *spatial', features].

        Raises:
          ValueError: the input has the wrong rank or is smaller than the kernel, ``groups`` does
            not divide both C and ``features``, or the padding is causal with a value other than 0.
        """
        arguments.check_rank(x.shape, self.rank)
        arguments.check_groups(x.shape[-1], self.features, self.groups)
        extents = _extents(self.kernel_size, self.dilation)
        pads = self._pads(x.shape[1:-1], extents)
        x = jnp.pad(self._input(x), ((0, 0), *pads, (0, 0)), constant_values=self.pad_values)
        if any(size < extent for size, extent in zip(x.shape[1:-1], extents, strict=True)):
            raise ValueError(f"the input of shape {x.shape} is smaller than the kernel {extents}")
        axes = AXES[: self.rank]
        y = lax.conv_general_dilated(
            x,
            self._kernel((*self.kernel_size, x.shape[-1] // self.groups, self.features)),
            self.strides,
            "VALID",
            rhs_dilation=self.dilation,
            feature_group_count=self.groups,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        )
        return self._add_bias(y)

    @nn.nowrap
    def _pads(self, sizes: Sequence[int], extents: Sequence[int]) -> list[tuple[int, int]]:
        if self.padding == "CAUSAL":
            arguments.check_causal(self.pad_values)
            return [(extents[0] - 1, 0)]
        return [*lax.padtype_to_pads(sizes, extents, self.strides, self.padding)]


class QuantConv1D(_SpatialConv):
    """1-D convolution (Larq QuantConv1D): [N, L, C] → [N, L', features].

    ``padding`` may also be "CAUSAL": no output depends on later inputs. Latent: parameter
    ``kernel`` [k, C / groups, features]; frozen: ``words`` [k, ⌈C / groups / 32⌉, features].
    """

    rank = 1


class QuantConv3D(_SpatialConv):
    """3-D convolution (Larq QuantConv3D): [N, D, H, W, C] → [N, D', H', W', features].

    Latent: parameter ``kernel`` [kd, kh, kw, C / groups, features]; frozen: ``words`` [kd, kh, kw,
    ⌈C / groups / 32⌉, features].
    """

    rank = 3


class _TransposedConv(Quantized):
    """The base of transposed convolutions along two and three axes.

    Each is the gradient of a convolution with respect to its input. Kernels are [*kernel_size,
    features, C], as in Keras; a quantizer with scales has one for each of the C input channels.
    """

    features: int
    kernel_size: PerAxis = 3
    strides: PerAxis = 1
    padding: str = "SAME"
    output_padding: PerAxis | None = None  # None: Keras' default length
    dilation: PerAxis = 1

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[N, *spatial, C] → [N, *spatial', features].

        Raises:
          ValueError: the input has the wrong rank, or ``output_padding`` is not less than the
            strides.
        """
        rank = self.rank
        arguments.check_rank(x.shape, rank)
        kernel = self._kernel((*self.kernel_size, self.features, x.shape[-1]))
        axes = AXES[:rank]
        y = lax.conv_general_dilated(
            self._input(x),
            jnp.flip(kernel, range(rank)),
            (1,) * rank,
            self._pads(x.shape[1:-1], _extents(self.kernel_size, self.dilation)),
            lhs_dilation=self.strides,
            rhs_dilation=self.dilation,
            dimension_numbers=(f"N{axes}C", f"{axes}OI", f"N{axes}C"),
        )
        return self._add_bias(y)

    @nn.nowrap
    def _pads(self, sizes: Sequence[int], extents: Sequence[int]) -> list[tuple[int, int]]:
        """Padding of the dilated input that gives the same output length as Keras."""
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

    rank = 2


class QuantConv3DTranspose(_TransposedConv):
    """Transposed 3-D convolution (Larq QuantConv3DTranspose): [N, D, H, W, C] → [N, D', H', W',
    features].

    Latent: parameter ``kernel`` [kd, kh, kw, features, C]; frozen: ``words`` [kd, kh, kw,
    ⌈features/32⌉, C].
    """

    rank = 3


def _extents(kernel_size: Sequence[int], dilation: Sequence[int]) -> tuple[int, ...]:
    return tuple((k - 1) * d + 1 for k, d in zip(kernel_size, dilation, strict=True))
