"""Inception v1 (GoogLeNet), the classic float network for feature visualization.

Szegedy et al., *Going Deeper with Convolutions* (CVPR 2015, arXiv:1409.4842), table 1, as retrained
by BVLC for Caffe (``models/bvlc_googlenet``): with biases and local response normalization, without
batch norms and without the two auxiliary classifiers that only training needs. Layers are named as
in Caffe, with ``_`` for ``/``: ``conv1_7x7_s2``, ``inception_3a_5x5_reduce``, ``loss3_classifier``.

Taps: ``conv1``, ``conv2_reduce`` and ``conv2``, the convolutions of the stem after ReLU, and each
module's result, ``inception_3a`` to ``inception_5b``.
"""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnnjax.layers import Options, max_pool, pool
from bnnjax.models.entry import Card, Entry, Sizes, Style, Weights
from bnnjax.models.imagenet import CLASSES, bgr
from bnnjax.models.tapped import Tapped

# Channels: 1×1, 3×3 (reduction, result), 5×5 (reduction, result), projection after the pool.
MODULES = {
    "inception_3a": (64, 96, 128, 16, 32, 32),
    "inception_3b": (128, 128, 192, 32, 96, 64),
    "inception_4a": (192, 96, 208, 16, 48, 64),
    "inception_4b": (160, 112, 224, 24, 64, 64),
    "inception_4c": (128, 128, 256, 24, 64, 64),
    "inception_4d": (112, 144, 288, 32, 64, 64),
    "inception_4e": (256, 160, 320, 32, 128, 128),
    "inception_5a": (256, 160, 320, 32, 128, 128),
    "inception_5b": (384, 192, 384, 48, 128, 128),
}
POOLED_BEFORE = ("inception_3a", "inception_4a", "inception_5a")

BGR_MEAN = (104.0, 117.0, 123.0)  # of ImageNet in 0..255, as rounded by BVLC

# Krizhevsky et al. (NIPS 2012), section 3.3; Caffe divides α by the number of channels summed.
CHANNELS, ALPHA, BETA = 5, 1e-4, 0.75


class InceptionV1(Tapped):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    For sizes, see `takes`."""

    num_classes: int | None = CLASSES
    options: Options = Options()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array | None:
        x = self.tap("conv1", self._conv(x, 64, 7, "conv1_7x7_s2", stride=2))
        x = response_norm(self._halve(x))
        x = self.tap("conv2_reduce", self._conv(x, 64, 1, "conv2_3x3_reduce"))
        x = self.tap("conv2", self._conv(x, 192, 3, "conv2_3x3"))
        x = response_norm(x)
        for name, channels in MODULES.items():
            if name in POOLED_BEFORE:
                x = self._halve(x)
            x = self.tap(name, self._module(x, name, channels))
        if self.num_classes is None:
            return None
        return nn.Dense(self.num_classes, name="loss3_classifier")(x.mean((1, 2)))

    def _module(self, x: jax.Array, name: str, channels: tuple[int, ...]) -> jax.Array:
        plain, reduced3, of3, reduced5, of5, projected = channels
        three = self._conv(x, reduced3, 1, f"{name}_3x3_reduce")
        five = self._conv(x, reduced5, 1, f"{name}_5x5_reduce")
        pooled = max_pool(x, size=3, stride=1, padding="SAME")
        branches = (
            self._conv(x, plain, 1, f"{name}_1x1"),
            self._conv(three, of3, 3, f"{name}_3x3"),
            self._conv(five, of5, 5, f"{name}_5x5"),
            self._conv(pooled, projected, 1, f"{name}_pool_proj"),
        )
        return jnp.concatenate(branches, axis=3)

    def _conv(
        self, x: jax.Array, features: int, side: int, name: str, *, stride: int = 1
    ) -> jax.Array:
        pads = (side // 2, side // 2)  # symmetric in Caffe, even with a stride of 2
        layer = nn.Conv(features, (side, side), strides=stride, padding=(pads, pads), name=name)
        return nn.relu(layer(x))

    def _halve(self, x: jax.Array) -> jax.Array:
        """3×3 pool of stride 2 whose last window may extend over the edge, as in Caffe."""
        height, width = x.shape[1:3]
        over = ((0, 0), (0, 1 - height % 2), (0, 1 - width % 2), (0, 0))
        return pool(jnp.pad(x, over, mode="edge"), self.options, size=3, stride=2)


def response_norm(x: jax.Array) -> jax.Array:
    """x / (1 + α/5 · Σ x²)^β, [..., C] → [..., C]; Σ covers a channel and two on either side."""
    reach, channels = CHANNELS // 2, x.shape[-1]
    squares = jnp.pad(x * x, [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    total = sum(squares[..., i : i + channels] for i in range(CHANNELS))
    return x / (1 + ALPHA / CHANNELS * total) ** BETA


def takes(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: the last pool needs two cells."""
    return side >= 31


def keras_name(name: str) -> str:
    """Caffe's name of a layer: `inception_3a/3x3_reduce` for `inception_3a_3x3_reduce`."""
    return re.sub(r"^(inception_\d.|conv\d|loss3)_", r"\1/", name)


ENTRIES = (
    Entry(
        name="inception_v1",
        build=InceptionV1,
        normalize=partial(bgr, mean=BGR_MEAN),
        sizes=Sizes(takes, stride=32),
        card=Card(
            paper="Szegedy et al., arXiv 1409.4842",
            num_classes=CLASSES,
            top1=68.7,
            top5=88.9,
            parameters=6_998_552,
            mebibytes=26.70,
        ),
        weights=Weights(keras_name=keras_name),
        style=Style(
            style_taps=("conv2", "inception_3a", "inception_4a", "inception_4b", "inception_4c"),
            content_taps=("inception_3b",),
            # Not tuned; meant to suppress the grid that the strides may leave.
            preset={"pooling": "avg", "jitter": 8, "tv_weight": 2.0},
        ),
    ),
)
