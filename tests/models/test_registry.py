"""Every row of the registry keeps what its columns promise; names that are not in it."""

import re

import jax
import jax.numpy as jnp
import pytest

from bnnjax.models import registry
from bnnjax.models.network import Architecture

# Top-1 and top-5 accuracy, parameters and MiB as published: in the docstrings of larq_zoo (2.x and
# 1.0.5); of the VGGs in the table of keras.applications, of Inception v1 with Caffe's model; their
# MiB are the parameters as float32.
PUBLISHED = {
    "quicknet_small": (59.4, 81.8, 12_655_688, 4.00),
    "quicknet": (63.3, 84.6, 13_234_088, 4.17),
    "quicknet_large": (66.9, 87.0, 23_342_248, 5.40),
    "quicknet_v0": (58.6, 81.0, 10_518_528, 3.21),
    "quicknet_large_v0": (62.7, 84.0, 11_837_696, 4.56),
    "quicknet_xl_v0": (67.0, 87.3, 22_058_368, 6.22),
    "vgg16": (71.3, 90.1, 138_357_544, 527.79),
    "vgg19": (71.3, 90.0, 143_667_240, 548.05),
    "vgg19_conv5_1": (71.3, 90.0, 143_667_240, 548.05),
    "inception_v1": (68.7, 88.9, 6_998_552, 26.70),
}
# Where larq_zoo finds the weights: the release, and the name of the file.
RELEASES = {
    "quicknet_small": ("quicknet-v1.0", "quicknet_small"),
    "quicknet": ("quicknet-v1.0", "quicknet"),
    "quicknet_large": ("quicknet-v1.0", "quicknet_large"),
    "quicknet_v0": ("quicknet-v0.2.1", "quicknet"),
    "quicknet_large_v0": ("quicknet_large-v0.2.1", "quicknet_large"),
    "quicknet_xl_v0": ("quicknet_xl-v0.1.1", "quicknet_xl"),
}
ROWS = pytest.mark.parametrize("entry", registry.REGISTRY.values(), ids=lambda entry: entry.name)


def test_every_network_has_its_published_figures():
    found = {
        name: (entry.top1, entry.top5, entry.parameters, entry.mebibytes)
        for name, entry in registry.REGISTRY.items()
        if entry.parameters
    }
    assert found == PUBLISHED


def test_every_network_of_larq_has_its_two_files():
    found = {entry.name: entry.files for entry in registry.REGISTRY.values() if entry.files}
    assert found.keys() == RELEASES.keys()
    for name, (release, file) in RELEASES.items():
        assert [tuple(each) for each in found[name]] == [
            (release, f"{file}_weights.h5", found[name][0].sha256, True),
            (release, f"{file}_weights_notop.h5", found[name][1].sha256, False),
        ]


def test_files_have_fingerprints_of_their_own():
    sums = [file.sha256 for entry in registry.REGISTRY.values() for file in entry.files]
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in sums)
    assert len(set(sums)) == len(sums) == 2 * len(RELEASES)


@ROWS
def test_rows_are_found_by_their_name(entry):
    assert registry.find(entry.name) is entry


@ROWS
def test_taps_are_those_of_the_network_in_its_order(entry):
    names = []

    def apply(variables, images):
        names.extend(architecture.apply(variables, images)[1])

    architecture = Architecture(entry, True, entry.options)
    images = jax.ShapeDtypeStruct((1, 2 * entry.stride, entry.stride, 3), jnp.float32)
    jax.eval_shape(apply, architecture.variable_shapes(), images)
    assert names == list(entry.taps)


@ROWS
def test_default_taps_exist(entry):
    for taps in (entry.style_taps, entry.content_taps):
        assert taps
        assert len(set(taps)) == len(taps)
        assert set(taps) <= set(entry.taps)


@ROWS
def test_multiples_of_the_stride_always_fit(entry):
    assert all(entry.takes(k * entry.stride) for k in range(1, 130))
    assert not entry.takes(0)


@ROWS
def test_rows_are_hashable(entry):
    assert {entry: entry.name}[entry] == entry.name


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [
        ("quiknet", "quicknet"),
        ("quicknet_smal", "quicknet_small"),
        ("QuickNet_v0", "quicknet_v0"),
        ("quicknet_xl", "quicknet_xl_v0"),
        ("vgg_19", "vgg19"),
        ("inception", "inception_v1"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(typo, nearest):
    with pytest.raises(ValueError, match=f"no network '{typo}'; did you mean '{nearest}'"):
        registry.find(typo)


def test_a_strange_name_is_answered_with_all_names():
    with pytest.raises(ValueError, match="no network 'alexnet'") as caught:
        registry.find("alexnet")
    assert all(name in str(caught.value) for name in registry.REGISTRY)
    assert "did you mean" not in str(caught.value)
