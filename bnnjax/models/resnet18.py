"""Bi-Real Net and ResNet-E: ResNet-18 with a shortcut around every binary convolution.

Liu et al. 2018 (arXiv 1808.00278) and Bethge et al. 2019 (arXiv 1906.08637);
``larq_zoo/literature/birealnet.py`` and ``resnet_e.py``.

Layers are named like the taps: ``stem_conv``, ``section2_block1_conv`` …

Taps, from the picture to the logits:

- ``stem_conv``: the first convolution after its norm (and ReLU in ResNet-E), stride 2;
- ``stem``: after the pool, the start of the residual stream (stride 4);
- ``section2_block1_conv``: result of that block's binary convolution: integers, times one scale
  per channel in Bi-Real Net;
- ``section2_block1``: the residual stream after the block; the first block of sections 2, 3
  and 4 halves its size and doubles its channels;
- ``section2``: the residual stream at the end of the section.
"""

from functools import partial
from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Options, QuantConv, add_shortcut, avg_pool, pool
from bnnjax.models import quicknet_v0
from bnnjax.models.entry import Card, Entry, ReleaseFile, Sizes, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import STYLE, LiteratureNet, any_size

FILTERS = (64, 128, 256, 512)
BLOCKS = 4  # per section
CLIP = 1.25  # of ResNet-E


class BiRealNet(LiteratureNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    Takes any size."""

    options: Options = Options(pseudo_gradient="approx_sign")

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self._stem(x, train)
        for section, features in enumerate(FILTERS, start=1):
            for block in range(1, BLOCKS + 1):
                x = self._block(x, features, f"section{section}_block{block}", train)
            x = self.tap(f"section{section}", x)
        return self.classify(self._end(x))

    def _stem(self, x: Array, train: bool) -> Array:
        x = self.conv(FILTERS[0], 7, "stem_conv", stride=2)(x)
        x = self.tap("stem_conv", self._norm("stem_conv_norm")(x, train=train))
        return self.tap("stem", pool(x, self.options, size=3, padding="SAME"))

    def _block(self, x: Array, features: int, name: str, train: bool) -> Array:
        halves = x.shape[3] != features
        shortcut = self._shortcut(x, features, name, train) if halves else x
        x = self.tap(f"{name}_conv", self._sign_conv(features, f"{name}_conv", 1 + halves)(x))
        x = self._norm(f"{name}_norm")(x, train=train)
        return self.tap(name, add_shortcut(x, shortcut, self.options))

    def _shortcut(self, x: Array, features: int, name: str, train: bool) -> Array:
        x = self.conv(features, 1, f"{name}_shortcut_conv")(self._halved(x))
        return self._norm(f"{name}_shortcut_norm")(x, train=train)

    # ResNet-E overrides the following.

    def _halved(self, x: Array) -> Array:
        return avg_pool(x, padding="SAME")

    def _end(self, x: Array) -> Array:
        return x

    def _sign_conv(self, features: int, name: str, stride: int) -> QuantConv:
        scaled_sign = quant.magnitude_aware_sign
        return self.binary_conv(
            features, name, stride=stride, kernel_quantizer=scaled_sign, weight_clip=1.0
        )

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name, epsilon=1e-3, momentum=0.8)


class BinaryResNetE18(BiRealNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    For sizes, see `quicknet_v0.takes`: the transitions have the same pools.

    Larq has another stem for pictures smaller than 50 px but no weights for it; here, one stem
    serves all sizes.
    """

    options: Options = Options(clip=CLIP)

    def _stem(self, x: Array, train: bool) -> Array:
        x = self.conv(FILTERS[0], 7, "stem_conv", stride=2)(x)
        x = self.tap("stem_conv", nn.relu(self._norm("stem_conv_norm")(x, train=train)))
        x = pool(x, self.options, size=3, padding="SAME")
        return self.tap("stem", self._norm("stem_norm")(x, train=train))

    def _halved(self, x: Array) -> Array:
        return avg_pool(x)

    def _end(self, x: Array) -> Array:
        return nn.relu(x)

    def _sign_conv(self, features: int, name: str, stride: int) -> QuantConv:
        sign = partial(quant.ste_sign, clip=CLIP)
        return self.binary_conv(
            features, name, stride=stride, kernel_quantizer=sign, weight_clip=CLIP
        )

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name)


def _entry(
    name: str,
    build: type[BiRealNet],
    sizes: Sizes,
    files: tuple[ReleaseFile, ...],
    **published: Any,
) -> Entry:
    return Entry(
        name=name,
        build=build,
        normalize=normalize,
        sizes=sizes,
        card=Card(num_classes=CLASSES, **published),
        weights=Weights(files),
        style=STYLE,
    )


ENTRIES = (
    _entry(
        "birealnet",
        BiRealNet,
        Sizes(any_size, stride=32),
        release_files(
            "birealnet",
            "6e6efac1584fcd60dd024198c87f42eb53b5ec719a5ca1f527e1fe7e8b997117",
            "5148b61c0c2a1094bdef811f68bf4957d5ba5f83ad26437b7a4a6855441ab46b",
            release="birealnet-v0.3.0",
        ),
        paper="Liu et al., Bi-Real Net, arXiv 1808.00278",
        top1=57.47,
        top5=79.84,
        parameters=11_699_112,
        mebibytes=4.03,
    ),
    _entry(
        "binary_resnet_e18",
        BinaryResNetE18,
        Sizes(quicknet_v0.takes, stride=32),
        release_files(
            "resnet_e_18",
            "bde4a64d42c164a7b10a28debbe1ad5b287c499bc0247ecb00449e6e89f3bf5b",
            "14cb037e47d223827a8d09db88ec73d60e4153a4464dca847e5ae1a155e7f525",
            release="resnet_e-v0.1.0",
        ),
        paper="Bethge et al., Back to Simplicity, arXiv 1906.08637",
        top1=58.32,
        top5=80.79,
        parameters=11_699_368,
        mebibytes=4.03,
    ),
)
