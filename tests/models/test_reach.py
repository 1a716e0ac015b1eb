"""How far networks see, against arithmetic and against what changes in their maps."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import bnnjax
from bnnjax import layers
from bnnjax.models import registry
from bnnjax.models.network import Architecture
from bnnjax.models.reach import reach
from bnnjax.models.tapped import Tapped


class Single(Tapped):
    """One operation as a tap."""

    operation: object

    @nn.compact
    def __call__(self, x):
        return self.tap("tap", self.operation(x))


def reach_of(operation, stride=8):
    return reach(Single(operation), ("tap",), smallest=32, stride=stride)


class Gated(nn.Module):
    """A channel's mean decides how much of it passes, as in squeeze-and-excitation."""

    @nn.compact
    def __call__(self, x):
        return x * nn.sigmoid(nn.Dense(3)(x.mean((1, 2))))[:, None, None]


def binary(side, **options):
    return layers.QuantConv(4, side, input_quantizer="ste_sign", pad_values=1, **options)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda x: 2 * x + 1, 0),
        (layers.Conv(4, 3), 1),
        (binary((1, 7)), 3),
        (binary(3, dilation=4), 4),
        (nn.Conv(4, (5, 5), padding=((2, 2), (2, 2))), 2),
        (nn.Conv(4, (3, 3), kernel_dilation=2), 2),
        (layers.BlurPool(), 2),  # at stride 2, with a row before or after: a position of 2 px
        (lambda x: nn.max_pool(x, (2, 2), strides=(2, 2)), 0),
        (lambda x: layers.max_pool(x, size=3, stride=1, padding="SAME"), 1),
    ],
)
def test_the_reach_of_single_operations(operation, expected):
    assert reach_of(operation) == expected


@pytest.mark.parametrize(
    "operation",
    [
        Gated(),
        lambda x: x.mean((1, 2)),  # not a map
        layers.Conv(4, 3, padding="VALID"),  # positions are not aligned with the picture's
        nn.ConvTranspose(4, (3, 3), strides=(2, 2)),  # of a geometry that is not known
    ],
)
def test_what_sees_everything_or_no_grid_has_no_reach(operation):
    assert reach_of(operation) is None


@pytest.mark.slow
def test_inknets_reach_is_the_sum_over_its_layers():
    """3×3 kernels reach a position further, and as many pixels as a position is wide: the stem's
    at 2 and 4 px, 3 blocks at 4 px, pool and blur, 3 blocks at 8 px, pool and blur, 4 blocks at
    16 px. The blur of stride 2 reaches one position of its input, and so does the pool."""
    architecture = Architecture.published(registry.find("inknet"))
    assert architecture.reach(("stem_conv",)) == 2
    assert architecture.reach(("stem", "section1")) == 4 + 3 * 4
    last = architecture.reach(("section3",))
    upper = 2 + 4 + 3 * 4 + (4 + 4) + 3 * 8 + (8 + 8) + 4 * 16
    assert upper - 16 <= last <= upper


@pytest.mark.slow
def test_maps_change_within_the_reach_and_nowhere_else():
    """In InkNet itself, whose picture changes within a block."""
    network = bnnjax.load_model().with_options(backend="dense")  # which compiles faster
    rng = np.random.default_rng(0)
    picture = rng.random((1, 160, 192, 3), np.float32)
    changed = picture.copy()
    changed[:, 64:96, 64:96] = rng.random((32, 32, 3))
    maps = [network(jnp.asarray(x))[1] for x in (picture, changed)]
    for tap in ("stem_conv", "stem", "section1", "section2"):
        scale, distance = 160 // maps[0][tap].shape[1], network.architecture.reach((tap,))
        differ = (maps[0][tap] != maps[1][tap])[0].any(-1)
        for axis in (0, 1):
            lines = np.flatnonzero(differ.any(1 - axis)) * scale
            assert 64 - distance <= lines[0] < 64
            assert 96 <= lines[-1] + scale <= 96 + distance


@pytest.mark.slow
@pytest.mark.parametrize("name", ["real_to_binary_net", "xnornet"])
def test_networks_that_see_everything_or_no_grid_have_no_reach(name):
    architecture = Architecture.published(registry.find(name))
    assert architecture.reach(architecture.entry.style.style_taps) is None


def test_a_network_of_one_size_has_no_reach():
    entry = registry.find("inknet")
    sizes = dataclasses.replace(entry.sizes, free=False)
    architecture = Architecture.published(dataclasses.replace(entry, sizes=sizes))
    assert architecture.reach(("stem",)) is None
