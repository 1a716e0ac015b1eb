"""The QuickNets of Larq Zoo 2.x (2021): small, normal and large.

Bannink et al., *Larq Compute Engine* (arXiv 2011.09398); ``larq_zoo/sota/quicknet.py``. The older
generation of the same name is `bnnjax.models.quicknet_v0`.

Layers are named like the taps: ``stem_conv``, ``section2_block1_conv`` …

Taps, from the picture to the logits:

- ``stem_conv``: the first convolution after its norm and ReLU (stride 2);
- ``stem_depthwise``: the second convolution after its norm (stride 4);
- ``stem``: the third convolution (1×1) after its norm, the start of the residual stream;
- ``section2_transition``: the residual stream at half the size and with more channels;
- ``section2_block1_conv``: integer result of that block's binary convolution;
- ``section2_block1``: the residual stream after the block;
- ``section2``: the residual stream at the end of the section.
"""

from functools import partial
from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import (
    BatchNorm,
    BlurPool,
    Options,
    QuantConv,
    QuantDense,
    QuantDepthwiseConv,
    add_shortcut,
    pool,
)
from bnnjax.models.entry import Card, Entry, Sizes, Style, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.tapped import Tapped

CLIP = 1.25
STEM_EPSILON = 1e-3  # Keras' default, which the original does not override in the stem


def binary_conv(features: int, name: str, *, options: Options, stride: int = 1) -> QuantConv:
    """The binary 3×3 convolution of all QuickNets, padded with +1."""
    return QuantConv(
        features,
        strides=stride,
        pad_values=1,
        input_quantizer=options.input_quantizer,
        kernel_quantizer=partial(quant.ste_sign, clip=CLIP),
        weight_clip=CLIP,
        name=name,
    )


class QuickNet(Tapped):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    For sizes, see `takes`."""

    filters: tuple[int, ...]
    blocks: tuple[int, ...]
    num_classes: int | None = CLASSES
    options: Options = Options(clip=CLIP)

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self._stem(x, train)
        for section, (count, features) in enumerate(
            zip(self.blocks, self.filters, strict=True), start=1
        ):
            if section > 1:
                name = f"section{section}_transition"
                x = self.tap(name, self._transition(x, features, name, train))
            for block in range(1, count + 1):
                x = self._block(x, f"section{section}_block{block}", train)
            x = self.tap(f"section{section}", x)
        if self.num_classes is None:
            return None
        pooled = nn.relu(x).mean(axis=(1, 2))
        return QuantDense(self.num_classes, use_bias=True, name="dense")(pooled)

    def _stem(self, x: Array, train: bool) -> Array:
        x = self._conv(self.filters[0] // 4, 3, "stem_conv", stride=2)(x)
        x = self.tap("stem_conv", nn.relu(self._stem_norm("stem_conv_norm")(x, train=train)))
        x = QuantDepthwiseConv(strides=2, name="stem_depthwise")(x)
        norm = self._stem_norm("stem_depthwise_norm", use_scale=False, use_bias=False)
        x = self.tap("stem_depthwise", norm(x, train=train))
        x = self._conv(self.filters[0], 1, "stem_pointwise")(x)
        return self.tap("stem", self._stem_norm("stem_norm")(x, train=train))

    def _transition(self, x: Array, features: int, name: str, train: bool) -> Array:
        x = pool(nn.relu(x), self.options, stride=1)
        x = BlurPool(name=f"{name}_blur")(x)
        x = self._conv(features, 1, f"{name}_conv")(x)
        return self._norm(f"{name}_norm")(x, train=train)

    def _block(self, x: Array, name: str, train: bool) -> Array:
        conv = binary_conv(x.shape[3], f"{name}_conv", options=self.options)
        y = self.tap(f"{name}_conv", conv(x))
        # ReLU is the convolution's activation, so it precedes the batch norm.
        y = self._block_norm(f"{name}_norm")(nn.relu(y), train=train)
        return self.tap(name, add_shortcut(y, x, self.options))

    def _conv(self, features: int, side: int, name: str, *, stride: int = 1) -> QuantConv:
        # A float convolution, but a QuantConv2D in the original, and so named in its files.
        return QuantConv(features, side, strides=stride, name=name)

    def _norm(self, name: str) -> BatchNorm:
        return BatchNorm(epsilon=1e-5, momentum=0.9, name=name)

    def _block_norm(self, name: str) -> BatchNorm:
        return self._norm(name)

    def _stem_norm(self, name: str, **flags: Any) -> BatchNorm:
        return BatchNorm(epsilon=STEM_EPSILON, momentum=0.99, name=name, **flags)


def takes(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: three halvings must leave one cell."""
    return side >= 29


def _entry(
    name: str,
    filters: tuple[int, ...],
    blocks: tuple[int, ...],
    sha256: str,
    sha256_notop: str,
    **published: Any,
) -> Entry:
    return Entry(
        name=name,
        build=partial(QuickNet, filters, blocks),
        normalize=normalize,
        sizes=Sizes(takes, stride=32),
        card=Card(
            paper="Bannink et al., Larq Compute Engine, arXiv 2011.09398",
            num_classes=CLASSES,
            **published,
        ),
        weights=Weights(release_files(name, sha256, sha256_notop, release="quicknet-v1.0")),
        style=Style(
            style_taps=("stem_conv", "stem_depthwise", "stem", "section1", "section2", "section3"),
            content_taps=("section3",),
        ),
    )


ENTRIES = (
    _entry(
        "quicknet_small",
        (32, 64, 256, 512),
        (4, 4, 4, 4),
        "1ac3b07df7f5a911dd0b49febb2486428ddf1ca130297c403815dfae5a1c71a2",
        "be8ba657155846be355c5580d1ea56eaf8282616de065ffc39257202f9f164ea",
        top1=59.4,
        top5=81.8,
        parameters=12_655_688,
        mebibytes=4.00,
    ),
    _entry(
        "quicknet",
        (64, 128, 256, 512),
        (4, 4, 4, 4),
        "8aba9e4e5f8d342faef04a0b2ae8e562da57dbb7d15162e8b3e091c951ba756c",
        "204414e438373f14f6056a1c098249f505a87dd238e18d3a47a9bd8b66227881",
        top1=63.3,
        top5=84.6,
        parameters=13_234_088,
        mebibytes=4.17,
    ),
    _entry(
        "quicknet_large",
        (64, 128, 256, 512),
        (6, 8, 12, 6),
        "c5158e8a59147b31370becd937825f4db8a5cdf308314874f678f596629be45c",
        "adcf154a2a8007e81bd6af77c035ffbf54cd6413b89a0ba294e23e76a82a1b78",
        top1=66.9,
        top5=87.0,
        parameters=23_342_248,
        mebibytes=5.40,
    ),
)
