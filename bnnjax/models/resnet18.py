"""Bi-Real Net and ResNet-E: ResNet-18 with a shortcut around every binary convolution.

Liu et al. 2018 (arXiv 1808.00278) and Bethge et al. 2019 (arXiv 1906.08637);
``larq_zoo/literature/birealnet.py`` and ``resnet_e.py``.

Parameters are named as the taps are: ``stem_conv``, ``section2_block1_conv`` …
"""

from functools import partial
from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Options, QuantConv, avg_pool, pool
from bnnjax.models import quicknet_v0
from bnnjax.models.entry import Entry
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import LiteratureNet, any_size, release_files

FILTERS = (64, 128, 256, 512)
BLOCKS = 4  # a section
CLIP = 1.25  # of ResNet-E


def tap_names() -> tuple[str, ...]:
    """Every tap, from the picture to the logits.

    - ``stem_conv``: the first convolution after its norm (and, of ResNet-E, ReLU), stride 2;
    - ``stem``: after the pool, the start of the residual stream (stride 4);
    - ``section2_block1_conv``: result of that block's binary convolution: whole numbers, of Bi-Real
      Net times a scale a channel;
    - ``section2_block1``: the residual stream after the block; the first block of sections 2, 3
      and 4 makes it half the size, of twice the channels;
    - ``section2``: the residual stream at the end of the section.
    """
    names = ["stem_conv", "stem"]
    for section in range(1, len(FILTERS) + 1):
        for block in range(1, BLOCKS + 1):
            names += [f"section{section}_block{block}_conv", f"section{section}_block{block}"]
        names.append(f"section{section}")
    return tuple(names)


class BiRealNet(LiteratureNet):
    """[N, H, W, 3] normalised pictures → (logits [N, classes], taps); without ``classes`` no logits
    but None. Takes any size."""

    options: Options = Options(pseudo_gradient="approx_sign")

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> tuple[Array | None, dict[str, Array]]:
        taps: dict[str, Array] = {}
        x = self._stem(x, taps, train)
        for section, features in enumerate(FILTERS, start=1):
            for block in range(1, BLOCKS + 1):
                x = self._block(x, features, f"section{section}_block{block}", taps, train)
            taps[f"section{section}"] = x
        return self.classify(self._end(x)), taps

    def _stem(self, x: Array, taps: dict[str, Array], train: bool) -> Array:
        x = self.conv(FILTERS[0], 7, "stem_conv", stride=2)(x)
        taps["stem_conv"] = x = self._norm("stem_conv_norm")(x, train=train)
        taps["stem"] = x = pool(x, self.options, size=3, padding="SAME")
        return x

    def _block(
        self, x: Array, features: int, name: str, taps: dict[str, Array], train: bool
    ) -> Array:
        halves = x.shape[3] != features
        shortcut = self._shortcut(x, features, name, train) if halves else x
        taps[f"{name}_conv"] = x = self._sign_conv(features, f"{name}_conv", 1 + halves)(x)
        taps[name] = x = self._norm(f"{name}_norm")(x, train=train) + shortcut
        return x

    def _shortcut(self, x: Array, features: int, name: str, train: bool) -> Array:
        x = self.conv(features, 1, f"{name}_shortcut_conv")(self._halved(x))
        return self._norm(f"{name}_shortcut_norm")(x, train=train)

    # What is different in ResNet-E.

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
    """[N, H, W, 3] normalised pictures → (logits [N, classes], taps); without ``classes`` no logits
    but None. `quicknet_v0.takes` says what sizes: its transitions have the same pools.

    Larq gives pictures of less than 50 px another stem, for which there are no weights; here they
    meet the stem of all others.
    """

    options: Options = Options(clip=CLIP)

    def _stem(self, x: Array, taps: dict[str, Array], train: bool) -> Array:
        x = self.conv(FILTERS[0], 7, "stem_conv", stride=2)(x)
        taps["stem_conv"] = x = nn.relu(self._norm("stem_conv_norm")(x, train=train))
        x = pool(x, self.options, size=3, padding="SAME")
        taps["stem"] = x = self._norm("stem_norm")(x, train=train)
        return x

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


def _entry(name: str, build: type[BiRealNet], **others: Any) -> Entry:
    return Entry(
        name=name,
        build=build,
        normalize=normalize,
        options=build.options,
        taps=tap_names(),
        style_taps=("stem_conv", "stem", "section1", "section2", "section3"),
        content_taps=("section3",),
        stride=32,
        classes=CLASSES,
        **others,
    )


ENTRIES = (
    _entry(
        "birealnet",
        BiRealNet,
        takes=any_size,
        paper="Liu et al., Bi-Real Net, arXiv 1808.00278",
        files=release_files(
            "birealnet",
            "6e6efac1584fcd60dd024198c87f42eb53b5ec719a5ca1f527e1fe7e8b997117",
            "5148b61c0c2a1094bdef811f68bf4957d5ba5f83ad26437b7a4a6855441ab46b",
            release="birealnet-v0.3.0",
        ),
        top1=57.47,
        top5=79.84,
        parameters=11_699_112,
        mebibytes=4.03,
    ),
    _entry(
        "binary_resnet_e18",
        BinaryResNetE18,
        takes=quicknet_v0.takes,
        paper="Bethge et al., Back to Simplicity, arXiv 1906.08637",
        files=release_files(
            "resnet_e_18",
            "bde4a64d42c164a7b10a28debbe1ad5b287c499bc0247ecb00449e6e89f3bf5b",
            "14cb037e47d223827a8d09db88ec73d60e4153a4464dca847e5ae1a155e7f525",
            release="resnet_e-v0.1.0",
        ),
        top1=58.32,
        top5=80.79,
        parameters=11_699_368,
        mebibytes=4.03,
    ),
)
