"""InkNet: the network that ships with this package, designed for style transfer.

A QuickNet of Larq Zoo 2.x (`bnnjax.models.quicknet`) with a different stem: two full 3×3
convolutions replace the depthwise one, because style is measured mostly in the stem's channels. It
was trained with `bnnjax.train` on pictures of 117 classes.

Layers are named like the taps: ``stem_conv``, ``section2_block1_conv`` …

Taps, from the picture to the logits:

- ``stem_conv``: the first convolution after ReLU and norm (16 channels at stride 2);
- ``stem``: the second, likewise (64 channels at stride 4), the start of the residual stream;
- the others as in `bnnjax.models.quicknet`.
"""

from functools import partial

from flax import linen as nn
from jax import Array

from bnnjax.layers import BatchNorm
from bnnjax.models import quicknet
from bnnjax.models.entry import Card, Entry, Sizes, Style
from bnnjax.models.imagenet import normalize

FILTERS = (64, 128, 256, 512)
BLOCKS = (3, 3, 4, 4)
STEM = 16  # channels of the first convolution
CLASSES = 117


class InkNet(quicknet.QuickNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    For sizes, see `quicknet.takes`."""

    def _stem(self, x: Array, train: bool) -> Array:
        for features, name in ((STEM, "stem_conv"), (self.filters[0], "stem")):
            x = nn.relu(self._conv(features, 3, name, stride=2)(x))
            x = self.tap(name, self._norm(f"{name}_norm")(x, train=train))
        return x

    def _block_norm(self, name: str) -> BatchNorm:
        # Sums of signs have variances in the hundreds, but a channel that ReLU has silenced has
        # none. If such a channel responds to a picture of another size, QuickNet's epsilon of 1e-5
        # multiplies it by 300. An epsilon of 1 does not affect active channels.
        return BatchNorm(epsilon=1.0, momentum=0.9, name=name)


ENTRIES = (
    Entry(
        name="inknet",
        build=partial(InkNet, FILTERS, BLOCKS),
        normalize=normalize,
        sizes=Sizes(quicknet.takes, stride=32),
        card=Card(
            paper="this package; after Bannink et al., arXiv 2011.09398",
            num_classes=CLASSES,
            parameters=12_604_421,
            mebibytes=2.44,
        ),
        style=Style(
            style_taps=("stem_conv", "stem", "section1", "section2", "section3"),
            content_taps=("section3",),
            # By default, its pictures preserve less of the photograph than QuickNet's.
            preset={"content_weight": 0.9},
        ),
    ),
)
