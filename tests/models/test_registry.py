"""The promises of the registry's rows, unknown names, and networks of your own."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import pytest

from bnnjax.models import registry, vgg
from bnnjax.models.entry import Card, Entry, KerasFile, ReleaseFile, Sizes
from bnnjax.models.network import Architecture
from bnnjax.port.storage.download import file_url

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
    "binary_alexnet": (36.30, 61.53, 61_859_192, 7.49),
    "xnornet": (44.96, 69.18, 62_396_768, 22.81),
    "dorefanet": (53.39, 76.50, 62_403_912, 22.84),
    "birealnet": (57.47, 79.84, 11_699_112, 4.03),
    "binary_resnet_e18": (58.32, 80.79, 11_699_368, 4.03),
    "binary_densenet28": (60.91, 82.83, 5_150_504, 4.12),
    "binary_densenet37": (62.89, 84.19, 8_734_120, 5.25),
    "binary_densenet37_dilated": (64.34, 85.15, 8_734_120, 5.25),
    "binary_densenet45": (64.59, 85.21, 13_939_240, 7.54),
    "meliusnet22": (62.4, 83.9, 6_944_584, 3.88),
    "real_to_binary_net": (65.01, 85.72, 11_995_624, 5.13),
    "vgg16": (71.3, 90.1, 138_357_544, 527.79),
    "vgg19": (71.3, 90.0, 143_667_240, 548.05),
    "vgg19_conv5_1": (71.3, 90.0, 143_667_240, 548.05),
    "inception_v1": (68.7, 88.9, 6_998_552, 26.70),
    # BMXNet's files carry none.
    "bmxnet_resnet18": (None, None, None, None),
    "bmxnet_resnet18_float_stage1": (None, None, None, None),
}
# Where larq_zoo finds the weights: the release, and the name of the file. Files without classifier
# are in releases of their own where NOTOP says so.
RELEASES = {
    "quicknet_small": ("quicknet-v1.0", "quicknet_small"),
    "quicknet": ("quicknet-v1.0", "quicknet"),
    "quicknet_large": ("quicknet-v1.0", "quicknet_large"),
    "quicknet_v0": ("quicknet-v0.2.1", "quicknet"),
    "quicknet_large_v0": ("quicknet_large-v0.2.1", "quicknet_large"),
    "quicknet_xl_v0": ("quicknet_xl-v0.1.1", "quicknet_xl"),
    "binary_alexnet": ("binary_alexnet-v0.3.0", "binary_alexnet"),
    "xnornet": ("xnornet-v0.2.0", "xnornet"),
    "dorefanet": ("dorefanet-v0.1.0", "dorefanet"),
    "birealnet": ("birealnet-v0.3.0", "birealnet"),
    "binary_resnet_e18": ("resnet_e-v0.1.0", "resnet_e_18"),
    "binary_densenet28": ("binary_densenet-v0.1.0", "binary_densenet_28"),
    "binary_densenet37": ("binary_densenet-v0.1.0", "binary_densenet_37"),
    "binary_densenet37_dilated": ("binary_densenet-v0.1.0", "binary_densenet_37_dilated"),
    "binary_densenet45": ("binary_densenet-v0.1.0", "binary_densenet_45"),
    "meliusnet22": ("meliusnet22-v0.1.0", "meliusnet22"),
    "real_to_binary_net": ("r2b-v0.1.0", "r2b"),
}
NOTOP = {
    "binary_alexnet": "binary_alexnet-v0.2.1",
    "xnornet": "xnornet-v0.2.1",
    "dorefanet": "dorefanet-v0.1.1",
    "binary_densenet37_dilated": "binary_densenet-v0.1.1",
    "meliusnet22": "meliusnet22-v0.1.1",
}
ROWS = pytest.mark.parametrize("entry", registry.REGISTRY.values(), ids=lambda entry: entry.name)


def test_every_network_has_its_published_figures():
    found = {
        name: (entry.card.top1, entry.card.top5, entry.card.parameters, entry.card.mebibytes)
        for name, entry in registry.REGISTRY.items()
        if name != "inknet"  # which is of this package
    }
    assert found == PUBLISHED


def test_every_network_of_larq_has_its_two_files():
    found = {
        entry.name: entry.weights.files
        for entry in registry.REGISTRY.values()
        if any(isinstance(file, ReleaseFile) for file in entry.weights.files)
    }
    assert found.keys() == RELEASES.keys()
    for name, (release, file) in RELEASES.items():
        assert [tuple(each) for each in found[name]] == [
            (release, f"{file}_weights.h5", found[name][0].sha256, True),
            (
                NOTOP.get(name, release),
                f"{file}_weights_notop.h5",
                found[name][1].sha256,
                False,
            ),
        ]


def test_files_have_fingerprints_of_their_own():
    files = [file for entry in registry.REGISTRY.values() for file in entry.weights.files]
    sums = [file.sha256 for file in files if isinstance(file, ReleaseFile)]
    assert all(re.fullmatch("[0-9a-f]{64}", text) for text in sums)
    assert len(set(sums)) == len(sums) == 2 * len(RELEASES)


def test_the_vggs_have_the_files_of_keras():
    """WEIGHTS_PATH and file_hash in keras/src/applications/vgg16.py and vgg19.py."""
    below = "https://storage.googleapis.com/tensorflow/keras-applications/"
    with_top = "{0}/{0}_weights_tf_dim_ordering_tf_kernels.h5"
    notop = "{0}/{0}_weights_tf_dim_ordering_tf_kernels_notop.h5"
    published = {
        "vgg16": [
            (below + with_top.format("vgg16"), "64373286793e3c8b2b4e3219cbf3544b", True),
            (below + notop.format("vgg16"), "6d6bbae143d832006294945121d1f1fc", False),
        ],
        "vgg19": [
            (below + with_top.format("vgg19"), "cbe5617147190e668d6c5d5026f83318", True),
            (below + notop.format("vgg19"), "253f8cb515780f3b799900260a226db6", False),
        ],
    }
    published["vgg19_conv5_1"] = published["vgg19"][1:]
    found = {
        entry.name: [(file_url(f), f.md5, f.top) for f in entry.weights.files]
        for entry in registry.REGISTRY.values()
        if any(isinstance(file, KerasFile) for file in entry.weights.files)
    }
    assert found == published


@ROWS
def test_entries_are_found_by_their_names(entry):
    assert registry.find(entry.name) is entry


@pytest.mark.slow
@ROWS
def test_default_taps_exist(entry):
    taps = Architecture.published(entry).taps
    assert len(set(taps)) == len(taps)
    for defaults in (entry.style.style_taps, entry.style.content_taps):
        assert defaults
        assert len(set(defaults)) == len(defaults)
        assert set(defaults) <= set(taps)


@ROWS
def test_multiples_of_the_stride_fit_from_the_example_on(entry):
    sizes, (side, _) = entry.sizes, entry.sizes.smallest
    assert side % sizes.stride == 0
    assert all(sizes.takes(side + k * sizes.stride) for k in range(130))
    assert not sizes.takes(0)


@pytest.mark.slow
@ROWS
def test_a_small_picture_has_all_taps_and_the_logits_if_any(entry):
    architecture = Architecture.published(entry)
    side = entry.sizes.smallest[0]
    for height in (side, 2 * side):
        images = jax.ShapeDtypeStruct((1, height, side, 3), jnp.float32)
        logits, taps = jax.eval_shape(architecture.apply, architecture.latent_shapes(), images)
        assert taps.keys() == set(architecture.taps)
        if height == side:
            classes = entry.card.num_classes
            assert (logits and logits.shape) == (classes and (1, classes))


@ROWS
def test_entries_and_architectures_are_hashable(entry):
    assert {entry: entry.name}[entry] == entry.name
    assert {Architecture.published(entry)} == {Architecture.published(entry)}


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [
        ("quiknet", "quicknet"),
        ("quicknet_smal", "quicknet_small"),
        ("QuickNet_v0", "quicknet_v0"),
        ("quicknet_xl", "quicknet_xl_v0"),
        ("vgg_19", "vgg19"),
        ("inception", "inception_v1"),
        ("alexnet", "binary_alexnet"),
        ("xnor_net", "xnornet"),
        ("binary_densenet73", "binary_densenet37"),
    ],
)
def test_a_typo_suggests_the_nearest_name(typo, nearest):
    with pytest.raises(ValueError, match=f"no network '{typo}'; did you mean '{nearest}'"):
        registry.find(typo)


def test_an_unknown_name_lists_all_names():
    with pytest.raises(ValueError, match="no network 'mobile'") as caught:
        registry.find("mobile")
    assert all(name in str(caught.value) for name in registry.REGISTRY)
    assert "did you mean" not in str(caught.value)


# --- networks of your own -------------------------------------------------------------------


@pytest.fixture
def own(monkeypatch):
    """An entry that the registry does not know; a test may register it for its duration."""
    monkeypatch.setattr(registry, "REGISTRY", dict(registry.REGISTRY))
    return dataclasses.replace(registry.find("quicknet"), name="my_net-2")


def test_a_registered_network_is_found_and_listed(own):
    registry.register(own)
    assert registry.find("my_net-2") is own
    assert registry.names()[-1] == "my_net-2"
    assert "quicknet" in registry.names()


def test_registering_the_same_twice_does_no_harm(own):
    registry.register(own)
    registry.register(dataclasses.replace(own))
    assert registry.names().count("my_net-2") == 1


def test_another_network_of_the_same_name_is_refused(own):
    with pytest.raises(ValueError, match="a network 'vgg16' is registered already"):
        registry.register(dataclasses.replace(own, name="vgg16"))
    assert registry.find("vgg16").name == "vgg16"
    assert registry.find("vgg16") != own


@pytest.mark.parametrize("name", ["", "a/b", "net.tflite", "my net"])
def test_names_that_look_like_paths_are_refused(own, name):
    with pytest.raises(ValueError, match=r"name is .*, needs letters, digits"):
        registry.register(dataclasses.replace(own, name=name))


def test_a_name_and_three_fields_make_an_entry(own):
    entry = Entry("plain", vgg.VGG, lambda images: images, Sizes(lambda side: side > 0, stride=8))
    registry.register(entry)
    assert registry.find("plain").card == Card()
