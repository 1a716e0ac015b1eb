"""QuickNet as in Larq Zoo 1.0.5, the generation of weights called v0.2 (2020).

Bannink et al., *Larq Compute Engine* (arXiv 2011.09398); ``larq_zoo/sota/quicknet.py`` at v1.0.5.
Not the QuickNet of zoo 2.x, whose transitions and stem differ.

Parameters are named as the taps are: ``stem_conv``, ``section2_block1_conv`` …
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, DepthwiseConv, Options, QuantConv, pool

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
BLOCKS = (2, 3, 4, 4)
KERNEL_CLIP = 1.25


def tap_names(blocks: tuple[int, ...] = BLOCKS) -> tuple[str, ...]:
    """Every tap, from the picture to the logits.

    - ``stem_conv``: the first convolution (8 channels at stride 2);
    - ``stem_depthwise``: the second, after its ReLU (64 channels at stride 4);
    - ``stem``: after its batch norm, the start of the residual stream;
    - ``section2_block1_conv``: whole-numbered result of that block's binary convolution;
    - ``section2_block1``: the residual stream after the block; the first block of sections 2, 3
      and 4 is the transition to half the size and twice the channels;
    - ``section2``: the residual stream at the end of the section.
    """
    names = ["stem_conv", "stem_depthwise", "stem"]
    for section, count in enumerate(blocks, start=1):
        for block in range(1, count + 1):
            names += [f"section{section}_block{block}_conv", f"section{section}_block{block}"]
        names.append(f"section{section}")
    return tuple(names)


class QuickNetV0(nn.Module):
    """[N, H, W, 3] normalised pictures → (logits [N, classes], taps); `takes` says what sizes."""

    blocks: tuple[int, ...] = BLOCKS
    classes: int = 1000
    frozen: bool = False
    options: Options = Options(clip=1.25)

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> tuple[Array, dict[str, Array]]:
        taps: dict[str, Array] = {}
        x = self._stem(x, taps, train)
        for section, count in enumerate(self.blocks, start=1):
            for block in range(1, count + 1):
                name = f"section{section}_block{block}"
                if section > 1 and block == 1:
                    x = self._transition(x, name, taps, train)
                else:
                    x = self._conv_block(x, name, taps, train) + x
                taps[name] = x
            taps[f"section{section}"] = x
        pooled = nn.relu(x).mean(axis=(1, 2))
        return nn.Dense(self.classes, name="dense")(pooled), taps

    def _stem(self, x: Array, taps: dict[str, Array], train: bool) -> Array:
        x = nn.Conv(8, (3, 3), strides=2, padding="SAME", use_bias=False, name="stem_conv")(x)
        taps["stem_conv"] = x
        x = nn.relu(DepthwiseConv(8, strides=(2, 2), name="stem_depthwise")(x))
        taps["stem_depthwise"] = x
        taps["stem"] = x = self._norm("stem_norm")(x, train=train)
        return x

    def _transition(self, x: Array, name: str, taps: dict[str, Array], train: bool) -> Array:
        shortcut = self._norm(f"{name}_shortcut_norm")(pool(x, self.options), train=train)
        deep = self._conv_block(x, name, taps, train, strides=(2, 2)) + shortcut
        return jnp.concatenate([shortcut, deep], axis=3)

    def _conv_block(
        self,
        x: Array,
        name: str,
        taps: dict[str, Array],
        train: bool,
        strides: tuple[int, int] = (1, 1),
    ) -> Array:
        x = QuantConv(
            x.shape[3],
            strides=strides,
            pad_values=1,
            input_quantizer=self.options.input_quantizer,
            kernel_quantizer=partial(quant.ste_sign, clip=KERNEL_CLIP),
            frozen=self.frozen,
            backend=self.options.backend,
            gradient_dtype=self.options.gradient_dtype,
            name=f"{name}_conv",
        )(x)
        taps[f"{name}_conv"] = x
        # ReLU sits between the convolution and its batch norm: it is the convolution's activation.
        return self._norm(f"{name}_norm")(nn.relu(x), train=train)

    def _norm(self, name: str) -> BatchNorm:
        return BatchNorm(epsilon=1e-5, momentum=0.9, frozen=self.frozen, name=name)


def normalize(images: Array) -> Array:
    """sRGB in [0, 1] → zero mean and unit deviation over ImageNet."""
    return (images - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)


def takes(side: int) -> bool:
    """Whether a picture may have a side of so many pixels: 32k − 3 … 32k.

    A transition adds a pooled tensor (⌊n/2⌋ cells) to a strided one (⌈n/2⌉): n must be even.
    """
    quarter = -(-side // 4)
    return quarter > 0 and quarter % 8 == 0
