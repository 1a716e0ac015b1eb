"""Forms are checked before anything runs, whatever a browser sends."""

from pathlib import Path

import pytest

from bnnjax.app import order
from bnnjax.app.config import AppConfig
from bnnjax.app.uploads import Upload
from bnnjax.nst.config import StylizeConfig

FORM = {"photograph": "p", "paintings": ["a", "b"], "shares": [2, 1], "network": "inknet"}
FORM |= {"strength": 0.5, "stroke_size": 2, "colors": "photograph", "size": 64, "steps": 9}


@pytest.fixture
def read():
    """A function (changes of a good form) → the order."""
    pictures = {
        id: Upload(id, "painting", Path(f"{id}.png"), Path(f"{id}.jpg"), id) for id in "pab"
    }
    recipes = {"r": StylizeConfig(style_weight=9, size=512, steps=77, tile=True)}
    models = {"inknet": "inknet", "mine": "/models/mine.safetensors"}

    def run(config=None, **changes):
        form = {name: value for name, value in {**FORM, **changes}.items() if value != "absent"}
        return order.read(
            form, pictures=pictures, recipes=recipes, models=models, config=config or AppConfig()
        )

    return run


def test_a_form_becomes_the_arguments_of_a_stylization(read):
    found = read()
    assert found.photograph == Path("p.png")
    assert found.paintings == (Path("a.png"), Path("b.png"))
    assert found.model == "inknet"
    assert found.base is None
    expected = {"strength": 0.5, "stroke_size": 2, "colors": "photograph", "size": 64, "steps": 9}
    assert found.options == {**expected, "style_blend": [2, 1]}


def test_networks_are_found_by_their_names_only(read):
    assert read(network="mine").model == "/models/mine.safetensors"
    with pytest.raises(ValueError, match=r"no network '/models/mine\.safetensors'"):
        read(network="/models/mine.safetensors")


def test_a_recipe_is_the_base_of_what_has_no_control(read):
    found = read(recipe="r", steps="absent")
    assert found.base.style_weight == 9
    assert "steps" not in found.options
    assert read(paintings=["a"]).options["style_blend"] is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"photograph": None}, "choose a photograph first"),
        ({"photograph": "x"}, "a photograph is no longer there"),
        ({"photograph": ["p"]}, "a photograph is no longer there"),
        ({"paintings": []}, "choose a painting first"),
        ({"paintings": "a"}, "at most 6 paintings"),
        ({"paintings": ["a"] * 7}, "at most 6 paintings"),
        ({"shares": [1]}, "needs a number for each of 2 paintings"),
        ({"shares": [0, 0]}, "numbers that are not all 0"),
        ({"shares": [1, "x"]}, "needs numbers"),
        ({"network": "inknot"}, "did you mean 'inknet'"),
        ({"network": {}}, "no network"),
        ({"recipe": "q"}, "the recipe is no longer there"),
        ({"strength": [1, 2]}, "a single value"),
        ({"strength": "much"}, "strength is 'much', needs numbers"),
        ({"strength": float("nan")}, "finite"),
        ({"colors": "mine"}, "colors is 'mine'"),
        ({"size": 1025}, "size is 1025, at most 1024"),
        ({"size": 10**9}, "size is 1000000000, needs an integer"),
        ({"size": 64.5}, "size is 64.5"),
        ({"steps": 1001}, "steps is 1001, at most 1000"),
        ({"stroke_size": 0.01}, "stroke_size is 0.01"),
        ({"stroke_size": 9}, "stroke_size is 9"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(read, changes, told):
    with pytest.raises(ValueError, match=r"\w") as caught:
        read(**changes)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_limits_hold_for_recipes_too(read):
    with pytest.raises(ValueError, match="steps is 77, at most 50"):
        read(AppConfig(most_steps=50), recipe="r", steps="absent")
    with pytest.raises(ValueError, match="size is 512, at most 256"):
        read(AppConfig(largest=256), recipe="r", size="absent")
