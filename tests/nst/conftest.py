"""A network that compiles in a moment and has everything that style transfer needs."""

import jax.numpy as jnp
import pytest
from flax import linen as nn

from bnnjax import quant
from bnnjax.layers import BatchNorm, Options, QuantConv, pool
from bnnjax.models.entry import Card, Entry, Sizes, Style
from bnnjax.models.tapped import Tapped


class Toy(Tapped):
    """A float convolution at stride 2, a binary one, a pool and a batch norm."""

    options: Options = Options()
    num_classes: int | None = 5

    @nn.compact
    def __call__(self, x, *, train=False):
        x = nn.Conv(32, (3, 3), strides=2, use_bias=False, name="stem")(x)
        x = self.tap("stem", x)
        x = QuantConv(
            16,
            pad_values=1,
            input_quantizer=self.options.input_quantizer,
            kernel_quantizer=quant.ste_sign,
            name="binary_conv",
        )(x)
        x = self.tap("binary_conv", x)
        x = BatchNorm(1e-5, 0.9, name="binary_norm")(x, train=train)
        x = self.tap("binary", pool(x, self.options))
        return nn.Dense(self.num_classes, name="dense")(jnp.mean(x, (1, 2)))


TOY = Entry(
    name="toy",
    build=Toy,
    normalize=lambda images: (images - 0.5) / 0.25,
    sizes=Sizes(lambda side: side % 4 == 0, stride=4),
    card=Card(num_classes=5),
    style=Style(style_taps=("stem", "binary"), content_taps=("binary",)),
)


@pytest.fixture(scope="session")
def toy(with_random_weights):
    """`Toy` with random weights."""
    return with_random_weights(TOY)
