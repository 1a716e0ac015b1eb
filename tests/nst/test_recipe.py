"""Recipes: stored in pictures, they reproduce these pictures or refuse to."""

import dataclasses
import json
import shutil

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import bnnjax
from bnnjax import Recipe, StylizeConfig, images
from bnnjax.nst import recipe as recipes
from bnnjax.nst.config import OPTIONS, PRESETS
from bnnjax.nst.recipe import Source
from bnnjax.nst.terms import Term
from bnnjax.port.storage.download import file_sha256
from tests.damage import reads_or_refuses

WEIGHTS = {
    "content_weight": 0.5,
    "style_weight": np.array([2.0, 3.0]),
    "learning_rate": np.float32(0.02),
    "style_tap_weights": [[1.0, 2.0], [3.0, 4.0]],
}


def write(path, picture):
    Image.fromarray(np.rint(255 * picture).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_picture):
    """A user's folder, which tests must not change."""
    folder = tmp_path_factory.mktemp("user")
    write(folder / "boat.png", make_picture(0, 32, 32))
    write(folder / "wave.png", make_picture(1, 32, 32))
    return folder


@pytest.fixture(scope="module")
def result(toy, folder, make_picture):
    """The result for a file and for an array, each with its own weights."""
    contents = [folder / "boat.png", make_picture(2, 32, 32)]
    options = {"size": np.int64(32), "steps": np.array(4), "clip": np.float32(1.25), **WEIGHTS}
    return bnnjax.stylize_batch(contents, folder / "wave.png", model=toy, progress=False, **options)


@pytest.fixture(scope="module")
def painted(result, folder):
    """The picture that was made from files."""
    return result.save(folder / "painted")[0]


def text_of(path):
    return images.read_metadata(path)[recipes.KEYWORD]


def with_recipe(path, **changes):
    """A picture whose recipe has these values."""
    values = {
        "bnnjax": "0.1.0",
        "content": {"name": "boat.png", "sha256": "0" * 64},
        "style": {"name": "wave.png", "sha256": "0" * 64},
        "model": "inknet",
        "provenance": {},
        "options": {},
    }
    metadata = {recipes.KEYWORD: json.dumps({**values, **changes})}
    images.save_png(path, np.zeros((4, 4, 3), np.float32), metadata=metadata)
    return path


# --- what is stored ------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("clip", [1.25, float("inf")])
def test_every_json_parser_reads_a_recipe(result, tmp_path, clip):
    """JSON (RFC 8259) has no infinity, which Python's parser accepts as an extension."""
    recipe = result.recipe(0).changed(clip=clip)
    values = json.loads(recipe.to_json(), parse_constant=pytest.fail)
    assert Recipe.read(with_recipe(tmp_path / "made.png", **values)).config.clip == clip


def test_a_recipe_with_the_infinity_of_earlier_versions_is_read(tmp_path):
    path = with_recipe(tmp_path / "earlier.png", options={"clip": float("inf")})
    assert Recipe.read(path).config == StylizeConfig(clip=float("inf"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1])
def test_a_recipe_is_read_as_it_was_written(result, folder, painted, number):
    path = painted if number == 0 else painted.with_name("content2__wave.png")
    read = Recipe.read(path)
    assert read.path == path
    assert dataclasses.replace(read, path=None) == result.recipe(number)


def test_a_recipe_holds_every_option_as_plain_json(painted):
    options = json.loads(text_of(painted))["options"]
    assert {*options} == {*OPTIONS}
    assert (options["size"], options["steps"], options["clip"]) == (32, 4, 1.25)
    assert options["style_weight"] == 2.0
    assert options["style_tap_weights"] == [1.0, 2.0]


def test_the_options_are_those_of_the_picture(result):
    config = result.recipe(1).config
    assert (config.content_weight, config.style_weight) == (0.5, 3.0)
    assert config.style_tap_weights == (3.0, 4.0)


def test_pictures_are_kept_by_name_and_hash(result, folder):
    first, second = result.recipe(0), result.recipe(1)
    assert (first.content.name, first.content.path) == ("boat.png", None)
    assert (first.style.name, first.style.path) == ("wave.png", None)
    assert second.content.name is None
    assert first.content.sha256 != second.content.sha256
    assert (first.model, first.provenance) == ("toy", {"source": "random"})


def test_pictures_do_not_reveal_folders(painted, folder):
    assert str(folder).encode() not in painted.read_bytes()
    for parent in folder.parents[:-1]:
        assert parent.name not in text_of(painted)


def test_paths_are_kept_on_request(result, folder, tmp_path):
    path = result.save(tmp_path, keep_paths=True)[0]
    assert Recipe.read(path).content.path == str(folder / "boat.png")
    assert Recipe.read(path).style.path == str(folder / "wave.png")


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (None, "toy"),
        ("somewhere/deployed.tflite", "deployed.tflite"),
    ],
)
def test_the_network_is_stored_by_the_name_that_loads_it(result, path, model):
    network = dataclasses.replace(result.network, path=path)
    assert dataclasses.replace(result, network=network).recipe(0).model == model


# --- repeating -----------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """An empty working folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


def run(recipe, toy, **keywords):
    return recipe.run(**{"model": toy, "progress": False, **keywords})


def test_a_recipe_makes_the_same_picture_again(result, painted, folder, toy, monkeypatch):
    monkeypatch.chdir(folder)
    again = run(Recipe.read(painted), toy)
    assert again.names == ["boat__wave"]
    np.testing.assert_array_equal(again.images[0], result.images[0])
    for name, values in result.losses[0].items():
        np.testing.assert_array_equal(again.losses[0][name], values, name)


@pytest.mark.usefixtures("elsewhere")
def test_the_pictures_may_lie_beside_the_recipe(painted, folder, tmp_path, toy):
    beside = tmp_path / "beside"
    shutil.copytree(folder, beside)
    recipe = Recipe.read(shutil.move(beside / "painted" / painted.name, beside / "made.png"))
    assert run(recipe, toy, steps=1).photographs[0].path == str(beside / "boat.png")


@pytest.mark.usefixtures("elsewhere")
def test_kept_paths_lead_to_the_pictures(result, folder, toy):
    recipe = result.recipe(0, keep_paths=True)
    assert run(recipe, toy, steps=1).photographs[0].path == str(folder / "boat.png")


@pytest.mark.usefixtures("elsewhere")
def test_the_samples_are_found_anywhere(result):
    (lake, _), (night, _) = bnnjax.assets.samples()
    content, style = (Source(path.name, file_sha256(path)) for path in (lake, night))
    recipe = dataclasses.replace(result.recipe(0), content=content, style=style)
    assert recipe.sources() == (lake, night)


@pytest.mark.usefixtures("elsewhere")
def test_other_pictures_are_made_in_the_same_way(result, folder, toy, make_picture):
    found = run(
        result.recipe(0), toy, contents=make_picture(3, 32, 32), styles=[folder / "wave.png"]
    )
    assert found.names == ["content1__wave"]
    assert found.config == result.config.of_picture(0)


@pytest.fixture
def run_beside(folder, painted, toy, monkeypatch):
    """A function options → config of a run by the recipe."""
    monkeypatch.chdir(folder)

    def config(**keywords):
        return run(Recipe.read(painted), toy, **keywords).config

    return config


def test_options_take_precedence_over_the_recipes(run_beside, result):
    own = result.config.of_picture(0)
    assert run_beside(steps=2, tv_weight=0.5) == own.changed(steps=2, tv_weight=0.5)
    changed = result.recipe(0).changed(steps=2)
    assert changed.config == own.changed(steps=2)
    with pytest.raises(ValueError, match="did you mean 'steps'"):
        changed.changed(stesp=2)


def test_a_preset_takes_precedence_over_the_recipes_options(run_beside, result):
    own = result.config.of_picture(0)
    assert run_beside(preset="preview") == own.changed(**PRESETS["preview"])


# --- additional terms ----------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Bright(Term):
    """One minus the mean of the picture."""

    name = "bright"

    def loss(self, seen, target, weights):
        return 1 - jnp.mean(seen.picture)


@pytest.fixture(scope="module")
def brightened(result, toy, folder):
    """Two pictures, the second of which has an additional term of some weight."""
    return bnnjax.stylize_batch(
        [folder / "boat.png"] * 2, folder / "wave.png", model=toy, size=32, steps=4,
        extra_terms={Bright(): [0.0, 5.0]}, progress=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_recipe_names_additional_terms_and_their_weights(brightened, result, tmp_path):
    path = brightened.save(tmp_path)[1]
    assert Recipe.read(path).extra_terms == {"bright": 5.0}
    assert brightened.run["extra_terms"] == {"bright": [0.0, 5.0]}
    assert result.recipe(0).extra_terms == {}


@pytest.mark.slow
def test_a_recipe_is_repeated_only_with_its_additional_terms(brightened, toy, folder, monkeypatch):
    monkeypatch.chdir(folder)
    recipe = brightened.recipe(1)
    refused(r"made with extra terms, .* bright \(5\); pass them", run, recipe, toy)
    refused("extra_terms is .*, needs a dict", run, recipe, toy, extra_terms=[Bright()])
    again = run(recipe, toy, extra_terms={Bright(): recipe.extra_terms["bright"]})
    np.testing.assert_array_equal(again.images[0], brightened.images[1])


# --- missing pictures ----------------------------------------------------------------


def refused(message, attempt, *args, **keywords):
    with pytest.raises(ValueError, match=message) as raised:
        attempt(*args, **keywords)
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


def test_a_photograph_that_was_an_array_cannot_be_found(result, folder, toy, monkeypatch):
    """No other picture is used in its place."""
    monkeypatch.chdir(folder)
    refused("photograph was an array, not a file", run, result.recipe(1), toy)


def test_a_missing_picture_is_named(result, elsewhere, folder, toy):
    refused("photograph, boat.png .* is neither here nor", run, result.recipe(0), toy)
    shutil.copy(folder / "boat.png", elsewhere)
    refused("painting, wave.png .* is neither here nor", run, result.recipe(0), toy)


def test_another_picture_of_the_same_name_is_not_taken(result, elsewhere, folder, toy):
    shutil.copy(folder / "wave.png", elsewhere)
    shutil.copy(folder / "wave.png", elsewhere / "boat.png")
    refused("photograph, boat.png .* is neither here nor", run, result.recipe(0), toy)


# --- networks ------------------------------------------------------------------------


@pytest.fixture
def load_toy(toy, monkeypatch):
    """Makes `load_models` find the toy network; a function (provenance) that gives it another."""

    def make(**provenance):
        found = dataclasses.replace(toy, provenance={**toy.provenance, **provenance})
        monkeypatch.setattr(recipes, "load_models", lambda sources, preprocessing: found)

    return make


@pytest.mark.parametrize("model", [{}, {"model": None}])
def test_the_recipes_own_network_is_loaded(result, folder, load_toy, monkeypatch, model):
    monkeypatch.chdir(folder)
    load_toy()
    again = result.recipe(0).run(progress=False, **model)
    np.testing.assert_array_equal(again.images[0], result.images[0])


def test_another_network_of_the_same_name_is_refused(result, load_toy):
    load_toy(sha256="other")
    refused("toy has other weights than the recipe's network", result.recipe(0).network)


@pytest.mark.slow
def test_the_shipped_network_is_recognised(result):
    inside = dict(bnnjax.load_model().provenance)
    recipe = dataclasses.replace(result.recipe(0), model="inknet", provenance=inside)
    assert recipe.network().entry.name == "inknet"
    other = dataclasses.replace(recipe, provenance={**inside, "source": "another training"})
    refused("inknet has other weights", other.network)


@pytest.mark.usefixtures("elsewhere")
def test_a_missing_network_is_refused(result):
    recipe = dataclasses.replace(result.recipe(0), model="toyy")
    refused("toyy", recipe.network)


# --- invalid recipes -----------------------------------------------------------------


def test_a_picture_without_a_recipe_is_refused(tmp_path):
    path = tmp_path / "plain.png"
    images.save_png(path, np.zeros((4, 4, 3), np.float32), metadata={"Title": "none"})
    refused(r"plain\.png: holds no recipe", Recipe.read, path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"', "{}", '{"options": 3}'])
def test_a_damaged_recipe_is_refused(tmp_path, text):
    path = tmp_path / "damaged.png"
    images.save_png(path, np.zeros((4, 4, 3), np.float32), metadata={recipes.KEYWORD: text})
    refused(r"damaged\.png: its recipe is damaged", Recipe.read, path)


@pytest.mark.parametrize(
    "changes",
    [
        {"content": None},
        {"content": "boat.png"},
        {"style": {"name": "wave.png"}},
        {"style": {"name": 3, "sha256": "0"}},
        {"style": {"name": "wave.png", "sha256": None}},
        {"provenance": 3},
        {"options": None},
        {"options": {"size": "large"}},
        {"options": {"content_weight": [-1]}},
        {"options": {"clip": "wide"}},
        {"extra_terms": ["bright"]},
    ],
)
def test_a_recipe_with_invalid_values_is_refused(tmp_path, changes):
    path = with_recipe(tmp_path / "damaged.png", **changes)
    refused(r"damaged\.png: its recipe is damaged", Recipe.read, path)


def test_options_of_other_versions_are_left_out(tmp_path):
    path = with_recipe(tmp_path / "newer.png", options={"size": 64, "brush": 3})
    assert Recipe.read(path).config == StylizeConfig(size=64)


def test_files_of_other_formats_are_refused(tmp_path):
    (tmp_path / "text.png").write_text("text")
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.bmp")
    for name in ("text.png", "photo.bmp", "none.png", "."):
        message = refused("cannot be read as PNG", Recipe.read, tmp_path / name)
        assert str(tmp_path / name) in message


def test_an_optimizer_without_a_name_cannot_be_kept(result, toy, folder, monkeypatch):
    """It is only described; repeating the picture requires passing it."""
    monkeypatch.chdir(folder)
    config = result.config.changed(optimizer=optax.sgd(0.1), steps=1)
    made = dataclasses.replace(result, config=config).recipe(0).to_json()
    path = with_recipe(folder / "own.png", **json.loads(made))
    refused("optimizer", run, Recipe.read(path), toy)
    assert run(Recipe.read(path), toy, optimizer="adam").config.optimizer == "adam"


# --- blends, masks, and pictures to start from ---------------------------------------------


@pytest.fixture(scope="module")
def guided(toy, folder, make_picture):
    """A picture made from a blend, masks and a picture to start from, all of them files."""
    for seed, name in enumerate(("night", "left", "right", "top", "whole", "first"), start=3):
        write(folder / f"{name}.png", make_picture(seed, 32, 32))
    result = bnnjax.stylize_batch(
        folder / "boat.png",
        [(folder / "wave.png", folder / "night.png")],
        content_mask=[(folder / "left.png", folder / "right.png")],
        style_mask=[(folder / "top.png", folder / "whole.png")],
        start=folder / "first.png",
        style_blend=(1, 2), model=toy, size=32, steps=4, progress=False,
    )  # fmt: skip
    return result, result.save(folder / "guided")[0]


@pytest.mark.slow
def test_a_recipe_names_every_picture_with_its_hash(guided, folder):
    result, path = guided
    recipe = Recipe.read(path)
    assert result.names == ["boat__wave+night"]
    assert recipe.config.style_blend == (1, 2)
    names = {key: [source.name for source in found] for key, found in recipe.files.items()}
    assert names == {
        "blend": ["night.png"],
        "content_mask": ["left.png", "right.png"],
        "style_mask": ["top.png", "whole.png"],
        "start": ["first.png"],
    }
    for source in (source for found in recipe.files.values() for source in found):
        assert source.sha256 == file_sha256(folder / source.name)
        assert source.path is None


def test_a_recipe_repeats_blends_masks_and_the_first_picture(guided, folder, toy, monkeypatch):
    result, path = guided
    monkeypatch.chdir(folder)
    again = Recipe.read(path).run(model=toy, progress=False)
    np.testing.assert_array_equal(again.images[0], result.images[0])


def test_another_photograph_has_none_of_the_recipes_masks(guided, folder, monkeypatch):
    monkeypatch.chdir(folder)
    recipe = Recipe.read(guided[1])
    assert {*recipe.guides()} == {"content_mask", "style_mask", "start"}
    assert {*recipe.guides(contents="boat.png")} == {"style_mask"}
    assert recipe.guides("boat.png", "wave.png") == {"style_blend": None}


def test_a_missing_mask_is_named(guided, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"content_mask, left\.png .*is neither here nor beside"):
        Recipe.read(guided[1]).guides()


SOURCE = {"name": "a.png", "sha256": "0" * 64}
VALUES = [None, True, -1, 10**30, "", "a" * 5000, [], {}, [[1]], {"a": 1}]


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    key=st.sampled_from(["content", "style", "model", "provenance", "options", "bnnjax", "files"]),
    value=st.sampled_from(VALUES),
)
def test_values_of_other_types_are_read_or_refused(tmp_path, key, value):
    recipe = {"content": SOURCE, "style": SOURCE, "model": "inknet", "provenance": {}}
    recipe |= {"options": {}, "bnnjax": "0.1.0", "extra_terms": {}, "files": {}, key: value}
    path, metadata = tmp_path / "a.png", {recipes.KEYWORD: json.dumps(recipe)}
    images.save_png(path, np.zeros((4, 4, 3), np.float32), metadata=metadata, overwrite=True)
    reads_or_refuses(Recipe.read, path, path.read_bytes())


@pytest.mark.parametrize("name", ["../a.png", "/etc/passwd", "b/a.png", "a" * 5000])
def test_names_of_pictures_are_names(name):
    with pytest.raises(ValueError, match=r"is not a picture|is neither here"):
        Source.checked(name, "0" * 64).find("photograph")
