"""Flax layers of binarized networks: latent weights to train with, packed ones to run frozen.

Activations are NHWC float32. The quantized layers are Larq's (``larq/layers.py``): the input
quantizer acts on the input, then comes the padding, the kernel quantizer acts on the latent kernel;
bias and output are never quantized. Either quantizer may be None, both make an ordinary layer.

A layer with ``frozen=True`` holds what inference needs and no more: a binary kernel is packed
``words`` (and a ``scale`` an output channel, if its quantizer has one) in place of a float
``kernel``, `BatchNorm` is a multiplier and a bias a channel. `freeze` and `thaw` of a layer turn
the parameters of one form into those of the other.
"""

from bnnjax.layers.activation import PReLU
from bnnjax.layers.convolutions import Conv, QuantConv, QuantDense
from bnnjax.layers.depthwise import (
    BlurPool,
    DepthwiseConv,
    QuantDepthwiseConv,
    QuantSeparableConv,
)
from bnnjax.layers.norm import BatchNorm, fold
from bnnjax.layers.options import Options
from bnnjax.layers.pooling import avg_pool, max_pool, pool
from bnnjax.layers.quantized import Quantized, clip_weights
from bnnjax.layers.spatial import (
    QuantConv1D,
    QuantConv2DTranspose,
    QuantConv3D,
    QuantConv3DTranspose,
    QuantSeparableConv1D,
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
