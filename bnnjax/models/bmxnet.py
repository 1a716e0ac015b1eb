"""The binary ResNet-18 of BMXNet, wholly binary or with a float first section.

Yang et al. 2017 (arXiv 1705.09864); the graphs are the ``-symbol.json`` files beside the weights in
``smd_hpi/binary_models`` of BMXNet. Blocks have the pre-activation form of He et al. 2016 (arXiv
1603.05027): norm and sign (ReLU in a float section) precede each convolution, and nothing follows
the sum.

Layers are named like the taps: ``stem_conv``, ``section2_block1_conv1`` …

Taps, from the picture to the logits:

- ``stem_conv``: the first convolution after its norm and ReLU (64 channels at stride 2);
- ``stem``: after the pool, the start of the residual stream (stride 4);
- ``section2_block1_norm``: the residual stream after the block's first norm. The stream itself is a
  sum of counts, so that style and content are best measured here;
- ``section2_block1_shortcut_conv``, ``…_conv1``, ``…_conv2``: results of the block's convolutions:
  integers from 0 to the number of products, unless the section is float;
- ``section2_block1_conv1_norm``: the input of its second convolution before the sign (or ReLU);
- ``section2_block1``: the residual stream after the block; the first block of sections 2, 3 and 4
  halves its size and doubles its channels;
- ``section2``: the residual stream at the end of the section;
- ``head``: after the last norm and ReLU.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Conv, Options, QuantConv, pool
from bnnjax.models.entry import Card, Entry, Sizes, Style
from bnnjax.models.imagenet import CLASSES, rgb
from bnnjax.models.literature import any_size
from bnnjax.models.tapped import Tapped

FILTERS = (64, 128, 256, 512)
BLOCKS = 2  # per section
EPSILON = 2e-5  # of all norms

# The mean of ImageNet's red, green and blue in 0..255 that the authors subtracted.
RGB_MEAN = (123.68, 116.779, 103.939)

normalize = partial(rgb, mean=RGB_MEAN)


class BMXNetResNet18(Tapped):
    """[N, H, W, 3] pictures from `normalize` → logits [N, num_classes], or None without
    ``num_classes``. Takes any size.

    Padding follows MXNet: zeros on all four sides. A binary convolution pads before the sign, so
    that padding counts as +1.

    Attributes:
      float_sections: the number of sections, from the first, whose convolutions are float.
      num_classes: the number of logits; None for a network without its classifier.
      options: the options of the computation.
    """

    float_sections: int = 0
    num_classes: int | None = CLASSES
    options: Options = Options()

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self._stem(x, train)
        for section in range(1, len(FILTERS) + 1):
            for block in range(1, BLOCKS + 1):
                x = self._block(x, section, block, train)
            x = self.tap(f"section{section}", x)
        x = self.tap("head", nn.relu(self._norm("head_norm")(x, train=train)))
        if self.num_classes is None:
            return None
        return nn.Dense(self.num_classes, name="dense")(x.mean(axis=(1, 2)))

    def _stem(self, x: Array, train: bool) -> Array:
        x = self._norm("input_norm", use_scale=False)(x, train=train)
        x = Conv(FILTERS[0], 7, strides=2, padding="VALID", name="stem_conv")(_padded(x, 3))
        x = self.tap("stem_conv", nn.relu(self._norm("stem_norm")(x, train=train)))
        return self.tap("stem", pool(_padded(x, 1), self.options, size=3))  # after ReLU, 0 is least

    def _block(self, x: Array, section: int, block: int, train: bool) -> Array:
        name, is_first = f"section{section}_block{block}", block == 1
        stride = 2 if is_first and section > 1 else 1
        y = self.tap(f"{name}_norm", self._norm(f"{name}_norm")(x, train=train))
        if is_first:
            x = self._conv(y, section, f"{name}_shortcut_conv", side=1, stride=stride)
        y = self._conv(y, section, f"{name}_conv1", side=3, stride=stride)
        y = self.tap(f"{name}_conv1_norm", self._norm(f"{name}_conv1_norm")(y, train=train))
        return self.tap(name, self._conv(y, section, f"{name}_conv2", side=3, stride=1) + x)

    def _conv(self, x: Array, section: int, name: str, *, side: int, stride: int) -> Array:
        x, features = _padded(x, side // 2), FILTERS[section - 1]
        if section <= self.float_sections:
            conv = Conv(features, side, strides=stride, padding="VALID", name=name)
            return self.tap(name, conv(nn.relu(x)))
        sign_conv = QuantConv(
            features,
            side,
            strides=stride,
            padding="VALID",
            input_quantizer=self.options.input_quantizer,
            kernel_quantizer=quant.ste_sign,
            weight_clip=1.0,
            name=name,
        )
        products = side * side * x.shape[3]
        # BMXNet counts the products that are +1, where others add up all products.
        return self.tap(name, (sign_conv(x) + products) / 2)

    def _norm(self, name: str, *, use_scale: bool = True) -> BatchNorm:
        return BatchNorm(epsilon=EPSILON, momentum=0.9, use_scale=use_scale, name=name)


def _padded(x: Array, width: int) -> Array:
    """[N, H, W, C] with ``width`` zeros on all four sides."""
    return jnp.pad(x, ((0, 0), (width, width), (width, width), (0, 0)))


def _entry(name: str, float_sections: int) -> Entry:
    return Entry(
        name=name,
        build=partial(BMXNetResNet18, float_sections),
        normalize=normalize,
        sizes=Sizes(any_size, stride=32),
        card=Card(paper="Yang et al., BMXNet, arXiv 1705.09864", num_classes=CLASSES),
        style=Style(
            style_taps=(
                "stem_conv",
                "stem",
                "section1_block2_norm",
                "section2_block1_norm",
                "section2_block2_norm",
                "section3_block1_norm",
            ),
            content_taps=("section4_block1_norm",),
        ),
    )


ENTRIES = (
    _entry("bmxnet_resnet18", 0),
    _entry("bmxnet_resnet18_float_stage1", 1),
)
