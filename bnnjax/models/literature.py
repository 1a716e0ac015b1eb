"""The common base of the networks in ``larq_zoo/literature``."""

from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, Conv, Options, QuantConv
from bnnjax.models.entry import Style
from bnnjax.models.imagenet import CLASSES
from bnnjax.models.tapped import Tapped

STYLE = Style(("stem_conv", "stem", "section1", "section2", "section3"), ("section3",))


class LiteratureNet(Tapped):
    """The base of these networks, with methods that create their layers.

    Binary convolutions pad with 0, a third value besides ±1, and have no bias.

    Attributes:
      num_classes: the number of logits; None for a network without its classifier.
      options: the options of the computation.
    """

    num_classes: int | None = CLASSES
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
        """A ``side`` × ``side`` float convolution."""
        return Conv(features, side, strides=stride, padding=padding, use_bias=use_bias, name=name)

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
        """A convolution of signs; ``others`` are fields of `QuantConv`."""
        others = {"input_quantizer": self.options.input_quantizer, **others}
        return QuantConv(
            features,
            side,
            strides=stride,
            kernel_quantizer=kernel_quantizer,
            name=name,
            **others,
        )

    def norm(
        self, name: str, *, epsilon: float = 1e-5, momentum: float = 0.9, use_scale: bool = True
    ) -> BatchNorm:
        """A batch norm; Keras' default epsilon is 1e-3."""
        return BatchNorm(epsilon=epsilon, momentum=momentum, use_scale=use_scale, name=name)

    def classify(self, x: Array) -> Array | None:
        """Logits of the mean over all pixels; None without ``num_classes``."""
        if self.num_classes is None:
            return None
        logits: Array = nn.Dense(self.num_classes, name="dense")(x.mean(axis=(1, 2)))
        return logits


def any_size(side: int) -> bool:
    """Whether pictures may have sides of ``side`` px: `Sizes.takes` of networks that pad."""
    return side > 0
