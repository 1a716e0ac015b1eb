"""BinaryNet for CIFAR-10, as Larq's tutorial builds it: every weight is a single bit.

Courbariaux et al. 2016 (arXiv 1602.02830). The order of layers is that of the tutorial "BinaryNet
on CIFAR10" (docs.larq.dev): convolution, pool, batch norm; no bias, no scale in the norms.
"""

from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantConv, QuantDense, max_pool

SIDE, CLASSES = 32, 10  # of CIFAR-10


class BinaryNet(nn.Module):
    """[N, H, W, 3] pictures in [−1, 1], all of one size → logits [N, num_classes].

    Each stage has two 3×3 convolutions with a pool after the second; dense layers follow. All
    kernels are signs, and so are all inputs but the picture. The first convolution is not padded,
    the others are padded with 0.

    Attributes:
      filters: of each stage's convolutions.
      units: of the hidden dense layers.
      num_classes: of the logits, which are batch-normalized too.
    """

    filters: tuple[int, ...] = (128, 256, 512)
    units: tuple[int, ...] = (1024, 1024)
    num_classes: int = CLASSES

    @nn.compact
    def __call__(self, x: Array, *, train: bool = False) -> Array:
        """Logits; with ``train`` by the batch's own statistics, which are recorded."""
        for place in range(2 * len(self.filters)):
            name, last = f"conv{place + 1}", place % 2 == 1
            padding = {} if place else {"padding": "VALID", "input_quantizer": None}
            x = self._signs(QuantConv, self.filters[place // 2], name, **padding)(x)
            x = max_pool(x) if last else x
            x = self._norm(name)(x, train=train)
        x = x.reshape(x.shape[0], -1)
        for place, features in enumerate((*self.units, self.num_classes), start=1):
            x = self._signs(QuantDense, features, f"dense{place}")(x)
            x = self._norm(f"dense{place}")(x, train=train)
        return x

    def _signs(
        self, layer: Callable[..., nn.Module], features: int, name: str, **fields: Any
    ) -> Any:
        signs = {"input_quantizer": quant.ste_sign, "kernel_quantizer": quant.ste_sign}
        return layer(features, name=name, weight_clip=1.0, **{**signs, **fields})

    def _norm(self, name: str) -> BatchNorm:
        return BatchNorm(epsilon=1e-3, momentum=0.999, use_scale=False, name=f"{name}_norm")
