"""Every row of the registry keeps what its columns promise; names that are not in it."""

import jax
import jax.numpy as jnp
import pytest

from bnnjax.models import registry
from bnnjax.models.network import Architecture

# Top-1 and top-5 accuracy as published: Larq Zoo 1.0.5; for VGG-19, its authors' model of one crop.
PUBLISHED = {"quicknet_v0": (58.6, 81.0), "vgg19": (71.3, 90.0)}
ROWS = pytest.mark.parametrize("entry", registry.REGISTRY.values(), ids=lambda entry: entry.name)


def test_every_network_has_its_published_accuracy():
    found = {name: (entry.top1, entry.top5) for name, entry in registry.REGISTRY.items()}
    assert found == PUBLISHED


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
    [("quicknet", "quicknet_v0"), ("QuickNet_v0", "quicknet_v0"), ("vgg16", "vgg19")],
)
def test_a_typo_is_answered_with_the_nearest_name(typo, nearest):
    with pytest.raises(ValueError, match=f"no network '{typo}'; did you mean '{nearest}'"):
        registry.find(typo)


def test_a_strange_name_is_answered_with_all_names():
    with pytest.raises(ValueError, match="no network 'alexnet'") as caught:
        registry.find("alexnet")
    assert all(name in str(caught.value) for name in registry.REGISTRY)
    assert "did you mean" not in str(caught.value)
