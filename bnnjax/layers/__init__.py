"""Flax layers of binarized networks, with latent weights to train or packed ones to run.

Activations are NHWC float32. The quantized layers are Larq's (``larq/layers.py``): the input
quantizer acts on the input before it is padded, the kernel quantizer on the latent kernel; bias and
output are never quantized. Either quantizer may be None.

A layer sees from its variables which form it is in. ``init`` makes the latent form, for training.
The frozen form holds what inference needs and no more: a binary kernel is packed ``words`` (and one
``scale`` per output channel, if its quantizer has scales), `BatchNorm` is a multiplier and a bias
per channel. The methods ``freeze`` and ``thaw`` of a layer turn the parameters of one form into
those of the other.
"""

from bnnjax.layers.activation import PReLU
from bnnjax.layers.convolutions import Conv, QuantConv, QuantDense
from bnnjax.layers.depthwise import BlurPool, DepthwiseConv, QuantDepthwiseConv
from bnnjax.layers.kernel import clip_weights
from bnnjax.layers.norm import BatchNorm, fold
from bnnjax.layers.options import Options
from bnnjax.layers.pooling import avg_pool, max_pool, pool
from bnnjax.layers.quantized import Quantized
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
    "QuantSeparableConv",
    "QuantSeparableConv1D",
    "Quantized",
    "avg_pool",
    "clip_weights",
    "fold",
    "max_pool",
    "pool",
]
