"""Sizes of the networks of Larq Zoo's literature; tests/port tests what they compute."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from bnnjax.models import alexnet, densenet, dorefanet, registry, resnet18, xnornet
from bnnjax.models.network import Architecture

pytestmark = pytest.mark.slow

# Rows and channels of some taps at 224 px, from the papers and larq_zoo; for the last, channels of
# the features without classifier (tests/models_test.py of larq_zoo).
SHAPES = {
    "binary_alexnet": {"section1_conv": (56, 64), "section2": (13, 192), "section5": (6, 256)},
    "xnornet": {"stem": (27, 96), "section3": (13, 384), "section5": (1, 4096)},
    "dorefanet": {"stem_conv": (54, 96), "section2": (14, 384), "section4": (6, 256)},
    "birealnet": {"stem": (56, 64), "section3_block1": (14, 256), "section4": (7, 512)},
    "binary_resnet_e18": {"stem": (56, 64), "section2": (28, 128), "section4": (7, 512)},
    "binary_densenet28": {
        "section2_transition": (28, 160),
        "section3": (14, 576),
        "head": (7, 576),
    },
    "binary_densenet37": {"section2": (28, 640), "section4_transition": (7, 256), "head": (7, 640)},
    "binary_densenet37_dilated": {"section3_transition": (28, 192), "head": (28, 640)},
    "binary_densenet45": {
        "section3": (14, 1184),
        "section4_transition": (7, 288),
        "head": (7, 800),
    },
    "meliusnet22": {"section1": (56, 320), "section3_transition": (14, 224), "head": (7, 512)},
    "real_to_binary_net": {"stem": (56, 64), "section3_block4": (14, 256), "section4": (7, 512)},
}


@pytest.mark.parametrize("name", SHAPES)
def test_taps_have_published_shapes(tap_shapes, name):
    taps = tap_shapes(name, 224, 224)
    for tap, (side, channels) in SHAPES[name].items():
        assert taps[tap] == (side, side, channels), tap
    assert [*taps.values()][-1][-1] == [*SHAPES[name].values()][-1][-1]


# Small networks with the same strides and pools.
SMALL = {
    "binary_alexnet": (partial(alexnet.BinaryAlexNet, hidden=8), alexnet.takes),
    "xnornet": (partial(xnornet.XNORNet, hidden=8), xnornet.takes),
    "dorefanet": (partial(dorefanet.DoReFaNet, hidden=8), dorefanet.takes),
    "binary_resnet_e18": (resnet18.BinaryResNetE18, registry.find("binary_resnet_e18").sizes.takes),
    "binary_densenet28": (
        partial(densenet.BinaryDenseNet, blocks=(1, 1, 1, 1), reductions=(1, 1, 1)),
        registry.find("binary_densenet28").sizes.takes,
    ),
    "binary_densenet37_dilated": (
        partial(
            densenet.BinaryDenseNet,
            blocks=(1, 1, 1, 1),
            reductions=(1, 1, 1),
            dilations=(1, 1, 2, 4),
        ),
        densenet.takes_dilated,
    ),
}
SIDES = (1, 3, 4, 5, 28, 29, 31, 32, 33, 40, 43, 44, 56, 57, 61, 62, 64, 96, 216, 217, 224)


@pytest.mark.parametrize("name", SMALL)
def test_the_network_computes_exactly_the_sides_it_takes(taps_of, name):
    build, takes = SMALL[name]
    for side in SIDES:
        try:
            computes = all(tap.size for tap in taps_of(build(), (1, side, 224, 3)).values())
        except (TypeError, ValueError):
            computes = False
        assert computes == takes(side), side


@pytest.mark.parametrize(
    ("name", "smallest", "largest"),
    [("binary_alexnet", 217, 248), ("xnornet", 217, 248), ("dorefanet", 204, 235)],
)
def test_classifiers_of_one_grid_give_logits_for_its_sides_and_taps_for_all(
    name, smallest, largest
):
    entry = registry.find(name)
    architecture = Architecture.published(entry)
    variables = architecture.frozen_shapes()
    for side in (smallest - 1, smallest, largest, largest + 1, 320):
        if not entry.sizes.takes(side):
            continue
        image = jax.ShapeDtypeStruct((1, side, 224, 3), jnp.float32)
        logits, taps = jax.eval_shape(architecture.apply, variables, image)
        assert (logits is not None) == (smallest <= side <= largest), side
        assert taps.keys() == set(architecture.taps)
