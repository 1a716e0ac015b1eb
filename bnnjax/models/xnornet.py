"""XNOR-Net: an AlexNet whose binary kernels have a scale an output channel.

Rastegari et al. 2016 (arXiv 1603.05279); ``larq_zoo/literature/xnornet.py``.

Parameters are named as the taps are: ``stem_conv``, ``section1_conv`` … and ``dense1``, ``dense2``.
"""

from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Options, QuantConv, pool
from bnnjax.models.entry import Entry
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import LiteratureNet, release_files

# Channels, side of the kernel, whether a pool follows; then comes one of ``hidden`` channels.
SECTIONS = ((256, 5, True), (384, 3, False), (384, 3, False), (256, 3, True))
GRID = 6  # side of the last convolution, which was AlexNet's first dense layer


def tap_names() -> tuple[str, ...]:
    """Every tap, from the picture to the features.

    - ``stem_conv``: the first convolution after its norm and ReLU (stride 4);
    - ``stem``: after the pool and a norm (stride 8);
    - ``section2_conv``: result of that section's binary convolution: whole numbers times a scale a
      channel;
    - ``section2``: after the pool, where there is one (sections 1 and 4), and the norm. Section 5
      is what remains of AlexNet's first dense layer: a pixel of it sees 6×6 of section 4.
    """
    sections = range(1, len(SECTIONS) + 2)
    names = (f"section{section}{end}" for section in sections for end in ("_conv", ""))
    return ("stem_conv", "stem", *names)


class XNORNet(LiteratureNet):
    """[N, H, W, 3] normalised pictures → (logits [N, classes], taps). `takes` says what sizes.

    Logits are None without ``classes``, and for pictures of other sides than 217 to 248 px, of
    which section 5 makes more than the one pixel that the classifier was made for. ``hidden`` is
    its width.
    """

    hidden: int = 4096

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> tuple[Array | None, dict[str, Array]]:
        taps: dict[str, Array] = {}
        x = self._stem(x, taps, train)
        last = (self.hidden, GRID, False)
        for section, (features, side, pooled) in enumerate((*SECTIONS, last), start=1):
            name = f"section{section}"
            padding = "VALID" if side == GRID else "SAME"
            conv = self._sign_conv(features, f"{name}_conv", side=side, padding=padding)
            taps[f"{name}_conv"] = x = conv(x)
            if pooled:  # before the norm
                x = pool(x, self.options, size=3)
            taps[name] = x = self._norm(f"{name}_norm")(x, train=train)
        if self.classes is None or x.shape[1:3] != (1, 1):
            return None, taps
        x = self._sign_conv(self.hidden, "dense1", side=1)(x)
        x = nn.relu(self.norm("dense1_norm", epsilon=1e-3, use_scale=False)(x, train=train))
        return nn.Dense(self.classes, use_bias=False, name="dense2")(x[:, 0, 0]), taps

    def _stem(self, x: Array, taps: dict[str, Array], train: bool) -> Array:
        x = self.conv(96, 11, "stem_conv", stride=4)(x)
        norm = self.norm("stem_conv_norm", use_scale=False)
        taps["stem_conv"] = x = nn.relu(norm(x, train=train))
        x = pool(x, self.options, size=3)
        taps["stem"] = x = self._norm("stem_norm")(x, train=train)
        return x

    def _sign_conv(self, features: int, name: str, **others: Any) -> QuantConv:
        scaled_sign = quant.xnor_weight_scale
        return self.binary_conv(
            features, name, kernel_quantizer=scaled_sign, weight_clip=1.0, **others
        )

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name, epsilon=1e-4, use_scale=False)


def takes(side: int) -> bool:
    """Whether a picture may have a side of so many pixels: three pools must leave 6."""
    return side >= 217


ENTRIES = (
    Entry(
        name="xnornet",
        build=XNORNet,
        normalize=normalize,
        options=Options(),
        taps=tap_names(),
        style_taps=("stem_conv", "stem", "section1", "section2", "section3"),
        content_taps=("section3",),
        takes=takes,
        stride=32,
        example=(224, 224),
        classes=CLASSES,
        paper="Rastegari et al., XNOR-Net, arXiv 1603.05279",
        files=release_files(
            "xnornet",
            "e6ba24f785655260ae76a2ef1fab520e3528243d9c8fac430299cd81dbeabe10",
            "20a17423090b2c80c6b7a6b62346faa4b2b7dc8d4da99efa792c9351cf86c3d5",
            release="xnornet-v0.2.0",
            release_notop="xnornet-v0.2.1",
        ),
        top1=44.96,
        top5=69.18,
        parameters=62_396_768,
        mebibytes=22.81,
    ),
)
