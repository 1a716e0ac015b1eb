"""Flip ratios against Larq's metric and by hand."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from bnnjax import quant
from bnnjax.layers import QuantConv, QuantDense
from bnnjax.train.flips import FlipRatio, flip_ratio, sign_flips

LARQ = np.load(Path(__file__).parents[1] / "reference" / "spatial_layers.npz")


def test_the_mean_is_larqs_after_every_step():
    first, *others = LARQ["flips kernels"]
    ratio, found = FlipRatio(jnp.asarray(first)), []
    found.append(ratio.mean)
    for kernel in others:
        ratio = jax.jit(FlipRatio.update)(ratio, jnp.asarray(kernel))
        found.append(ratio.mean)
    np.testing.assert_allclose(found, LARQ["flips ratios"], rtol=1e-6)
    assert 0 < found[-1] < 1


def test_the_ratio_is_the_share_of_changed_values():
    before = jnp.array([[1, 1], [-1, 1]])
    assert flip_ratio(before, before) == 0
    assert flip_ratio(before, -before) == 1
    assert flip_ratio(before, before.at[0, 1].set(-1)) == 0.25


class Tiny(nn.Module):
    @nn.compact
    def __call__(self, x):
        binary = {"kernel_quantizer": quant.ste_sign, "weight_clip": 1.0}
        x = QuantConv(4, (1, 1), name="stem")(x)
        x = QuantConv(8, (1, 1), name="block", **binary)(x)
        return QuantDense(2, name="dense", **binary)(x)


@pytest.mark.slow
def test_only_signs_of_binary_kernels_count():
    variables = Tiny().init(jax.random.key(0), jnp.ones((1, 2, 2, 3)))
    before = jax.tree.map(jnp.ones_like, variables["params"])
    after = jax.tree.map(lambda leaf: 0.5 * leaf, before)
    after["stem"]["kernel"] = -after["stem"]["kernel"]
    after["block"]["kernel"] = after["block"]["kernel"].at[0, 0, :, :3].set(-0.5)
    after["dense"]["kernel"] = after["dense"]["kernel"].at[0, 0].set(-0.0)  # whose sign is +1
    found = sign_flips(before, after, variables["weight_clip"])
    assert found == {"block/kernel": 3 / 8, "dense/kernel": 0}
