"""Inception v1 (GoogLeNet), the float network of feature visualisations.

Szegedy et al., *Going Deeper with Convolutions* (CVPR 2015, arXiv:1409.4842), table 1, as Caffe's
BVLC trained it again (``models/bvlc_googlenet``): with biases and local response normalisation,
without batch norms, without the two classifiers inside that only training needs. Layers are called
as there, ``/`` being ``_``: ``conv1_7x7_s2``, ``inception_3a_5x5_reduce``, ``loss3_classifier``.
"""

import re
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnnjax.layers import Options, max_pool, pool
from bnnjax.models.entry import Entry
from bnnjax.models.imagenet import CLASSES, bgr

# Channels of 1×1, of 3×3 (reduced before, and result), of 5×5 likewise, and after the pool.
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

BGR_MEAN = (104.0, 117.0, 123.0)  # of ImageNet in 0..255, as BVLC rounded it

# Krizhevsky et al. (NIPS 2012), section 3.3, in Caffe's form: α is divided by the channels summed.
CHANNELS, ALPHA, BETA = 5, 1e-4, 0.75


class InceptionV1(nn.Module):
    """[N, H, W, 3] normalised pictures → (logits [N, classes], taps); without ``classes`` no logits
    but None. `takes` says what sizes."""

    classes: int | None = CLASSES
    options: Options = Options()

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array | None, dict[str, jax.Array]]:
        taps: dict[str, jax.Array] = {}
        taps["conv1"] = x = self._conv(x, 64, 7, "conv1_7x7_s2", stride=2)
        x = response_norm(self._halve(x))
        taps["conv2_reduce"] = x = self._conv(x, 64, 1, "conv2_3x3_reduce")
        taps["conv2"] = x = self._conv(x, 192, 3, "conv2_3x3")
        x = response_norm(x)
        for name, channels in MODULES.items():
            if name in POOLED_BEFORE:
                x = self._halve(x)
            taps[name] = x = self._module(x, name, channels)
        if self.classes is None:
            return None, taps
        return nn.Dense(self.classes, name="loss3_classifier")(x.mean((1, 2))), taps

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
        pads = (side // 2, side // 2)  # Caffe's are even, also where the stride is 2
        layer = nn.Conv(features, (side, side), strides=stride, padding=(pads, pads), name=name)
        return nn.relu(layer(x))

    def _halve(self, x: jax.Array) -> jax.Array:
        """3×3 pool of stride 2 that keeps a last window hanging over the edge, as Caffe does."""
        height, width = x.shape[1:3]
        over = ((0, 0), (0, 1 - height % 2), (0, 1 - width % 2), (0, 0))
        return pool(jnp.pad(x, over, mode="edge"), self.options, size=3, stride=2)


def response_norm(x: jax.Array) -> jax.Array:
    """x / (1 + α/5 · Σ x²)^β, [..., C] → [..., C]; Σ is over a channel and two on either side."""
    reach, channels = CHANNELS // 2, x.shape[-1]
    squares = jnp.pad(x * x, [(0, 0)] * (x.ndim - 1) + [(reach, reach)])
    total = sum(squares[..., i : i + channels] for i in range(CHANNELS))
    return x / (1 + ALPHA / CHANNELS * total) ** BETA


def takes(side: int) -> bool:
    """Whether a picture may have a side of so many pixels: a half, and three pools of 3 more, must
    leave two for the last."""
    return side >= 31


def tap_names() -> tuple[str, ...]:
    """Every tap: the convolutions of the stem after ReLU, and each module's result."""
    return ("conv1", "conv2_reduce", "conv2", *MODULES)


def build(*, frozen: bool, options: Options, classes: int | None) -> InceptionV1:
    """The module for the registry; a float network is the same frozen or not."""
    del frozen
    return InceptionV1(classes, options)


def keras_name(name: str) -> str:
    """What `inception_3a_3x3_reduce` is in Caffe's definition: `inception_3a/3x3_reduce`."""
    return re.sub(r"^(inception_\d.|conv\d|loss3)_", r"\1/", name)


ENTRIES = (
    Entry(
        name="inception_v1",
        build=build,
        normalize=partial(bgr, mean=BGR_MEAN),
        options=Options(),
        taps=tap_names(),
        # Those of Lucid's style transfer through this architecture.
        style_taps=("conv2", "inception_3a", "inception_4a", "inception_4b", "inception_4c"),
        content_taps=("inception_3b",),
        takes=takes,
        stride=32,
        classes=CLASSES,
        top1=68.7,
        top5=88.9,
        parameters=6_998_552,
        mebibytes=26.70,
        paper="Szegedy et al., arXiv 1409.4842",
        keras_name=keras_name,
    ),
)
