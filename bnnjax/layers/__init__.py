"""Flax layers of binarized networks, with latent weights for training or packed ones for inference.

Activations are NHWC float32. The quantized layers follow Larq's (``larq/layers.py``): the input
quantizer is applied to the input before padding, the kernel quantizer to the latent kernel. Bias
and output are never quantized. Either quantizer may be None.

A layer recognizes its form by its variables. ``init`` creates the latent form, for training. The
frozen form contains only what inference needs: a binary kernel becomes packed ``words`` (and one
``scale`` per output channel, if its quantizer has scales), and `BatchNorm` becomes a multiplier and
a bias per channel. A layer's methods ``freeze`` and ``thaw`` convert the parameters of one form
into those of the other.
"""

from bnnjax.layers.activation import PReLU
from bnnjax.layers.convolutions import Conv, QuantConv, QuantDense
from bnnjax.layers.depthwise import BlurPool, DepthwiseConv, QuantDepthwiseConv
from bnnjax.layers.kernel import clip_weights
from bnnjax.layers.local import QuantLocallyConnected1D, QuantLocallyConnected2D
from bnnjax.layers.norm import BatchNorm, fold
from bnnjax.layers.options import Options
from bnnjax.layers.pooling import avg_pool, blur_pool, max_pool, pool
from bnnjax.layers.quantized import Quantized
from bnnjax.layers.residual import add_shortcut
from bnnjax.layers.separable import QuantSeparableConv, QuantSeparableConv1D
from bnnjax.layers.spatial import (
    QuantConv1D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
)

__all__ = [
    "BatchNorm",
    "BlurPool",
    "Conv",
    "DepthwiseConv",
    "Options",
    "PReLU",
    "QuantConv",
    "QuantConv1D",
    "QuantConv2DTranspose",
    "QuantConv3D",
    "QuantConv3DTranspose",
    "QuantDense",
    "QuantDepthwiseConv",
    "QuantLocallyConnected1D",
    "QuantLocallyConnected2D",
    "QuantSeparableConv",
    "QuantSeparableConv1D",
    "Quantized",
    "add_shortcut",
    "avg_pool",
    "blur_pool",
    "clip_weights",
    "fold",
    "max_pool",
    "pool",
]
