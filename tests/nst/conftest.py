"""A network that compiles in a moment and has all that style transfer looks at."""

import jax.numpy as jnp
import pytest
from flax import linen as nn

from bnnjax import quant
from bnnjax.layers import BatchNorm, Options, QuantConv, pool
from bnnjax.models.entry import Entry


class Toy(nn.Module):
    """A float convolution at stride 2, a binary one, a pool and a batch norm."""

    frozen: bool = True
    options: Options = Options()
    classes: int | None = 5

    @nn.compact
    def __call__(self, x, *, train=False):
        taps = {}
        x = nn.Conv(32, (3, 3), strides=2, use_bias=False, name="stem")(x)
        taps["stem"] = x
        x = QuantConv(
            16,
            pad_values=1,
            input_quantizer=self.options.input_quantizer,
            kernel_quantizer=quant.ste_sign,
            frozen=self.frozen,
            backend=self.options.backend,
            gradient_dtype=self.options.gradient_dtype,
            name="binary_conv",
        )(x)
        taps["binary_conv"] = x
        x = BatchNorm(1e-5, 0.9, frozen=self.frozen, name="binary_norm")(x, train=train)
        taps["binary"] = x = pool(x, self.options)
        return nn.Dense(self.classes, name="dense")(jnp.mean(x, (1, 2))), taps


TOY = Entry(
    name="toy",
    build=Toy,
    normalize=lambda images: (images - 0.5) / 0.25,
    options=Options(),
    taps=("stem", "binary_conv", "binary"),
    style_taps=("stem", "binary"),
    content_taps=("binary",),
    takes=lambda side: side % 4 == 0,
    stride=4,
    classes=5,
    top1=0.0,
    top5=0.0,
    parameters=0,
    mebibytes=0.0,
    paper="none",
)


@pytest.fixture(scope="session")
def toy(with_random_weights):
    """`Toy` with random weights."""
    return with_random_weights(TOY)
