"""Choices: what is refused, what is suggested, and weights spread over pictures."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bnnjax.nst.config import CHOICES, LossWeights, StylizeConfig, split_choices

WEIGHTS = [field.name for field in dataclasses.fields(LossWeights)]
SCALARS = [name for name in WEIGHTS if name != "style_tap_weights"]


# --- static choices ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("init", "photo"),
        ("init", None),
        ("parametrization", "fourier"),
        ("statistics", "mean"),
        ("tv", "l2"),
        ("size", 31),
        ("size", 4097),
        ("style_size", 0),
        ("steps", 0),
        ("steps", 10**6 + 1),
        ("shift", -1),
        ("shift", 1000),
    ],
)
def test_a_choice_out_of_range_is_named_with_its_range(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}, needs"):
        StylizeConfig(**{name: value})


@pytest.mark.parametrize("seed", [2**32, 10**30])
def test_a_seed_that_would_be_cut_off_is_refused(seed):
    """JAX keeps 32 bits of a seed: beyond, other seeds would give the same picture."""
    with pytest.raises(ValueError, match="seed"):
        split_choices({"seed": seed})


def test_the_edges_of_the_ranges_are_taken():
    config = StylizeConfig(size=32, style_size=4096, steps=1, shift=0)
    assert (config.size, config.style_size, config.steps, config.shift) == (32, 4096, 1, 0)


def test_a_config_is_hashable_and_frozen():
    assert len({StylizeConfig(size=64), StylizeConfig(size=64), StylizeConfig(size=65)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        StylizeConfig().size = 100


def test_every_choice_has_a_line_of_help():
    fields = [f for kind in (StylizeConfig, LossWeights) for f in dataclasses.fields(kind)]
    assert {field.name for field in fields} == set(CHOICES)
    for field in fields:
        text = field.metadata["help"]
        assert text.strip()
        assert "\n" not in text


# --- sorting -------------------------------------------------------------------------------


def test_choices_are_sorted_into_their_kinds():
    config, weights = split_choices({"size": 64, "content_weight": 2.0, "style_taps": ["a", "b"]})
    assert config == StylizeConfig(size=64, style_taps=("a", "b"))
    assert weights == LossWeights(content_weight=2.0)
    assert split_choices({}) == (StylizeConfig(), LossWeights())


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("content_wieght", "content_weight"),
        ("learning_rat", "learning_rate"),
        ("Size", "size"),
        ("style_tap", "style_taps"),
        ("parametrisation", "parametrization"),
    ],
)
def test_a_typo_gets_the_nearest_choice(typo, meant):
    with pytest.raises(ValueError, match=f"no choice '{typo}'; did you mean '{meant}'"):
        split_choices({typo: 1})


def test_a_choice_like_no_other_gets_the_list():
    with pytest.raises(ValueError, match=r"no choice 'zzz'\. There are: ") as raised:
        split_choices({"zzz": 1})
    assert all(name in str(raised.value) for name in CHOICES)


# --- weights -------------------------------------------------------------------------------


numbers = st.floats(0, 1e6, width=32)


@given(data=st.data(), count=st.integers(1, 6), taps=st.integers(1, 5))
def test_weights_are_spread_over_pictures_and_taps(data, count, taps):
    given_weights, expected = {}, {}
    for name in WEIGHTS:
        full = (count, taps) if name == "style_tap_weights" else (count,)
        shape = data.draw(st.sampled_from([(), full[1:], full]))
        above_zero = st.floats(0.125, 1e6, width=32)
        elements = above_zero if name == "style_tap_weights" else numbers
        value = data.draw(arrays.arrays(np.float32, shape, elements=elements))
        given_weights[name] = data.draw(st.sampled_from([value, value.tolist()]))
        expected[name] = np.broadcast_to(value, full)
    spread = LossWeights(**given_weights).for_pictures(count, taps=taps)
    for name in WEIGHTS:
        found = getattr(spread, name)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected[name], name)


def test_tap_weights_that_are_not_given_are_equal():
    spread = LossWeights(style_tap_weights=None).for_pictures(2, taps=3)
    assert np.ptp(spread.style_tap_weights) == 0
    assert spread.style_tap_weights.shape == (2, 3)
    assert spread.style_tap_weights.min() > 0


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize(
    "value", [-1.0, float("nan"), float("inf"), 1e39, [1.0, -1.0], [1, 2, 3], [], [[1, 2]]]
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_impossible_weights_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        LossWeights(**{name: value}).for_pictures(2, taps=3)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", ["heavy", object(), {"a": 1}, [[1], [1, 2]]])
def test_weights_that_are_no_numbers_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        LossWeights(**{name: value}).for_pictures(2, taps=3)


@pytest.mark.parametrize("value", [[1, 2], [[1, 2, 3]], [[1], [1]], [1, 2, -3]])
def test_tap_weights_that_do_not_fit_the_taps_are_refused(value):
    with pytest.raises(ValueError, match="style_tap_weights"):
        LossWeights(style_tap_weights=value).for_pictures(2, taps=3)


@pytest.mark.parametrize("value", [0, [0, 0, 0], [[1, 0, 0], [0, 0, 0]]])
def test_tap_weights_of_zero_throughout_are_refused(value):
    with pytest.raises(ValueError, match="style_tap_weights are all 0"):
        LossWeights(style_tap_weights=value).for_pictures(2, taps=3)
    LossWeights(style_tap_weights=[1, 0, 0]).for_pictures(2, taps=3)


def test_a_preset_is_chosen_by_name_and_single_choices_go_before_it():
    config, weights = split_choices({"steps": 7}, preset="preview")
    assert (config.steps, weights.learning_rate) == (7, 0.025)
    assert split_choices({}, preset="preview")[0].steps < split_choices({})[0].steps
    with pytest.raises(ValueError, match="preset is 'preveiw', needs one of"):
        split_choices({}, preset="preveiw")
