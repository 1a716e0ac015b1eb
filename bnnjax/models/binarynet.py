"""BinaryNet for CIFAR-10 as in Larq's tutorial, with 1-bit weights throughout.

Courbariaux et al. 2016 (arXiv 1602.02830). The order of layers follows the tutorial "BinaryNet on
CIFAR10" (docs.larq.dev): convolution, pool, batch norm, without biases in the layers and without
scales in the norms.
"""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantConv, QuantDense, max_pool

SIDE, NUM_CLASSES = 32, 10  # of CIFAR-10


class BinaryNet(nn.Module):
    """Pictures [N, H, W, 3] in [−1, 1] → logits [N, num_classes], for a single picture size.

    Each stage has two 3×3 convolutions, the second of which is followed by a pool; dense layers
    come last. All kernels are binarized, as are all inputs except the picture. The first
    convolution is not padded; the others are padded with 0.

    Attributes:
      filters: the number of filters in each stage's convolutions.
      units: the number of units in each hidden dense layer.
      num_classes: the number of logits, which also pass through a batch norm.
    """

    filters: tuple[int, ...] = (128, 256, 512)
    units: tuple[int, ...] = (1024, 1024)
    num_classes: int = NUM_CLASSES

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Logits; with ``train``, the norms use the statistics of the batch and record them."""
        for place in range(2 * len(self.filters)):
            name, ends_stage = f"conv{place + 1}", place % 2 == 1
            padding = {} if place else {"padding": "VALID", "input_quantizer": None}
            x = self._binary(QuantConv, self.filters[place // 2], name, **padding)(x)
            x = max_pool(x) if ends_stage else x
            x = self._norm(name)(x, train=train)
        x = x.reshape(x.shape[0], -1)
        for place, features in enumerate((*self.units, self.num_classes), start=1):
            x = self._binary(QuantDense, features, f"dense{place}")(x)
            x = self._norm(f"dense{place}")(x, train=train)
        return x

    def _binary(
        self, layer: Callable[..., nn.Module], features: int, name: str, **kwargs: Any
    ) -> Any:
        binary: dict[str, Any] = {
            "input_quantizer": quant.ste_sign,
            "kernel_quantizer": quant.ste_sign,
            "weight_clip": 1.0,
        }
        return layer(features, name=name, **{**binary, **kwargs})

    def _norm(self, name: str) -> BatchNorm:
        return BatchNorm(epsilon=1e-3, momentum=0.999, use_scale=False, name=f"{name}_norm")
