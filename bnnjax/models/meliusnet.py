"""MeliusNet: dense blocks append channels to a stream, improvement blocks refine them.

Bethge et al. 2020 (arXiv 2001.05936); ``larq_zoo/literature/meliusnet.py``.

Layers are named like the taps: ``stem_conv``, ``section2_block1_dense_conv`` …

Taps, from the picture to the logits:

- ``stem_conv``, ``stem_group1``, ``stem_group2``: the stem's convolutions, each after its norm
  and ReLU (stride 2);
- ``stem``: after the pool (stride 4), the start of the stream;
- ``section2_transition``: the stream at half the size and with fewer channels;
- ``section2_block1_dense_conv``: integer result of that block's first binary convolution, which
  is appended to the stream;
- ``section2_block1_improve_conv``: integer result of its second binary convolution, which is added
  to the last 64 channels;
- ``section2_block1``: the stream after both;
- ``section2``: the stream at the end of the section;
- ``head``: after the last norm and ReLU.
"""

import re
from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import Options, add_shortcut, pool
from bnnjax.models.entry import Card, Entry, Sizes, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import STYLE, LiteratureNet, any_size

CLIP = 1.3
GROWTH = 64  # channels that a block appends and then refines
BLOCKS = (4, 5, 4, 4)
TRANSITIONS = (160, 224, 256)  # channels after each transition
STEM = ((32, 4), (64, 8))  # channels and groups of the second and third convolution


class MeliusNet(LiteratureNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None without ``num_classes``.

    Takes any size."""

    options: Options = Options(clip=CLIP)
    blocks: tuple[int, ...] = BLOCKS

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        x = self._stem(x, train)
        for section, count in enumerate(self.blocks, start=1):
            if section > 1:
                x = self.tap(f"section{section}_transition", self._transition(x, section, train))
            for block in range(1, count + 1):
                name = f"section{section}_block{block}"
                new = self._sums(x, f"{name}_dense", train)
                x = jnp.concatenate([x, new], axis=3)
                correction = self._sums(x, f"{name}_improve", train)
                old, last = x[..., :-GROWTH], x[..., -GROWTH:]
                last = add_shortcut(correction, last, self.options)
                x = self.tap(name, jnp.concatenate([old, last], axis=3))
            x = self.tap(f"section{section}", x)
        x = self.tap("head", nn.relu(self.norm("head_norm")(x, train=train)))
        return self.classify(x)

    def _stem(self, x: Array, train: bool) -> Array:
        x = self.conv(STEM[0][0], 3, "stem_conv", stride=2)(x)
        x = self.tap("stem_conv", nn.relu(self.norm("stem_conv_norm")(x, train=train)))
        for number, (features, groups) in enumerate(STEM, start=1):
            name = f"stem_group{number}"
            x = self._grouped(x, features, groups, name)
            x = self.tap(name, nn.relu(self.norm(f"{name}_norm")(x, train=train)))
        return self.tap("stem", self._halved(x))

    def _grouped(self, x: Array, features: int, groups: int, name: str) -> Array:
        """A grouped convolution as separate convolutions, as they are stored in the files."""
        parts = jnp.split(x, groups, axis=3)
        convs = (self.conv(features // groups, 3, f"{name}_conv{n}") for n in range(groups))
        return jnp.concatenate(
            [conv(part) for conv, part in zip(convs, parts, strict=True)], axis=3
        )

    def _sums(self, x: Array, name: str, train: bool) -> Array:
        conv = self.binary_conv(
            GROWTH,
            f"{name}_conv",
            kernel_quantizer=partial(quant.ste_sign, clip=CLIP),
            weight_clip=CLIP,
        )
        return self.tap(f"{name}_conv", conv(self.norm(f"{name}_norm")(x, train=train)))

    def _transition(self, x: Array, section: int, train: bool) -> Array:
        name = f"section{section}_transition"
        x = nn.relu(self._halved(self.norm(f"{name}_norm")(x, train=train)))
        return self.conv(TRANSITIONS[section - 2], 1, f"{name}_conv")(x)

    def _halved(self, x: Array) -> Array:
        return pool(x, self.options, padding="SAME")


def keras_name(name: str) -> str:
    """Larq's name of a layer: sections, blocks and groups count from 0, and a transition belongs to
    the preceding section."""
    ends = {"_norm": "bn", "_conv": "pw" if "transition" in name else "binconv"}
    if name == "dense":
        return "head_dense"
    if name == "head_norm":
        return "head_bn"
    if found := re.fullmatch(r"stem_(?:conv|group(\d))(_norm|_conv\d+)?", name):
        group, end = int(found[1] or 0), found[2] or ""
        if end == "_norm":
            return f"stem_s{group}_bn"
        return f"stem_s{group}_groupconv{end}" if group else "stem_s0_conv"
    layer, end = name[:-5], ends[name[-5:]]
    section = int(layer[len("section")]) - 1
    if layer.endswith("_transition"):
        return f"section_{section - 1}_transition_{end}"
    _, block, kind = layer.split("_")
    return f"section_{section}_block_{int(block.removeprefix('block')) - 1}_{kind}_{end}"


ENTRIES = (
    Entry(
        name="meliusnet22",
        build=MeliusNet,
        normalize=normalize,
        sizes=Sizes(any_size, stride=32),
        card=Card(
            paper="Bethge et al., MeliusNet, arXiv 2001.05936",
            num_classes=CLASSES,
            top1=62.4,
            top5=83.9,
            parameters=6_944_584,
            mebibytes=3.88,
        ),
        weights=Weights(
            files=release_files(
                "meliusnet22",
                "c1ba85e8389ae326009665ec13331e49fc3df4d0f925fa8553e224f7362c18ed",
                "abfc5c50049d72a14e44df0c1cb73896ece2a1ab4bf9bb48fede6cc2f5e0b58f",
                release="meliusnet22-v0.1.0",
                release_notop="meliusnet22-v0.1.1",
            ),
            keras_name=keras_name,
        ),
        style=STYLE,
    ),
)
