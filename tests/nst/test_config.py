"""Options: names and help, invalid values, precedence, and weights per picture."""

import dataclasses
import typing

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bnnjax.nst.config import (
    OPTIONS,
    PER_TAP,
    PRESETS,
    TRACED,
    StylizeConfig,
    StylizeOptions,
    resolve,
)

SCALARS = [name for name in TRACED if name not in PER_TAP]
TAPS = ("style_taps", "content_taps")  # any sequence is accepted and stored as a tuple

# --- names ---------------------------------------------------------------------------------


def test_config_and_keyword_arguments_have_the_same_options_of_the_same_types():
    fields, keywords = map(typing.get_type_hints, (StylizeConfig, StylizeOptions))
    assert [*fields] == [*keywords] == [*OPTIONS]
    for name in OPTIONS:
        if name in TAPS:
            assert typing.get_origin(typing.get_args(fields[name])[0]) is tuple
        else:
            assert fields[name] == keywords[name], name


def test_every_option_has_one_line_of_help():
    for field in dataclasses.fields(StylizeConfig):
        text = field.metadata["help"]
        assert text.strip() == text != ""
        assert "\n" not in text


def test_weights_and_the_learning_rate_are_traced():
    weights = (name for name in OPTIONS if "_weight" in name)
    assert {*TRACED} == {"strength", "learning_rate", *weights}


def test_a_config_is_hashable_and_frozen():
    assert len({StylizeConfig(size=64), StylizeConfig(size=64), StylizeConfig(size=65)}) == 2
    hash(StylizeConfig(style_taps=["a"], style_tap_weights=[[1, 2], [3, 4]], tv_weight=[1, 2]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        StylizeConfig().size = 100


# --- values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("init", "photo"),
        ("init", None),
        ("parametrization", "wavelets"),
        ("statistics", "mean"),
        ("tv", "l2"),
        ("pooling", "min"),
        ("pseudo_gradient", "relu"),
        ("size", 31),
        ("size", 4097),
        ("size", "64"),
        ("size", 64.5),
        ("size", True),
        ("style_size", 0),
        ("style_size", "64"),
        ("steps", 0),
        ("steps", 10**6 + 1),
        ("steps", 2.5),
        ("steps", "3"),
        ("jitter", -1),
        ("jitter", 5000),
        ("jitter", 2.5),
        ("jitter", None),
        ("seed", -1),
        ("seed", "x"),
        ("seed", 1.5),
        ("seed", None),
        ("clip", 0.0),
        ("clip", -1.0),
        ("clip", float("nan")),
        ("clip", "wide"),
        ("clip", None),
        ("style_taps", 5),
        ("style_taps", "stem"),
        ("content_taps", "stem"),
    ],
)
def test_an_invalid_value_is_named_with_the_valid_ones(name, value):
    with pytest.raises(ValueError, match=f"^{name} is {value!r}, needs") as raised:
        StylizeConfig(**{name: value})
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("seed", [2**32, 10**30])
def test_a_seed_that_would_be_cut_off_is_refused(seed):
    """JAX uses 32 bits of a seed; larger seeds would repeat the pictures of smaller ones."""
    with pytest.raises(ValueError, match="seed"):
        StylizeConfig(seed=seed)


def test_the_ends_of_the_ranges_are_valid():
    config = StylizeConfig(size=32, style_size=4096, steps=1, jitter=0, clip=float("inf"))
    assert (config.size, config.style_size, config.steps, config.jitter) == (32, 4096, 1, 0)
    assert config.clip == float("inf")


@pytest.mark.parametrize("make", [np.int64, np.uint8, np.array, jnp.asarray])
def test_integers_of_numpy_and_jax_become_plain(make):
    config = StylizeConfig(size=make(64), style_size=make(80), steps=make(7), seed=make(3))
    assert config == StylizeConfig(size=64, style_size=80, steps=7, seed=3)
    assert {type(getattr(config, name)) for name in ("size", "style_size", "steps", "seed")} == {
        int
    }


@pytest.mark.parametrize("make", [np.float32, np.float64, np.array, jnp.asarray])
def test_numbers_of_numpy_and_jax_become_plain(make):
    config = StylizeConfig(clip=make(0.5), content_weight=make(0.25), learning_rate=make(2))
    assert config == StylizeConfig(clip=0.5, content_weight=0.25, learning_rate=2.0)
    assert type(config.clip) is type(config.content_weight) is type(config.learning_rate) is float


@pytest.mark.parametrize("make", [np.array, jnp.asarray, list, tuple])
def test_sequences_become_tuples_of_plain_numbers(make):
    config = StylizeConfig(style_weight=make([1, 0.5]), style_tap_weights=make([[1, 2], [3, 4]]))
    assert config.style_weight == (1.0, 0.5)
    assert config.style_tap_weights == ((1.0, 2.0), (3.0, 4.0))
    assert type(config.style_weight[0]) is type(config.style_tap_weights[0][0]) is float


def test_names_of_numpy_become_plain():
    config = StylizeConfig(init=np.array("noise"), style_taps=[np.str_("stem")])
    assert config == StylizeConfig(init="noise", style_taps=("stem",))
    assert type(config.init) is type(config.style_taps[0]) is str


# --- precedence ----------------------------------------------------------------------------

OWN = {"content_weight": 0.9, "steps": 300}  # of a network


def test_without_options_the_defaults_apply():
    assert resolve({}) == StylizeConfig()
    assert resolve({}, preset="default") == StylizeConfig()


def test_the_networks_own_preset_takes_precedence_over_the_defaults():
    assert resolve({}, own=OWN) == StylizeConfig(content_weight=0.9, steps=300)


def test_a_config_replaces_the_defaults_and_the_networks_own_preset():
    config = StylizeConfig(tv_weight=2.0)
    assert resolve({}, config=config, own=OWN) == config


def test_a_preset_takes_precedence_over_a_config():
    found = resolve({}, config=StylizeConfig(steps=7, tv_weight=2.0), preset="preview")
    assert found == StylizeConfig(tv_weight=2.0, **PRESETS["preview"])


def test_the_preview_keeps_the_networks_own_content_weight():
    found = resolve({}, preset="preview", own=OWN)
    assert found == StylizeConfig(content_weight=0.9, **PRESETS["preview"])
    assert found.steps < 300


def test_single_options_take_precedence_over_all():
    config = StylizeConfig(steps=9, tv_weight=2.0)
    options = {"steps": 7, "content_weight": 0.1}
    expected = {**PRESETS["preview"], **options}
    assert resolve(options, preset="preview", own=OWN) == StylizeConfig(**expected)
    found = resolve(options, config=config, preset="preview", own=OWN)
    assert found == StylizeConfig(tv_weight=2.0, **expected)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_made_of_options(name):
    found = resolve({}, preset=name)
    for option, value in PRESETS[name].items():
        assert getattr(found, option) == value


# --- typos ---------------------------------------------------------------------------------


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
def test_a_typo_suggests_the_nearest_option(typo, meant):
    for attempt in (StylizeConfig().changed, lambda **options: resolve(options)):
        with pytest.raises(ValueError, match=f"no option '{typo}'; did you mean '{meant}'"):
            attempt(**{typo: 1})


def test_an_unknown_option_lists_all_options():
    with pytest.raises(ValueError, match=r"no option 'zzz'\. There are: ") as raised:
        resolve({"zzz": 1})
    assert all(name in str(raised.value) for name in OPTIONS)


def test_a_typo_in_a_preset_suggests_the_nearest():
    with pytest.raises(ValueError, match="no preset 'preveiw'; did you mean 'preview'"):
        resolve({}, preset="preveiw")


# --- weights per picture -------------------------------------------------------------------

numbers = st.floats(0, 1e6, width=32)


@pytest.mark.slow
@given(data=st.data(), count=st.integers(1, 6), taps=st.integers(1, 5))
def test_weights_are_spread_over_pictures_and_taps(data, count, taps):
    given_weights, expected = {}, {}
    both = dict(zip(PER_TAP, (taps, 2), strict=True))
    for name in TRACED:
        full = (count, both[name]) if name in PER_TAP else (count,)
        shape = data.draw(st.sampled_from([(), full[1:], full]))
        above_zero = st.floats(0.125, 1e6, width=32)
        elements = above_zero if name in PER_TAP else numbers
        value = data.draw(arrays.arrays(np.float32, shape, elements=elements))
        given_weights[name] = data.draw(st.sampled_from([value, value.tolist()]))
        expected[name] = np.broadcast_to(value, full)
    spread = StylizeConfig(**given_weights).weights(count, taps=taps, content_taps=2)
    assert spread.keys() == {*TRACED}
    for name, found in spread.items():
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected[name], name)


def test_tap_weights_that_are_not_given_are_equal():
    spread = StylizeConfig().weights(2, taps=3)["style_tap_weights"]
    assert np.ptp(spread) == 0
    assert spread.shape == (2, 3)
    assert spread.min() > 0


@given(data=st.data(), count=st.integers(1, 4), taps=st.integers(1, 4))
def test_each_picture_of_a_batch_has_its_own_weights(data, count, taps):
    """This also holds with as many pictures as taps, where one list of tap weights is not split."""
    weights, both = {}, dict(zip(PER_TAP, (taps, 2), strict=True))
    for name in TRACED:
        full = (count, both[name]) if name in PER_TAP else (count,)
        shape = data.draw(st.sampled_from([(), full[1:], full]))
        weights[name] = np.random.default_rng(len(name)).uniform(0.1, 1, shape)
    config = StylizeConfig(**weights)
    for number in range(count):
        alone = config.of_picture(number).weights(1, taps=taps, content_taps=2)
        for name, values in config.weights(count, taps=taps, content_taps=2).items():
            np.testing.assert_array_equal(alone[name][0], values[number], name)


@pytest.mark.parametrize("name", SCALARS)
@pytest.mark.parametrize(
    "value", [-1.0, float("nan"), float("inf"), 1e39, [1.0, -1.0], [1, 2, 3], [], [[1, 2]]]
)
def test_invalid_weights_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        StylizeConfig(**{name: value}).weights(2, taps=3)


@pytest.mark.parametrize("name", TRACED)
@pytest.mark.parametrize("value", ["heavy", object(), {"a": 1}, [[1], [1, 2]]])
def test_weights_that_are_not_numbers_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        StylizeConfig(**{name: value})


@pytest.mark.parametrize("value", [[1, 2], [[1, 2, 3]], [[1], [1]], [1, 2, -3]])
@pytest.mark.parametrize("name", PER_TAP)
def test_tap_weights_that_do_not_fit_the_taps_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        StylizeConfig(**{name: value}).weights(2, taps=3, content_taps=3)


@pytest.mark.parametrize("value", [0, [0, 0, 0], [[1, 0, 0], [0, 0, 0]]])
@pytest.mark.parametrize("name", PER_TAP)
def test_tap_weights_of_zero_throughout_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} are all 0"):
        StylizeConfig(**{name: value}).weights(2, taps=3, content_taps=3)
    StylizeConfig(**{name: [1, 0, 0]}).weights(2, taps=3, content_taps=3)
