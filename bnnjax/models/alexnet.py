"""BinaryAlexNet: every layer is binary, including the first (on real-valued input) and the last.

Hubara et al. 2016 (NIPS, *Binarized Neural Networks*); ``larq_zoo/literature/binary_alex_net.py``.

Layers are named like the taps: ``section1_conv`` … and ``dense1`` to ``dense3``.

Taps, from the picture to the features:

- ``section2_conv``: integer result of that section's binary convolution; the result of section 1
  (stride 4) is not an integer because its input is not binary;
- ``section2``: after the pool (sections 3 and 4 have none) and the norm.
"""

from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantConv, pool
from bnnjax.models.entry import Card, Entry, Sizes, Style, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import LiteratureNet

# (channels, side of the kernel, whether a pool follows)
SECTIONS = ((64, 11, True), (192, 5, True), (384, 3, False), (384, 3, False), (256, 3, True))
GRID = (6, 6)  # of the features that the classifier takes


class BinaryAlexNet(LiteratureNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None. For sizes, see `takes`.

    The logits are None without ``num_classes``, and for sides other than 217 to 248 px, whose
    features are not the 6×6 that the classifier needs. ``hidden`` is the classifier's width.
    """

    hidden: int = 4096

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        for section, (features, side, pooled) in enumerate(SECTIONS, start=1):
            name = f"section{section}"
            conv = self._first_conv if section == 1 else self._sign_conv
            x = self.tap(f"{name}_conv", conv(features, f"{name}_conv", side)(x))
            if pooled:  # before the norm
                x = pool(x, self.options, size=3)
            x = self.tap(name, self._norm(f"{name}_norm")(x, train=train))
        if self.num_classes is None or x.shape[1:3] != GRID:
            return None
        x = x.reshape(x.shape[0], 1, 1, -1)
        for layer, features in enumerate((self.hidden, self.hidden, self.num_classes), start=1):
            x = self._sign_conv(features, f"dense{layer}", 1)(x)
            x = self._norm(f"dense{layer}_norm")(x, train=train)
        return x[:, 0, 0]

    def _first_conv(self, features: int, name: str, side: int) -> QuantConv:
        return self._sign_conv(features, name, side, stride=4, input_quantizer=None)

    def _sign_conv(self, features: int, name: str, side: int, **others: Any) -> QuantConv:
        sign = quant.ste_sign
        return self.binary_conv(
            features, name, side=side, kernel_quantizer=sign, weight_clip=1.0, **others
        )

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name, epsilon=1e-3, use_scale=False)


def takes(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: three pools must leave one cell."""
    return side >= 57


ENTRIES = (
    Entry(
        name="binary_alexnet",
        build=BinaryAlexNet,
        normalize=normalize,
        sizes=Sizes(takes, stride=32, example=(224, 224)),
        card=Card(
            paper="Hubara et al., Binarized Neural Networks, NIPS 2016",
            num_classes=CLASSES,
            top1=36.30,
            top5=61.53,
            parameters=61_859_192,
            mebibytes=7.49,
        ),
        weights=Weights(
            files=release_files(
                "binary_alexnet",
                "7fc065c47c5c1d92389e0bb988ce6df6a4fa09d803b866e2ba648069d6652d63",
                "1d41b33ff39cd28d13679392641bf7711174a96d182417f91df45d0548f5bb47",
                release="binary_alexnet-v0.3.0",
                release_notop="binary_alexnet-v0.2.1",
            ),
        ),
        style=Style(
            style_taps=("section1_conv", "section1", "section2", "section3"),
            content_taps=("section3",),
        ),
    ),
)
