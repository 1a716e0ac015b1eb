"""Variations: which options they change, their names and their recipes."""

import numpy as np
import pytest

import bnnjax
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.variations import variations


def test_the_first_is_the_config_itself_and_all_others_differ():
    found = variations(6, StylizeConfig(), taps=3)
    assert len(found) == 6
    first, *others = found.values()
    assert first == {}
    assert all(others)
    np.testing.assert_allclose(found["fine-strokes"]["style_tap_weights"], [1, 1 / 4, 1 / 16])
    assert found["more-photograph"]["strength"] < 1 < found["more-painting"]["strength"]


@pytest.mark.parametrize("count", [0, 7, 2.5])
def test_other_numbers_are_refused(count):
    with pytest.raises(ValueError, match="variations is"):
        variations(count, StylizeConfig(), taps=3)


@pytest.mark.slow
def test_every_pair_has_all_variations_and_each_recipe_makes_its_own(toy, make_picture):
    photographs, painting = [make_picture(n, 32, 32) for n in (0, 1)], make_picture(2, 32, 32)
    options = {"model": toy, "size": 32, "steps": 5, "progress": False}
    result = bnnjax.stylize_batch(photographs, painting, variations=6, **options)
    assert len({*result.names}) == 12
    assert result.names[0] == "content1__style1__as-it-is"
    for number in (0, 1, 9):
        again = result.recipe(number).run(
            photographs[result.pairs[number].content], painting, model=toy, progress=False
        )
        np.testing.assert_allclose(again.images[0], result.images[number], atol=2e-3)


def test_weights_per_picture_stay_with_their_pictures(toy, make_picture):
    photographs, painting = [make_picture(n, 32, 32) for n in (0, 1)], make_picture(2, 32, 32)
    result = bnnjax.stylize_batch(
        photographs, painting, model=toy, size=32, steps=1, progress=False,
        variations=2, strength=[0.6, 0.8], tv_weight=[3, 4],
    )  # fmt: skip
    assert result.config.strength == (0.6, 0.5, 0.8, 0.5)
    assert result.config.tv_weight == (3, 3, 4, 4)


def test_a_sweep_and_variations_exclude_each_other(toy, make_picture):
    with pytest.raises(ValueError, match="leave out variations"):
        bnnjax.stylize_batch(
            make_picture(0), make_picture(1), model=toy, sweep={"tv_weight": [1]}, variations=2
        )
