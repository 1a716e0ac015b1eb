"""Classifiers whose best adversarial pictures are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from bnnjax.layers import Options
from bnnjax.models.entry import Card, Entry, Sizes
from bnnjax.models.network import Architecture, Network

SIDE, CLASSES = 16, 5


class Linear(nn.Module):
    """Logits that are linear in the pixels."""

    num_classes: int | None = CLASSES
    options: Options = Options()

    @nn.compact
    def __call__(self, x, *, train=False):
        return nn.Dense(self.num_classes, name="dense")(x.reshape(x.shape[0], -1))


@pytest.fixture(scope="session")
def linear_network():
    """A function (kernel [H·W·3, classes], bias [classes]) → `Network` with these logits."""

    def make(kernel, bias=0.0, *, build=Linear):
        kernel = jnp.asarray(kernel, jnp.float32)
        bias = jnp.broadcast_to(jnp.asarray(bias, jnp.float32), kernel.shape[1:])
        entry = Entry(
            name="linear", build=build, normalize=lambda images: images,
            sizes=Sizes(lambda side: side == SIDE, stride=SIDE),
            card=Card(num_classes=kernel.shape[1]),
        )  # fmt: skip
        params = {"dense": {"kernel": kernel, "bias": bias}}
        return Network(Architecture.published(entry), {"params": params}, {"source": "test"})

    return make


@pytest.fixture(scope="session")
def random_kernel():
    """A function seed → a kernel without zeros, float32 [768, 5]."""

    def make(seed=0):
        return np.random.default_rng(seed).normal(size=(SIDE * SIDE * 3, CLASSES)).astype("f4")

    return make


@pytest.fixture(scope="session")
def grey_pictures():
    """A function (count, seed) → bytes [N, 16, 16, 3] far from black and white."""

    def make(count, seed=0):
        rng = np.random.default_rng(seed)
        return rng.integers(100, 156, (count, SIDE, SIDE, 3), dtype=np.uint8)

    return make


class Masked(Linear):
    """The same logits with a gradient of 0, as of a network whose pseudo-gradient fails."""

    @nn.compact
    def __call__(self, x, *, train=False):
        x = x.reshape(x.shape[0], -1)
        return jax.lax.stop_gradient(nn.Dense(self.num_classes, name="dense")(x)) + 0 * x[:, :1]


@pytest.fixture(scope="session")
def masked():
    """The module of a network with linear logits and no gradient."""
    return Masked
