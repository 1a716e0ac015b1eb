"""What the controls show for recipes, from this page or from elsewhere."""

import dataclasses
from pathlib import Path

import pytest

from bnnjax.app import settings
from bnnjax.app.config import AppConfig
from bnnjax.app.uploads import Upload
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.recipe import Recipe, Source

RECIPE = Recipe(
    content=Source("boat.jpg", "b"),
    style=Source("wave.jpg", "w"),
    model="inknet",
    provenance={},
    config=StylizeConfig(content_weight=0.9),  # InkNet's own
    version="0.1.0",
)


def describe(recipe, **models):
    pictures = [Upload(f"id_{s}", "painting", Path(s), Path(s), s) for s in "bwx"]
    models = models or {"inknet": "inknet"}
    return settings.describe(recipe, pictures=pictures, models=models, config=AppConfig())


def changed(**changes):
    return dataclasses.replace(RECIPE, **changes)


def test_the_networks_own_options_are_not_listed():
    found = describe(RECIPE)
    assert found["others"] == found["notes"] == []
    assert (found["photograph"], found["paintings"], found["network"]) == (
        "id_b",
        ["id_w"],
        "inknet",
    )
    other = describe(changed(config=StylizeConfig(content_weight=0.5, tile=True)))
    assert other["others"] == ["tile True", "content weight 0.5"]


def test_a_blend_has_its_shares():
    blend = {"blend": (Source("x.jpg", "x"),)}
    assert describe(changed(files=blend))["shares"] == [1, 1]
    found = describe(changed(files=blend, config=StylizeConfig(style_blend=(3, 1))))
    assert (found["paintings"], found["shares"]) == (["id_w", "id_x"], [3, 1])


def test_what_cannot_be_repeated_is_said():
    found = describe(
        changed(
            content=Source(None, "?"),
            style=Source("gone.jpg", "!"),
            model="mynet.safetensors",
            config=StylizeConfig(size=2048, steps=5000),
            files={"content_mask": (Source("sky.png", "m"),)},
        )
    )
    assert (found["photograph"], found["paintings"], found["network"]) == (None, None, None)
    assert (found["size"], found["steps"]) == (1024, 1000)
    assert found["notes"] == [
        "Its photograph, which was not a file, is not here; please drop it.",
        "Its painting, gone.jpg, is not here; please drop it.",
        "Its network, mynet.safetensors, is not offered here; another one is used.",
        "It was made with further pictures that this page does not use: content mask.",
        "Its size of 2048 px is reduced to 1024 px.",
        "Its 5000 steps are reduced to 1000.",
    ]


def test_a_network_is_found_by_the_name_of_its_file():
    found = describe(changed(model="mynet.safetensors"), mynet="/models/mynet.safetensors")
    assert found["network"] == "mynet"


def test_a_recipe_cannot_make_the_server_read_a_file(tmp_path, monkeypatch):
    """Neither its path nor a file of its name in the working directory is looked at."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.png").write_bytes(b"x")
    monkeypatch.setattr(Path, "is_file", lambda path: pytest.fail(f"looks for {path}"))
    source = Source("secret.png", "s", path=str(tmp_path / "secret.png"))
    assert describe(changed(content=source))["photograph"] is None


def test_terms_without_their_code_are_refused():
    with pytest.raises(ValueError, match=r"extra terms.*contrast \(20\)"):
        describe(changed(extra_terms={"contrast": 20.0}))
