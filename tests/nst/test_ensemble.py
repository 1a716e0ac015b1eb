"""Several networks in one loss: names, losses that are those of each network, files, errors."""

import dataclasses

import numpy as np
import pytest

from bnnjax import Recipe, images, stylize_batch
from bnnjax.models import registry
from bnnjax.nst.ensemble import load_models
from bnnjax.port.storage import network_file


@pytest.fixture(scope="module")
def twins(toy, with_random_weights):
    """`Toy` twice, with different names, strides and weights."""
    sizes = dataclasses.replace(toy.entry.sizes, stride=12)
    return [toy, with_random_weights(dataclasses.replace(toy.entry, name="other", sizes=sizes))]


def test_taps_carry_the_names_of_their_networks(twins):
    both = load_models(twins)
    assert both.name == "toy,other"
    assert both.taps == tuple(f"{name}:{tap}" for name in ("toy", "other") for tap in twins[0].taps)
    assert both.style.style_taps == ("toy:stem", "toy:binary", "other:stem", "other:binary")
    assert both.stride == 12
    assert set(both.provenance) == {"toy", "other"}


def test_logits_are_those_of_the_first_network_that_has_any(twins, make_picture):
    picture = make_picture(0, 48, 48)[None]
    both = load_models(twins)
    logits, _ = both.architecture.apply(both.variables, picture)
    np.testing.assert_array_equal(logits, twins[0](picture)[0])


def test_style_and_content_are_the_means_of_those_of_each_network(twins, make_picture):
    pictures = make_picture(0, 48, 48), make_picture(1, 48, 48)
    options = {"size": 48, "steps": 1, "progress": False}
    [both] = stylize_batch(*pictures, model=twins, **options).losses
    each = [stylize_batch(*pictures, model=one, **options).losses[0] for one in twins]
    for term in ("style", "content"):
        expected = np.mean([losses[term] for losses in each])
        np.testing.assert_allclose(both[term], expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(both["tv"], each[0]["tv"], rtol=1e-6)


def test_options_reach_all_networks(twins):
    changed = load_models(twins).with_options(clip=None, pooling="avg")
    assert {network.architecture.options.pooling for network in changed.networks} == {"avg"}


def test_a_recipe_names_all_networks_and_makes_the_same_picture(
    twins, tmp_path, monkeypatch, make_picture
):
    monkeypatch.chdir(tmp_path)
    for network in twins:
        monkeypatch.setitem(registry.REGISTRY, network.name, network.entry)
        network_file.save(network, network.name)
    for number, name in enumerate(("photograph.png", "painting.png")):
        images.save_png(name, make_picture(number, 48, 48))
    model = "toy.safetensors,other.safetensors"
    options = {"size": 48, "steps": 2, "progress": False}
    result = stylize_batch("photograph.png", "painting.png", model=model, **options)
    [path, *_] = result.save("out")
    recipe = Recipe.read(path)
    assert recipe.model == model
    np.testing.assert_array_equal(recipe.run(progress=False).images[0], result.images[0])


def test_networks_of_one_name_are_refused(toy):
    with pytest.raises(ValueError, match="toy, toy, needs different ones"):
        load_models([toy, toy])
    with pytest.raises(ValueError, match="different"):
        load_models([])


def test_preprocessing_is_chosen_when_networks_are_loaded(twins):
    with pytest.raises(ValueError, match="choose it when you load them"):
        load_models(load_models(twins), preprocessing="unit")


@pytest.mark.slow
def test_an_unknown_member_is_refused():
    with pytest.raises(ValueError, match="inknot"):
        load_models("inknet,inknot")
