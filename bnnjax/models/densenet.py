"""BinaryDenseNet with 28, 37 or 45 layers, and with 37 layers and dilated convolutions.

Bethge et al. 2019 (arXiv 1906.08637); ``larq_zoo/literature/densenet.py``.

Layers are named like the taps: ``stem_conv``, ``section2_block1_conv`` …

Taps, from the picture to the logits:

- ``stem_conv``: the first convolution after its norm and ReLU (stride 2);
- ``stem``: after the pool (stride 4), the start of the stream;
- ``section2_transition``: the stream with fewer channels, at half the size unless dilated
  convolutions follow;
- ``section2_block1_conv``: integer result of that block's binary convolution;
- ``section2_block1``: the stream after that result was appended;
- ``section2``: the stream at the end of the section;
- ``head``: after the last norm and ReLU.
"""

from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import Options, pool
from bnnjax.models import quicknet
from bnnjax.models.entry import Card, Entry, Sizes, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import STYLE, LiteratureNet

CLIP = 1.3
INITIAL = 64  # channels of the stem
GROWTH = 64  # channels that a block adds


class BinaryDenseNet(LiteratureNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    Transitions pool unless the convolutions of the next section are dilated.

    Larq has another stem for pictures smaller than 50 px but no weights for it; here, one stem
    serves all sizes.

    Attributes:
      blocks: the number of blocks in each section.
      reductions: the factors by which the transitions reduce the number of channels.
      dilations: the dilation of each section's binary convolutions.
    """

    options: Options = Options(clip=CLIP)
    blocks: tuple[int, ...] = (6, 6, 6, 5)
    reductions: tuple[float, ...] = (2.7, 2.7, 2.2)
    dilations: tuple[int, ...] = (1, 1, 1, 1)

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self._stem(x, train)
        for section, count in enumerate(self.blocks, start=1):
            if section > 1:
                x = self.tap(f"section{section}_transition", self._transition(x, section, train))
            for block in range(1, count + 1):
                name, dilation = f"section{section}_block{block}", self.dilations[section - 1]
                x = self._block(x, name, dilation, train)
            x = self.tap(f"section{section}", x)
        x = self.tap("head", nn.relu(self.norm("head_norm")(x, train=train)))
        return self.classify(x)

    def _stem(self, x: Array, train: bool) -> Array:
        x = self.conv(INITIAL, 7, "stem_conv", stride=2)(x)
        x = self.tap("stem_conv", nn.relu(self.norm("stem_conv_norm")(x, train=train)))
        return self.tap("stem", pool(x, self.options, size=3, padding="SAME"))

    def _block(self, x: Array, name: str, dilation: int, train: bool) -> Array:
        y = self.norm(f"{name}_norm")(x, train=train)
        conv = self.binary_conv(
            GROWTH,
            f"{name}_conv",
            kernel_quantizer=partial(quant.ste_sign, clip=CLIP),
            weight_clip=CLIP,
            dilation=(dilation, dilation),
        )
        y = self.tap(f"{name}_conv", conv(y))
        return self.tap(name, jnp.concatenate([x, y], axis=3))

    def _transition(self, x: Array, section: int, train: bool) -> Array:
        name, reduction = f"section{section}_transition", self.reductions[section - 2]
        features = round(x.shape[3] // reduction / 32) * 32
        x = self.norm(f"{name}_norm")(x, train=train)
        if self.dilations[section - 1] == 1:
            x = pool(x, self.options)
        return self.conv(features, 1, f"{name}_conv")(nn.relu(x))


def takes_dilated(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: its only pooling transition needs 2."""
    return side >= 5


def _entry(
    name: str,
    blocks: tuple[int, ...],
    reductions: tuple[float, ...],
    sha256: str,
    sha256_notop: str,
    *,
    dilations: tuple[int, ...] = (1, 1, 1, 1),
    release_notop: str = "",
    **others: Any,
) -> Entry:
    dilated = max(dilations) > 1
    return Entry(
        name=name,
        build=partial(BinaryDenseNet, blocks=blocks, reductions=reductions, dilations=dilations),
        normalize=normalize,
        sizes=Sizes(takes_dilated if dilated else quicknet.takes, stride=32),
        card=Card(
            paper="Bethge et al., Back to Simplicity, arXiv 1906.08637",
            num_classes=CLASSES,
            **others,
        ),
        weights=Weights(
            files=release_files(
                name.replace("densenet", "densenet_"),
                sha256,
                sha256_notop,
                release="binary_densenet-v0.1.0",
                release_notop=release_notop,
            ),
        ),
        style=STYLE,
    )


ENTRIES = (
    _entry(
        "binary_densenet28",
        (6, 6, 6, 5),
        (2.7, 2.7, 2.2),
        "21fe3ca03eed244df9c41a2219876fcf03e73800932ec96a3e2a76af4747ac53",
        "a376df1e41772c4427edd1856072b934a89bf293bf911438bf6f751a9b2a28f5",
        top1=60.91,
        top5=82.83,
        parameters=5_150_504,
        mebibytes=4.12,
    ),
    _entry(
        "binary_densenet37",
        (6, 8, 12, 6),
        (3.3, 3.3, 4),
        "8056a5d52c3ed86a934893987d09a06f59a5166aa9bddcaedb050f111d0a7d76",
        "4e12bca9fd27580a5b833241c4eb35d6cc332878c406048e6ca8dbbc78d59175",
        top1=62.89,
        top5=84.19,
        parameters=8_734_120,
        mebibytes=5.25,
    ),
    _entry(
        "binary_densenet37_dilated",
        (6, 8, 12, 6),
        (3.3, 3.3, 4),
        "15c1bcd79b8dc22971382fbf79acf364a3f51049d0e584a11533e6fdbb7363d3",
        "8b31fbfdc8de08a46c6adcda1ced48ace0a2ff0ce45a05c72b2acc27901dd88b",
        dilations=(1, 1, 2, 4),
        release_notop="binary_densenet-v0.1.1",
        top1=64.34,
        top5=85.15,
        parameters=8_734_120,
        mebibytes=5.25,
    ),
    _entry(
        "binary_densenet45",
        (6, 12, 14, 8),
        (2.7, 3.3, 4),
        "d00a0d26fbd2dba1bfba8c0306c770f3aeea5c370e99f963bb239bd916f72c37",
        "e72d5cc6b0afe4612f8be7b1f9bb48a53ba2c8468b57bf1266d2900c99fd2adf",
        top1=64.59,
        top5=85.21,
        parameters=13_939_240,
        mebibytes=7.54,
    ),
)
