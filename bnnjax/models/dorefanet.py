"""DoReFa-Net: an AlexNet of binary weights and activations of two bits.

Zhou et al. 2016 (arXiv 1606.06160); ``larq_zoo/literature/dorefanet.py``.

Activations in {0, ⅓, ⅔, 1} are thirds of whole numbers of two bits, kernels are signs and a scale.
The packed backend counts bits, a plane of them at a time (`bnnjax.binary.planes`), twice as many
as of a binary network. It is here to be compared with.

Parameters are named as the taps are: ``stem_conv``, ``section1_conv`` … and ``dense1`` to
``dense3``.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Options, QuantDense, pool
from bnnjax.models.entry import Entry
from bnnjax.models.imagenet import CLASSES, normalize
from bnnjax.models.literature import LiteratureNet, release_files

# Channels, side of the kernel, padding of the pool that follows.
SECTIONS = ((256, 5, "SAME"), (384, 3, "SAME"), (384, 3, None), (256, 3, "VALID"))
GRID = (6, 6)  # of the features that the classifier takes
INPUT = partial(quant.dorefa, k_bit=2, mode="activations")
KERNEL = quant.magnitude_aware_sign_unclipped


def tap_names() -> tuple[str, ...]:
    """Every tap, from the picture to the features.

    - ``stem_conv``: the first convolution (stride 4), with neither norm nor activation;
    - ``section2_conv``: result of that section's convolution: thirds times one scale;
    - ``section2``: after the norm and the pool (which section 3 has not).
    """
    sections = range(1, len(SECTIONS) + 1)
    names = (f"section{section}{end}" for section in sections for end in ("_conv", ""))
    return ("stem_conv", *names)


class DoReFaNet(LiteratureNet):
    """[N, H, W, 3] normalised pictures → (logits [N, classes], taps). `takes` says what sizes.

    Logits are None without ``classes``, and for pictures of other sides than 204 to 235 px, whose
    features are not the 6×6 that the classifier was made for. ``hidden`` is its width. The
    options ``pseudo_gradient`` and ``clip`` do not matter: no activation here is a sign.
    """

    hidden: int = 4096

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> tuple[Array | None, dict[str, Array]]:
        taps: dict[str, Array] = {}
        stem = self.conv(96, 12, "stem_conv", stride=4, padding="VALID", use_bias=True)
        taps["stem_conv"] = x = stem(x)
        for section, (features, side, padding) in enumerate(SECTIONS, start=1):
            name = f"section{section}"
            conv = self.binary_conv(
                features, f"{name}_conv", side=side, input_quantizer=INPUT, kernel_quantizer=KERNEL
            )
            taps[f"{name}_conv"] = x = conv(x)
            x = self._norm(f"{name}_norm")(x, train=train)
            if padding is not None:
                x = pool(x, self.options, size=3, padding=padding)
            taps[name] = x
        if self.classes is None or x.shape[1:3] != GRID:
            return None, taps
        x = x.reshape(x.shape[0], -1)
        for layer in (1, 2):
            x = self._dense(f"dense{layer}")(x)
            x = self._norm(f"dense{layer}_norm")(x, train=train)
        return nn.Dense(self.classes, name="dense3")(jnp.clip(x, 0, 1)), taps

    def _dense(self, name: str) -> QuantDense:
        return QuantDense(
            self.hidden,
            input_quantizer=INPUT,
            kernel_quantizer=KERNEL,
            frozen=self.frozen,
            backend=self.options.backend,
            gradient_dtype=self.options.gradient_dtype,
            name=name,
        )

    def _norm(self, name: str) -> BatchNorm:
        return self.norm(name, epsilon=1e-4, use_scale=False)


def takes(side: int) -> bool:
    """Whether a picture may have a side of so many pixels: three pools must leave one."""
    return side >= 44


ENTRIES = (
    Entry(
        name="dorefanet",
        build=DoReFaNet,
        normalize=normalize,
        options=Options(),
        taps=tap_names(),
        style_taps=("stem_conv", "section1", "section2", "section3"),
        content_taps=("section3",),
        takes=takes,
        stride=32,
        example=(224, 224),
        classes=CLASSES,
        paper="Zhou et al., DoReFa-Net, arXiv 1606.06160",
        files=release_files(
            "dorefanet",
            "645d7839d574faa3eeeca28f3115773d75da3ab67ff6876b4de12d10245ecf6a",
            "8650e8a86d8d3968722cf5f20bcebe74d6d7bb45bbf03c4bb8c6486343f37e31",
            release="dorefanet-v0.1.0",
            release_notop="dorefanet-v0.1.1",
        ),
        top1=53.39,
        top5=76.50,
        parameters=62_403_912,
        mebibytes=22.84,
    ),
)
