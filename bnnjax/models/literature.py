"""What the networks of ``larq_zoo/literature`` share: their layers, and their files' names."""

from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Conv, Options, QuantConv
from bnnjax.models.entry import ReleaseFile
from bnnjax.models.imagenet import CLASSES


class LiteratureNet(nn.Module):
    """The base of these networks; its methods make layers in the form that the network has.

    Binary convolutions pad with 0, a third value beside ±1, and have no bias.

    Attributes:
      classes: of the logits; None for a network without its classifier.
      frozen: whether the weights are packed.
      options: how the network computes.
    """

    classes: int | None = CLASSES
    frozen: bool = False
    options: Options = Options()

    def conv(
        self,
        features: int,
        side: int,
        name: str,
        *,
        stride: int = 1,
        padding: str = "SAME",
        use_bias: bool = False,
    ) -> Conv:
        """A convolution of floats, ``side`` × ``side``."""
        return Conv(
            features,
            (side, side),
            strides=(stride, stride),
            padding=padding,
            use_bias=use_bias,
            frozen=self.frozen,
            name=name,
        )

    def binary_conv(
        self,
        features: int,
        name: str,
        *,
        kernel_quantizer: quant.Quantizer,
        side: int = 3,
        stride: int = 1,
        **others: Any,
    ) -> QuantConv:
        """A convolution of signs; ``others`` are attributes of `QuantConv`."""
        others = {"input_quantizer": self.options.input_quantizer, **others}
        return QuantConv(
            features,
            (side, side),
            strides=(stride, stride),
            kernel_quantizer=kernel_quantizer,
            frozen=self.frozen,
            backend=self.options.backend,
            gradient_dtype=self.options.gradient_dtype,
            name=name,
            **others,
        )

    def norm(
        self, name: str, *, epsilon: float = 1e-5, momentum: float = 0.9, use_scale: bool = True
    ) -> BatchNorm:
        """A batch norm; Keras' default epsilon is 1e-3."""
        return BatchNorm(
            epsilon=epsilon, momentum=momentum, use_scale=use_scale, frozen=self.frozen, name=name
        )

    def classify(self, x: Array) -> Array | None:
        """Logits of the mean over all pixels; None without classes."""
        if self.classes is None:
            return None
        logits: Array = nn.Dense(self.classes, name="dense")(x.mean(axis=(1, 2)))
        return logits


def any_size(side: int) -> bool:
    """Whether a picture may have a side of so many pixels: `Entry.takes` of networks that pad."""
    return side > 0


def release_files(
    name: str, sha256: str, sha256_notop: str, *, release: str, release_notop: str = ""
) -> tuple[ReleaseFile, ReleaseFile]:
    """The file with the classifier and the one without, which some releases have apart."""
    return (
        ReleaseFile(release, f"{name}_weights.h5", sha256, True),
        ReleaseFile(release_notop or release, f"{name}_weights_notop.h5", sha256_notop, False),
    )
