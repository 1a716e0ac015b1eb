"""The QuickNets of Larq Zoo 1.0.5, whose weights are called v0.2 (2020).

Bannink et al., *Larq Compute Engine* (arXiv 2011.09398); ``larq_zoo/sota/quicknet.py`` at v1.0.5.
The QuickNets of Larq Zoo 2.x have other transitions and another stem.

Layers are named like the taps: ``stem_conv``, ``section2_block1_conv`` …

Taps, from the picture to the logits:

- ``stem_conv``: the first convolution (8 channels at stride 2);
- ``stem_depthwise``: the second convolution after its ReLU (64 channels at stride 4);
- ``stem``: after its batch norm, the start of the residual stream;
- ``section2_block1_conv``: integer result of that block's binary convolution;
- ``section2_block1``: the residual stream after the block; the first block of sections 2, 3
  and 4 is the transition to half the size and twice the channels;
- ``section2``: the residual stream at the end of the section.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax.layers import BatchNorm, Conv, DepthwiseConv, Options, add_shortcut, pool
from bnnjax.models.entry import Card, Entry, ReleaseFile, Sizes, Style, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.quicknet import CLIP, binary_conv
from bnnjax.models.tapped import Tapped

BLOCKS = (2, 3, 4, 4)
FILTERS = (64, 128, 256, 512)
REDUCTION = 16  # of the channels in squeeze-and-excite


class QuickNetV0(Tapped):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    For sizes, see `takes`.

    A transition concatenates the pooled stream with the block's result, or (``pointwise``) adds the
    result to a 1×1 convolution of the pooled stream. Blocks in the sections ``excited`` are
    weighted by squeeze-and-excite (Hu et al. 2018, arXiv 1709.01507).
    """

    blocks: tuple[int, ...] = BLOCKS
    pointwise: bool = False
    excited: tuple[int, ...] = ()
    num_classes: int | None = CLASSES
    options: Options = Options(clip=CLIP)

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self._stem(x, train)
        for section, count in enumerate(self.blocks, start=1):
            for block in range(1, count + 1):
                name = f"section{section}_block{block}"
                if section == 1 or block > 1:
                    y = self._conv_block(x, x.shape[3], section, name, train)
                    x = add_shortcut(y, x, self.options)
                elif self.pointwise:
                    x = self._pointwise_transition(x, section, name, train)
                else:
                    x = self._concat_transition(x, section, name, train)
                x = self.tap(name, x)
            x = self.tap(f"section{section}", x)
        if self.num_classes is None:
            return None
        return nn.Dense(self.num_classes, name="dense")(nn.relu(x).mean(axis=(1, 2)))

    def _stem(self, x: Array, train: bool) -> Array:
        x = self.tap("stem_conv", self._conv(8, 3, "stem_conv", stride=2)(x))
        depthwise = DepthwiseConv(multiplier=8, strides=2, name="stem_depthwise")
        x = self.tap("stem_depthwise", nn.relu(depthwise(x)))
        return self.tap("stem", self._norm("stem_norm")(x, train=train))

    def _concat_transition(self, x: Array, section: int, name: str, train: bool) -> Array:
        shortcut = self._norm(f"{name}_shortcut_norm")(pool(x, self.options), train=train)
        deep = self._conv_block(x, x.shape[3], section, name, train, stride=2)
        return jnp.concatenate([shortcut, add_shortcut(deep, shortcut, self.options)], axis=3)

    def _pointwise_transition(self, x: Array, section: int, name: str, train: bool) -> Array:
        features = FILTERS[section - 1]
        conv = self._conv(features, 1, f"{name}_shortcut_conv")
        shortcut = conv(pool(x, self.options))
        shortcut = self._norm(f"{name}_shortcut_norm")(shortcut, train=train)
        deep = self._conv_block(x, features, section, name, train, stride=2)
        return add_shortcut(deep, shortcut, self.options)

    def _conv_block(
        self,
        x: Array,
        features: int,
        section: int,
        name: str,
        train: bool,
        stride: int = 1,
    ) -> Array:
        gate = self._gate(x, features, name) if section in self.excited else 1.0
        conv = binary_conv(features, f"{name}_conv", options=self.options, stride=stride)
        x = self.tap(f"{name}_conv", conv(x))
        # ReLU is the convolution's activation, so it precedes the batch norm.
        return self._norm(f"{name}_norm")(nn.relu(x), train=train) * gate

    def _gate(self, x: Array, features: int, name: str) -> Array:
        """Squeeze-and-excite: a factor in (0, 1) per channel, from the block's real input."""
        squeeze = nn.Dense(x.shape[3] // REDUCTION, use_bias=False, name=f"{name}_squeeze")
        excite = nn.Dense(features, use_bias=False, name=f"{name}_excite")
        return nn.sigmoid(excite(nn.relu(squeeze(x.mean(axis=(1, 2))))))[:, None, None]

    def _conv(self, features: int, side: int, name: str, *, stride: int = 1) -> Conv:
        return Conv(features, side, strides=stride, name=name)

    def _norm(self, name: str) -> BatchNorm:
        return BatchNorm(epsilon=1e-5, momentum=0.9, name=name)


def takes(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: 32k − 3 … 32k.

    A transition adds a pooled tensor (⌊n/2⌋ cells) to a strided one (⌈n/2⌉): n must be even.
    """
    quarter = -(-side // 4)
    return quarter > 0 and quarter % 8 == 0


def _entry(
    name: str,
    build: partial[QuickNetV0],
    files: tuple[ReleaseFile, ...],
    **published: Any,
) -> Entry:
    return Entry(
        name=name,
        build=build,
        normalize=normalize,
        sizes=Sizes(takes, stride=32),
        card=Card(
            paper="Bannink et al., Larq Compute Engine, arXiv 2011.09398",
            num_classes=CLASSES,
            **published,
        ),
        weights=Weights(files),
        style=Style(
            style_taps=("stem_conv", "stem_depthwise", "stem", "section1", "section2", "section3"),
            content_taps=("section3",),
        ),
    )


ENTRIES = (
    _entry(
        "quicknet_v0",
        partial(QuickNetV0, blocks=BLOCKS),
        release_files(
            "quicknet",
            "7b4fa94f5241c7aad3412ca42b5db6517dbc4847cff710cb82be10c2f83bc0be",
            "359eed6dae43525eddf520ea87ec9b54750ee0e022647775d115a38856be396f",
            release="quicknet-v0.2.1",
        ),
        top1=58.6,
        top5=81.0,
        parameters=10_518_528,
        mebibytes=3.21,
    ),
    _entry(
        "quicknet_large_v0",
        partial(QuickNetV0, blocks=(4, 4, 4, 4), pointwise=True, excited=(3, 4)),
        release_files(
            "quicknet_large",
            "6bf778e243466c678d6da0e3a91c77deec4832460046fca9e6ac8ae97a41299c",
            "b65d59dd2d5af63d019997b05faff9e003510e2512aa973ee05eb1b82b8792a9",
            release="quicknet_large-v0.2.1",
        ),
        top1=62.7,
        top5=84.0,
        # As published for v0.1.0, which had squeeze-and-excite in all sections (8,960 more).
        parameters=11_837_696,
        mebibytes=4.56,
    ),
    _entry(
        "quicknet_xl_v0",
        partial(QuickNetV0, blocks=(6, 8, 12, 6), pointwise=True, excited=(3, 4)),
        release_files(
            "quicknet_xl",
            "19a41e753dbd4fbc3cbdaecd3627fb536ef55d64702996aae3875a8de3cf8073",
            "ad5cbfa333b0aabde75dc524c9ce4a5ae096061da0e2dcf362ec6e587a83a511",
            release="quicknet_xl-v0.1.1",
        ),
        top1=67.0,
        top5=87.3,
        parameters=22_058_368,
        mebibytes=6.22,
    ),
)
