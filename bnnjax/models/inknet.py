"""InkNet: the network that ships with this package, made for style transfer.

A QuickNet of Larq Zoo 2.x (`bnnjax.models.quicknet`) but for its stem: two full 3×3 convolutions in
place of the depthwise one, because style is read from the stem's channels above all. It tells the
117 classes of its training pictures apart; `bnnjax.train` made its weights.

Parameters are named as the taps are: ``stem_conv``, ``section2_block1_conv`` …
"""

from functools import partial

from flax import linen as nn
from jax import Array

from bnnjax.layers import BatchNorm, Options
from bnnjax.models import quicknet
from bnnjax.models.entry import Entry
from bnnjax.models.imagenet import normalize

FILTERS = (64, 128, 256, 512)
BLOCKS = (3, 3, 4, 4)
STEM = 16  # channels of the first convolution
CLASSES = 117


def tap_names() -> tuple[str, ...]:
    """Every tap, from the picture to the logits.

    - ``stem_conv``: the first convolution after ReLU and norm (16 channels at stride 2);
    - ``stem``: the second, likewise (64 channels at stride 4), the start of the residual stream;
    - the rest as in `quicknet.tap_names`.
    """
    return tuple(name for name in quicknet.tap_names(BLOCKS) if name != "stem_depthwise")


class InkNet(quicknet.QuickNet):
    """[N, H, W, 3] normalised pictures → (logits [N, classes], taps); without ``classes`` no logits
    but None. Sides as `quicknet.takes` says."""

    def _stem(self, x: Array, taps: dict[str, Array], train: bool) -> Array:
        for features, name in ((STEM, "stem_conv"), (self.filters[0], "stem")):
            x = nn.relu(self._conv(features, 3, name, stride=2)(x))
            taps[name] = x = self._norm(f"{name}_norm")(x, train=train)
        return x

    def _block_norm(self, name: str) -> BatchNorm:
        # Sums of signs have variances of hundreds, but a channel that ReLU has silenced has none:
        # with QuickNet's 1e-5 its next spark, in a picture of another size, comes out 300 times as
        # large. A variance of 1 more changes no living channel.
        return BatchNorm(epsilon=1.0, momentum=0.9, frozen=self.frozen, name=name)


ENTRIES = (
    Entry(
        name="inknet",
        build=partial(InkNet, FILTERS, BLOCKS),
        normalize=normalize,
        options=Options(clip=quicknet.CLIP),
        taps=tap_names(),
        style_taps=("stem_conv", "stem", "section1", "section2", "section3"),
        content_taps=("section3",),
        takes=quicknet.takes,
        stride=32,
        classes=CLASSES,
        paper="this package; after Bannink et al., arXiv 2011.09398",
        top1=None,
        top5=None,
        parameters=12_604_421,
        mebibytes=2.44,
    ),
)
