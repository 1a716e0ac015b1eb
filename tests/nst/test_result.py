"""What a stylization gives back: losses, problems, recipes, and what notebooks show."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import bnnjax
from bnnjax.nst.config import CHOICES, LossWeights
from bnnjax.nst.files import choices_of

WEIGHTS = {
    "content_weight": 0.5,
    "style_weight": np.array([2.0, 3.0, 4.0]),
    "tv_weight": [0.1, 0.0, 0.3],
    "color_weight": 0.25,
    "style_tap_weights": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory, make_picture):
    """A photograph with a name that HTML must not take for a tag, and a painting."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / "<b>oat & sea.png", folder / "wave.png"]
    for seed, path in enumerate(paths):
        coded = np.rint(255 * make_picture(seed, 32, 32)).astype(np.uint8)
        Image.fromarray(coded).save(path)
    return paths


@pytest.fixture(scope="module")
def result(toy, files, make_picture):
    contents = [files[0], make_picture(2, 32, 32), make_picture(3, 48, 60)]
    return bnnjax.stylize_batch(
        contents, files[1], model=toy, size=32, steps=4, progress=False, **WEIGHTS
    )


def test_pictures_and_losses_come_in_the_order_of_their_pairs(result):
    assert result.names == ["<b>oat & sea__wave", "content2__wave", "content3__wave"]
    assert [image.shape for image in result.images] == [(32, 32, 3), (32, 32, 3), (32, 40, 3)]
    assert len(result.losses) == 3
    for losses in result.losses:
        assert losses.keys() == {"total", "content", "style", "tv", "color"}
        assert {values.shape for values in losses.values()} == {(4,)}


def test_totals_are_weighted_sums_of_the_other_terms(result):
    for index, losses in enumerate(result.losses):
        total = sum(
            np.broadcast_to(WEIGHTS[f"{term}_weight"], 3)[index] * losses[term]
            for term in ("content", "style", "tv", "color")
        )
        np.testing.assert_allclose(losses["total"], total, rtol=1e-5)


def test_a_run_that_went_well_has_no_problems(result):
    assert result.problems == []
    assert not result.interrupted
    assert dataclasses.replace(result, interrupted=True).problems != []


def test_what_was_run_is_plain_json(result):
    run = json.loads(json.dumps(result.run))
    assert run["network"] == "toy"
    assert run["pictures"] == 3
    assert run["config"]["steps"] == 4
    assert run["weights"]["style_weight"] == [2.0, 3.0, 4.0]
    assert run["seconds"].keys() == {"prepare", "optimize"}
    assert min(run["seconds"].values()) > 0
    assert run["versions"].keys() == {"bnnjax", "jax", "flax", "optax"}


# --- recipes -------------------------------------------------------------------------------


def test_a_recipe_holds_every_choice_and_where_all_came_from(result, files):
    recipe = json.loads(json.dumps(result.recipe(0)))
    assert set(CHOICES) <= recipe.keys()
    assert recipe["content"] == str(files[0])
    assert recipe["style"] == str(files[1])
    assert recipe["network"] == "toy"
    assert recipe["size"] == 32
    assert result.recipe(1)["content"] is None  # an array has no path


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_recipe_holds_the_weights_of_its_own_picture(result, index):
    recipe = result.recipe(index)
    for name, value in WEIGHTS.items():
        expected = value[index] if np.ndim(value) else value
        np.testing.assert_array_equal(recipe[name], expected, name)


def test_a_recipe_makes_the_same_picture_again(result, files, toy):
    recipe = json.loads(json.dumps(result.recipe(0)))
    again = bnnjax.stylize_batch(
        recipe["content"], recipe["style"], model=toy, progress=False, **choices_of(recipe)
    )
    for name, values in result.losses[0].items():
        np.testing.assert_array_equal(again.losses[0][name], values, name)
    np.testing.assert_array_equal(again.images[0], result.images[0])


@pytest.mark.parametrize(
    "given_weights", [[1.0, 2.0, 3.0], [[1.0, 2.0, 3.0]] * 3, 2.0, np.array([1.0, 2.0, 3.0])]
)
def test_tap_weights_stay_whole_where_there_are_as_many_taps_as_pictures(result, given_weights):
    """Three pictures and, in another run, three taps: the one list must not be cut up."""
    weights = LossWeights(style_tap_weights=given_weights)
    spread = weights.for_pictures(3, taps=3).style_tap_weights
    recipe = dataclasses.replace(result, weights=weights).recipe(1)
    again = LossWeights(style_tap_weights=recipe["style_tap_weights"]).for_pictures(1, taps=3)
    np.testing.assert_array_equal(again.style_tap_weights, spread[1:2])


# --- notebooks -----------------------------------------------------------------------------


def test_a_notebook_shows_the_pictures_themselves(result):
    html = result._repr_html_()
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    assert len(sources) == 3
    for source, image in zip(sources, result.images, strict=True):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
        np.testing.assert_array_equal(shown, np.rint(255 * image))


def test_a_notebook_shows_names_and_problems_as_text(result):
    html = dataclasses.replace(result, interrupted=True)._repr_html_()
    assert "&lt;b&gt;oat &amp; sea__wave" in html
    assert "<b>" not in html
    assert "interrupted" in html
    assert "interrupted" not in result._repr_html_()


def test_a_console_shows_a_line(result):
    text = repr(result)
    assert len(text.splitlines()) == 1
    assert "3 pictures" in text
    assert "content2__wave" in text
    assert len(text) < 300
