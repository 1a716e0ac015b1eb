"""Counts against Larq's, against published ones, and for a small network against manual ones."""

import dataclasses
import itertools
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantConv, QuantDepthwiseConv, QuantSeparableConv
from bnnjax.models import registry, summary
from bnnjax.models.entry import Sizes
from bnnjax.models.network import Architecture

LARQ = np.load(Path(__file__).parents[1] / "reference" / "networks.npz")

# Published in the docstrings of larq_zoo, or recomputed from its code: parameters as Larq counts
# them, 1-bit ones; MiB with floats of 32 and of 8 bits; products at 224 px, 1-bit ones.
PUBLISHED = {
    "quicknet_small": (12_655_688, 11_980_800, 4.003, 2.072, 1_171_996_160, 1_156_055_040),
    "quicknet": (13_234_088, 12_533_760, 4.166, 2.162, 1_879_339_776, 1_849_688_064),
    "quicknet_large": (23_342_248, 22_634_496, 5.398, 3.373, 3_729_027_840, 3_699_376_128),
    "quicknet_v0": (10_511_232, 9_990_144, 3.179, 1.688, 1_247_787_008, 1_242_759_168),
    "quicknet_large_v0": (11_819_136, 10_985_472, 4.490, 2.105, 1_700_713_472, 1_676_279_808),
    "quicknet_xl_v0": (22_058_368, 21_086_208, 6.222, 3.441, 3_550_532_608, 3_525_967_872),
    "binary_alexnet": (61_848_720, 61_827_776, 7.450, 7.390, 841_367_552, 768_512_000),
    "xnornet": (62_387_104, 58_236_928, 22.774, 10.900, 1_139_124_224, 1_025_744_896),
    "dorefanet": (62_394_440, 58_236_928, 22.802, 10.907, 3_049_637_888, 0),
    "birealnet": (11_689_512, 10_985_472, 3.995, 1.981, 1_814_073_344, 1_676_279_808),
    "binary_resnet_e18": (11_689_640, 10_985_472, 3.996, 1.981, 1_814_073_344, 1_676_279_808),
    "binary_densenet28": (5_131_496, 4_202_496, 4.045, 1.387, 3_789_867_520, 3_587_383_296),
    "binary_densenet37": (8_702_248, 7_593_984, 5.133, 1.962, 4_706_546_688, 4_506_808_320),
    "binary_densenet37_dilated": (
        8_702_248,
        7_593_984,
        5.133,
        1.962,
        8_227_095_552,
        7_774_470_144,
    ),
    "binary_densenet45": (13_889_512, 12_349_440, 7.347, 2.941, 6_674_659_584, 6_430_556_160),
    "meliusnet22": (6_944_584, 6_119_424, 3.877, 1.516, 4_760_608_768, 4_624_220_160),
    "real_to_binary_net": (11_986_920, 10_985_472, 5.130, 2.265, 1_814_367_744, 1_676_279_808),
}
NAMES = pytest.mark.parametrize("name", PUBLISHED)


def architecture_of(name, **changes):
    return Architecture.published(registry.find(name), **changes)


@pytest.fixture(scope="module")
def counted():
    return {name: summary.summarize(architecture_of(name)) for name in PUBLISHED}


@pytest.mark.slow
@NAMES
def test_counts_equal_larqs_exactly(counted, name):
    found = counted[name]
    binary = found.macs_of(1)
    counts = [found.parameters, 8 * found.bytes, binary, found.macs - binary]
    assert counts == LARQ[f"{name}/counts"].tolist()


@pytest.mark.slow
@NAMES
def test_counts_are_the_published_ones(counted, name):
    found = counted[name]
    mebibytes, mebibytes_8bit = (b / 2**20 for b in (found.bytes, found.bytes_8bit))
    assert (
        found.parameters,
        found.parameters_of(1),
        round(mebibytes, 3),
        round(mebibytes_8bit, 3),
        found.macs,
        found.macs_of(1),
    ) == PUBLISHED[name]
    assert found.parameter_bits == [1, 32]
    assert found.mac_bits == ([2, 32] if name == "dorefanet" else [1, 32])


def test_products_of_activations_of_two_bits_are_of_two_bits(counted):
    assert counted["dorefanet"].macs_of(2) == 2_924_609_536


# Networks whose counts by Larq were published; those of quicknet_large_v0 are of another file.
LARQS = ("quicknet_small", "quicknet", "quicknet_large", "quicknet_xl_v0", "meliusnet22")


@NAMES
def test_the_registry_has_the_published_sizes(counted, name):
    """For most networks this is Keras' count, which includes a norm's scale and bias as well."""
    if name == "quicknet_large_v0":
        pytest.skip("published are the figures of an older file")
    entry, found = registry.find(name), counted[name]
    shapes = flatten_dict(architecture_of(name).latent_shapes()["params"])
    norms = [shape for path, shape in shapes.items() if path[0].endswith("norm")]
    more = 0 if name in LARQS else sum(shape.size for shape in norms)
    assert found.parameters + more == entry.card.parameters
    if name == "real_to_binary_net":  # whose size by Larq was published
        more = 0
    assert round((found.bytes + 4 * more) / 2**20, 2) == entry.card.mebibytes


@pytest.mark.slow
def test_without_the_classifier_its_counts_are_missing(counted):
    found = summary.summarize(architecture_of("quicknet", num_classes=None))
    assert found.parameters == 13_234_088 - 513 * 1000
    assert found.macs == 1_879_339_776 - 512 * 1000
    assert [layer.name for layer in counted["quicknet"].layers if layer not in found.layers] == [
        "dense"
    ]


@pytest.mark.slow
def test_products_grow_with_the_picture_and_weights_do_not(counted):
    small, large = (
        summary.summarize(architecture_of("quicknet", num_classes=None), side=n) for n in (64, 128)
    )
    assert large.macs == 4 * small.macs  # all sizes being powers of 2
    assert large.bytes == small.bytes


@pytest.mark.parametrize(
    ("name", "side"), [("quicknet", 28), ("quicknet_v0", 100), ("vgg19", 31), ("vgg19_conv5_1", 15)]
)
def test_sizes_that_the_network_cannot_take_are_refused(name, side):
    with pytest.raises(ValueError, match=rf"{name} does not take pictures of {side}×{side} px"):
        summary.summarize(architecture_of(name), side=side)


@pytest.mark.slow
def test_a_size_that_only_the_features_take_is_refused_with_the_classifier():
    with pytest.raises(ValueError, match="the classifier of binary_alexnet does not take pictures"):
        summary.summarize(architecture_of("binary_alexnet"), side=100)
    without = summary.summarize(architecture_of("binary_alexnet", num_classes=None), side=100)
    whole = summary.summarize(architecture_of("binary_alexnet"), side=224)
    assert without.parameters < whole.parameters == 61_848_720


# --- conventions ----------------------------------------------------------------------------


class Tiny(nn.Module):
    """One layer for each convention."""

    @nn.compact
    def __call__(self, x):
        signs = {"kernel_quantizer": quant.ste_sign}
        x = QuantConv(4, **signs, use_bias=True, name="float_input")(x)
        x = BatchNorm(1e-3, 0.9, use_scale=False, use_bias=False, name="norm")(x)
        x = QuantDepthwiseConv(
            multiplier=2,
            strides=(2, 2),
            input_quantizer=quant.ste_sign,
            kernel_quantizer=quant.ste_tern,
            name="ternary",
        )(x)
        x = QuantConv(
            5,
            (1, 2),
            padding="VALID",
            input_quantizer=partial(quant.dorefa, k_bit=3),
            kernel_quantizer=quant.magnitude_aware_sign,
            name="levels",
        )(x)
        x = QuantSeparableConv(
            6,
            padding="VALID",
            input_quantizer=quant.ste_sign,
            depthwise_quantizer=quant.ste_sign,
            pointwise_quantizer=quant.ste_sign,
            name="separable",
        )(x)
        return nn.Dense(7, name="dense")(x.mean((1, 2)))


# Name, input bits, output, parameters and products by bits, of a picture of 8×8 px. Larq itself
# (0.13.3) gives these numbers for the same layers.
TINY = [
    # Signs times floats are products of floats; a bias costs none.
    ("float_input", None, (8, 8, 4), {1: 9 * 3 * 4, 32: 4}, {32: 9 * 3 * 4 * 64}),
    # Two numbers per channel, even for a norm that has neither scale nor bias.
    ("norm", None, (8, 8, 4), {32: 2 * 4}, {}),
    ("ternary", 1, (4, 4, 8), {2: 9 * 4 * 2}, {2: 9 * 4 * 2 * 16}),
    # The scales of a kernel of scaled signs do not count.
    ("levels", 3, (4, 3, 5), {1: 2 * 8 * 5}, {3: 2 * 8 * 5 * 12}),
    # Both halves count as having quantized input. Larq lists them as one layer.
    ("separable/depthwise", 1, (2, 1, 5), {1: 9 * 5}, {1: 9 * 5 * 2}),
    ("separable/pointwise", 1, (2, 1, 6), {1: 5 * 6}, {1: 5 * 6 * 2}),
    ("dense", None, (7,), {32: 6 * 7 + 7}, {32: 6 * 7}),
]


@pytest.fixture(scope="module")
def tiny():
    entry = dataclasses.replace(
        registry.find("quicknet"),
        build=lambda **_: Tiny(),
        sizes=Sizes(lambda side: True, stride=8),
    )
    return summary.summarize(Architecture.published(entry), side=8)


def test_layers_are_counted_by_larqs_conventions(tiny):
    assert [dataclasses.astuple(layer) for layer in tiny.layers] == TINY


def test_sums_are_those_of_larq(tiny):
    assert (tiny.parameters, 8 * tiny.bytes, 8 * tiny.bytes_8bit) == (396, 2359, 895)
    assert 8 * tiny.bytes_float32 == 12672
    assert (tiny.macs, tiny.macs_of(1)) == (9216, 150)
    assert tiny.parameter_bits == [1, 2, 32]
    assert tiny.mac_bits == [1, 2, 3, 32]


def test_the_table_has_one_row_per_layer_and_columns_that_add_up(tiny):
    heading, *rows, total = summary.table(tiny)
    assert {len(row) for row in (heading, *rows, total)} == {len(heading)}
    assert [row[:3] for row in rows[:3]] == [
        ["float_input", "-", "8×8×4"],
        ["norm", "-", "8×8×4"],
        ["ternary", "1", "4×4×8"],
    ]
    columns = dict(zip(heading, zip(*rows, strict=True), strict=True))
    sums = dict(zip(heading, total, strict=True))
    whole = [*(f"{b}-bit params" for b in (1, 2, 32)), *(f"{b}-bit MACs" for b in (1, 2, 3, 32))]
    for name in whole:
        assert int(sums[name]) == sum(map(int, columns[name])), name
    assert [sums[name] for name in whole] == ["263", "72", "61", "150", "1152", "960", "6954"]
    assert columns["memory (KiB)"][0] == f"{(108 + 4 * 32) / 8 / 1024:.2f}"
    assert sums["memory (KiB)"] == f"{2359 / 8 / 1024:.2f}"


def test_totals_are_readable(counted):
    """The figures of ``lq.models.summary`` for QuickNet; it prints fewer digits."""
    assert dict(summary.totals(counted["quicknet"])) == {
        "parameters": "13,234,088",
        "model size": "4.17 MiB",
        "model size (8-bit for floats)": "2.16 MiB",
        "float32 equivalent": "50.48 MiB",  # 13,234,088 · 4 / 2²⁰
        "ratio to float32": "0.0825",
        "multiply-accumulates": "1,879,339,776",
        "of them 1-bit": "0.9842",
    }


def test_a_float_network_is_counted_as_well():
    """VGG-19's convolutions up to conv5_1 at 224 px: 19.6·10⁹ products of its layers' shapes."""
    found = summary.summarize(architecture_of("vgg19_conv5_1"))
    widths, sides = (3, 64, 64, 128, 128, *[256] * 4, *[512] * 5), (224,) * 2 + (112,) * 2
    sides += (56,) * 4 + (28,) * 4 + (14,)
    kernels = [9 * a * b for a, b in itertools.pairwise(widths)]
    assert found.parameters == sum(kernels) + sum(widths[1:])
    assert found.macs == found.macs_of(32) == np.dot(kernels, np.square(sides))
    assert dict(summary.totals(found))["of them 1-bit"] == "0.0000"
