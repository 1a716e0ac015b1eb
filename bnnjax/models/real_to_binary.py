"""Real-to-Binary Net: the channels of binary convolutions are scaled depending on their input.

Martinez et al. 2020 (ICLR, *Training binary neural networks with real-to-binary convolutions*);
``larq_zoo/literature/real_to_bin_nets.py``, ``RealToBinNetBNNFactory``.

Layers are named like the taps: ``stem_conv``, ``section2_block1_conv`` …

Taps, from the picture to the logits:

- ``stem_conv``: the first convolution after its norm and PReLU (stride 2);
- ``stem``: after the pool, the start of the residual stream (stride 4);
- ``section2_block1_conv``: integer result of that block's binary convolution;
- ``section2_block1``: the residual stream after the block; the first block of sections 2, 3
  and 4 halves its size and doubles its channels;
- ``section2``: the residual stream at the end of the section.
"""

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, PReLU, add_shortcut, avg_pool, pool
from bnnjax.models.entry import Card, Entry, Sizes, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import STYLE, LiteratureNet, any_size

FILTERS = (64, 128, 256, 512)
BLOCKS = 4  # per section; two of ours are the halves of one of Larq's
REDUCTION = 8  # of the channels in the computation of their scales


class RealToBinaryNet(LiteratureNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    Takes any size."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self.conv(FILTERS[0], 7, "stem_conv", stride=2)(x)
        x = self._norm("stem_conv_norm")(x, train=train)
        x = self.tap("stem_conv", PReLU(name="stem_conv_prelu")(x))
        x = self.tap("stem", pool(x, self.options, size=3, padding="SAME"))
        for section, features in enumerate(FILTERS, start=1):
            for block in range(1, BLOCKS + 1):
                x = self._block(x, features, f"section{section}_block{block}", train)
            x = self.tap(f"section{section}", x)
        return self.classify(x)

    def _block(self, x: Array, features: int, name: str, train: bool) -> Array:
        halves = x.shape[3] != features
        shortcut = self._shortcut(x, features, name, train) if halves else x
        x = self._norm(f"{name}_norm")(x, train=train)
        conv = self.binary_conv(
            features,
            f"{name}_conv",
            stride=1 + halves,
            kernel_quantizer=quant.ste_sign,
            weight_clip=1.0,
        )
        y = self.tap(f"{name}_conv", conv(x))
        y = PReLU(name=f"{name}_prelu")(y * self._scales(x, features, name))
        return self.tap(name, add_shortcut(y, shortcut, self.options))

    def _scales(self, x: Array, features: int, name: str) -> Array:
        """A factor in (0, 1) per channel, from the convolution's input before its sign."""
        reduce = nn.Dense(x.shape[3] // REDUCTION, use_bias=False, name=f"{name}_reduce")
        expand = nn.Dense(features, use_bias=False, name=f"{name}_expand")
        return nn.sigmoid(expand(nn.relu(reduce(x.mean(axis=(1, 2))))))[:, None, None]

    def _shortcut(self, x: Array, features: int, name: str, train: bool) -> Array:
        x = self.conv(features, 1, f"{name}_shortcut_conv")(avg_pool(x, padding="SAME"))
        return self._norm(f"{name}_shortcut_norm")(x, train=train)

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name, epsilon=1e-3, momentum=0.99)


_ENDS = {
    "norm": "batch_norm",
    "conv": "conv2d",
    "prelu": "prelu",
    "reduce": "scaling_dense_reduce",
    "expand": "scaling_dense_expand",
    "shortcut_conv": "shortcut_conv2d",
    "shortcut_norm": "shortcut_batch_norm",
}


def keras_name(name: str) -> str:
    """Larq's name of a layer: block 1 is the stem, and blocks 2 to 9 have halves a and b."""
    if name == "dense":
        return "r2b_bnn_block_10_logits"
    if name.startswith("stem_conv"):
        end = name.removeprefix("stem_conv").removeprefix("_") or "conv"
        return f"r2b_bnn_block_1_{_ENDS[end]}"
    section, block, end = name.split("_", 2)
    half = BLOCKS * (int(section[-1]) - 1) + int(block[-1]) - 1
    return f"r2b_bnn_block_{2 + half // 2}{'ab'[half % 2]}_{_ENDS[end]}"


ENTRIES = (
    Entry(
        name="real_to_binary_net",
        build=RealToBinaryNet,
        normalize=normalize,
        sizes=Sizes(any_size, stride=32),
        card=Card(
            paper="Martinez et al., Real-to-Binary Convolutions, ICLR 2020",
            num_classes=CLASSES,
            top1=65.01,
            top5=85.72,
            parameters=11_995_624,
            mebibytes=5.13,
        ),
        weights=Weights(
            files=release_files(
                "r2b",
                "e8fd16ca1ab9810ac3835f24f5c62758a57bc32a615f73aaa50d382d2b9617e1",
                "4ec47abf1a4da5c65f4908076257e8d5c812673891089a88c9d9e84e949d1dab",
                release="r2b-v0.1.0",
            ),
            keras_name=keras_name,
        ),
        style=STYLE,
    ),
)
