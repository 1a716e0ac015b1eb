"""XNOR-Net: an AlexNet whose binary kernels have one scale per output channel.

Rastegari et al. 2016 (arXiv 1603.05279); ``larq_zoo/literature/xnornet.py``.

Layers are named like the taps: ``stem_conv``, ``section1_conv`` … and ``dense1``, ``dense2``.

Taps, from the picture to the features:

- ``stem_conv``: the first convolution after its norm and ReLU (stride 4);
- ``stem``: after the pool and a norm (stride 8);
- ``section2_conv``: result of that section's binary convolution: integers times one scale per
  channel;
- ``section2``: after the pool (sections 1 and 4 only) and the norm. Section 5 replaces AlexNet's
  first dense layer: each of its pixels sees 6×6 of section 4.
"""

from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantConv, pool
from bnnjax.models.entry import Card, Entry, Sizes, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import STYLE, LiteratureNet

# (channels, side of the kernel, whether a pool follows); a fifth section has ``hidden`` channels.
SECTIONS = ((256, 5, True), (384, 3, False), (384, 3, False), (256, 3, True))
GRID = 6  # side of the last convolution, which was AlexNet's first dense layer


class XNORNet(LiteratureNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None. For sizes, see `takes`.

    The logits are None without ``num_classes``, and for sides other than 217 to 248 px, where
    section 5 has more than the single pixel that the classifier needs. ``hidden`` is the
    classifier's width.
    """

    hidden: int = 4096

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self._stem(x, train)
        last = (self.hidden, GRID, False)
        for section, (features, side, pooled) in enumerate((*SECTIONS, last), start=1):
            name = f"section{section}"
            padding = "VALID" if side == GRID else "SAME"
            conv = self._sign_conv(features, f"{name}_conv", side=side, padding=padding)
            x = self.tap(f"{name}_conv", conv(x))
            if pooled:  # before the norm
                x = pool(x, self.options, size=3)
            x = self.tap(name, self._norm(f"{name}_norm")(x, train=train))
        if self.num_classes is None or x.shape[1:3] != (1, 1):
            return None
        x = self._sign_conv(self.hidden, "dense1", side=1)(x)
        x = nn.relu(self.norm("dense1_norm", epsilon=1e-3, use_scale=False)(x, train=train))
        return nn.Dense(self.num_classes, use_bias=False, name="dense2")(x[:, 0, 0])

    def _stem(self, x: Array, train: bool) -> Array:
        x = self.conv(96, 11, "stem_conv", stride=4)(x)
        norm = self.norm("stem_conv_norm", use_scale=False)
        x = self.tap("stem_conv", nn.relu(norm(x, train=train)))
        x = pool(x, self.options, size=3)
        return self.tap("stem", self._norm("stem_norm")(x, train=train))

    def _sign_conv(self, features: int, name: str, **others: Any) -> QuantConv:
        scaled_sign = quant.xnor_weight_scale
        return self.binary_conv(
            features, name, kernel_quantizer=scaled_sign, weight_clip=1.0, **others
        )

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name, epsilon=1e-4, use_scale=False)


def takes(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: three pools must leave 6 cells."""
    return side >= 217


ENTRIES = (
    Entry(
        name="xnornet",
        build=XNORNet,
        normalize=normalize,
        sizes=Sizes(takes, stride=32, example=(224, 224)),
        card=Card(
            paper="Rastegari et al., XNOR-Net, arXiv 1603.05279",
            num_classes=CLASSES,
            top1=44.96,
            top5=69.18,
            parameters=62_396_768,
            mebibytes=22.81,
        ),
        weights=Weights(
            files=release_files(
                "xnornet",
                "e6ba24f785655260ae76a2ef1fab520e3528243d9c8fac430299cd81dbeabe10",
                "20a17423090b2c80c6b7a6b62346faa4b2b7dc8d4da99efa792c9351cf86c3d5",
                release="xnornet-v0.2.0",
                release_notop="xnornet-v0.2.1",
            ),
        ),
        style=STYLE,
    ),
)
