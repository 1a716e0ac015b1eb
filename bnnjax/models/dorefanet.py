"""DoReFa-Net: an AlexNet with binary weights and 2-bit activations.

Zhou et al. 2016 (arXiv 1606.06160); ``larq_zoo/literature/dorefanet.py``.

Activations in {0, ⅓, ⅔, 1} are thirds of 2-bit integers, and kernels are signs times a scale. The
packed backend counts bits one bit plane at a time (`bnnjax.binary.planes`), twice as many as in a
binary network. The network is included for comparison.

Layers are named like the taps: ``stem_conv``, ``section1_conv`` … and ``dense1`` to ``dense3``.

Taps, from the picture to the features:

- ``stem_conv``: the first convolution (stride 4), with neither norm nor activation;
- ``section2_conv``: result of that section's convolution: thirds times one scale;
- ``section2``: after the norm and the pool (which section 3 lacks).
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantDense, pool
from bnnjax.models.entry import Card, Entry, Sizes, Style, Weights, release_files
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import LiteratureNet

# (channels, side of the kernel, padding of the pool that follows)
SECTIONS = ((256, 5, "SAME"), (384, 3, "SAME"), (384, 3, None), (256, 3, "VALID"))
GRID = (6, 6)  # of the features that the classifier takes
INPUT = partial(quant.dorefa, k_bit=2, mode="activations")
KERNEL = quant.magnitude_aware_sign_unclipped


class DoReFaNet(LiteratureNet):
    """[N, H, W, 3] normalized pictures → logits [N, num_classes], or None. For sizes, see `takes`.

    The logits are None without ``num_classes``, and for sides other than 204 to 235 px, whose
    features are not the 6×6 that the classifier needs. ``hidden`` is the classifier's width. The
    options ``pseudo_gradient`` and ``clip`` have no effect because no activation is a sign.
    """

    hidden: int = 4096

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array | None:
        stem = self.conv(96, 12, "stem_conv", stride=4, padding="VALID", use_bias=True)
        x = self.tap("stem_conv", stem(x))
        for section, (features, side, padding) in enumerate(SECTIONS, start=1):
            name = f"section{section}"
            conv = self.binary_conv(
                features, f"{name}_conv", side=side, input_quantizer=INPUT, kernel_quantizer=KERNEL
            )
            x = self.tap(f"{name}_conv", conv(x))
            x = self._norm(f"{name}_norm")(x, train=train)
            if padding is not None:
                x = pool(x, self.options, size=3, padding=padding)
            x = self.tap(name, x)
        if self.num_classes is None or x.shape[1:3] != GRID:
            return None
        x = x.reshape(x.shape[0], -1)
        for layer in (1, 2):
            x = self._dense(f"dense{layer}")(x)
            x = self._norm(f"dense{layer}_norm")(x, train=train)
        return nn.Dense(self.num_classes, name="dense3")(jnp.clip(x, 0, 1))

    def _dense(self, name: str) -> QuantDense:
        return QuantDense(self.hidden, input_quantizer=INPUT, kernel_quantizer=KERNEL, name=name)

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name, epsilon=1e-4, use_scale=False)


def takes(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: three pools must leave one cell."""
    return side >= 44


ENTRIES = (
    Entry(
        name="dorefanet",
        build=DoReFaNet,
        normalize=normalize,
        sizes=Sizes(takes, stride=32, example=(224, 224)),
        card=Card(
            paper="Zhou et al., DoReFa-Net, arXiv 1606.06160",
            num_classes=CLASSES,
            top1=53.39,
            top5=76.50,
            parameters=62_403_912,
            mebibytes=22.84,
        ),
        weights=Weights(
            files=release_files(
                "dorefanet",
                "645d7839d574faa3eeeca28f3115773d75da3ab67ff6876b4de12d10245ecf6a",
                "8650e8a86d8d3968722cf5f20bcebe74d6d7bb45bbf03c4bb8c6486343f37e31",
                release="dorefanet-v0.1.0",
                release_notop="dorefanet-v0.1.1",
            ),
        ),
        style=Style(
            style_taps=("stem_conv", "section1", "section2", "section3"),
            content_taps=("section3",),
        ),
    ),
)
