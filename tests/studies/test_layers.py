"""Layers one at a time, and in combinations."""

import dataclasses

import jax
import numpy as np
import pytest

import bnnjax
from bnnjax.studies import layers, validation

TAPS = ("stem", "binary_conv", "binary")


@pytest.fixture
def traces(caplog):
    """A function that counts how often the step was traced and compiled."""

    def count(word):
        messages = [record.getMessage() for record in caplog.records]
        return sum(word in message and "run_chunk" in message for message in messages)

    with jax.log_compiles(True), caplog.at_level("WARNING"):
        yield count


def test_the_atlas_of_all_taps_is_one_compiled_step(small, files, traces):
    study = layers.style_layers(
        files[0], files[2:], inits=["matched", "grey", "noise"], **{**small, "tv_weight": 3.0}
    )
    assert [dict(setting)["tap"] for setting in study.settings] == [*TAPS] * 3
    assert traces("Finished tracing") == 1
    assert traces("Compiling") == 1


@pytest.mark.slow
def test_each_picture_of_the_atlas_is_that_of_its_tap_alone(small, files):
    study = layers.style_layers(files[0], files[2], **small)
    for outcome, tap in zip(study.outcomes, TAPS, strict=True):
        alone = bnnjax.stylize_batch(
            files[0], files[2], style_taps=[tap], content_weight=0, color_weight=0, **small
        )
        np.testing.assert_allclose(outcome.picture, alone.images[0], atol=2 / 255)
    pictures = [outcome.picture for outcome in study.outcomes]
    assert np.abs(pictures[0] - pictures[1]).max() > 0.01


@pytest.mark.slow
def test_each_content_picture_is_that_of_its_tap_alone(small, files):
    study = layers.content_layers(files[0], files[2], content_weight=5.0, **small)
    for outcome, tap in zip(study.outcomes, TAPS, strict=True):
        alone = bnnjax.stylize_batch(
            files[0], files[2], content_taps=[tap], content_weight=5.0, **small
        )
        np.testing.assert_allclose(outcome.picture, alone.images[0], atol=2 / 255)


@pytest.mark.slow
def test_grey_starts_from_grey(small, files):
    options = {**small, "learning_rate": 0.0, "steps": 1}
    study = layers.style_layers(files[0], files[2], inits=["grey"], taps=["stem"], **options)
    np.testing.assert_allclose(study.outcomes[0].picture, 0.5, atol=0.51 / 255)


@pytest.mark.slow
def test_a_map_with_two_names_is_tried_once(with_random_weights):
    network = bnnjax.load_model()
    names = layers.distinct_taps(network)
    assert "section2_block3" in names
    assert "section2" not in names
    assert list(names) == [name for name in network.taps if name in names]
    assert len(names) == 2 + 14 * 2 + 3  # the stem, two per block, the transitions


@pytest.mark.slow
def test_two_networks_show_their_taps_side_by_side(small, files, toy, with_random_weights):
    other = with_random_weights(dataclasses.replace(toy.entry, name="other"), seed=1)
    pictures = {}
    for name, model in (("both", [toy, other]), ("toy", toy), ("other", other)):
        study = layers.style_layers(files[0], files[2], **{**small, "model": model})
        for (_, (_, tap)), outcome in zip(study.settings, study.outcomes, strict=True):
            pictures[name, tap] = outcome.picture
    taps = [f"{name}:{tap}" for name in ("toy", "other") for tap in TAPS]
    assert [tap for name, tap in pictures if name == "both"] == taps
    for tap in taps:
        alone = pictures[tuple(tap.split(":"))]
        np.testing.assert_allclose(pictures["both", tap], alone, atol=2 / 255)


def test_an_unknown_tap_is_refused(small, files):
    with pytest.raises(ValueError, match="toy has no tap 'stm'; did you mean 'stem'"):
        layers.style_layers(files[0], files[2], taps=["stm"], **small)


# --- combinations, cross-validated ---------------------------------------------------------


@pytest.fixture(scope="module")
def crossed(toy, files):
    return layers.cross_layers(
        files[:2],
        files[2],
        taps=["stem", "binary"],
        style_sets=[["stem"], ["stem", "binary"], ["binary"]],
        model=toy,
        size=32,
        steps=3,
        progress=False,
    )


@pytest.mark.slow
def test_every_content_tap_meets_every_set_of_style_taps(crossed):
    assert [tuple(value for _, value in setting) for setting in crossed.settings] == [
        (content, style)
        for content in ("stem", "binary")
        for style in (("stem",), ("stem", "binary"), ("binary",))
    ]
    assert len(crossed.outcomes) == 12
    assert [row[0] for row in crossed.table()[1:]] == [
        row[0] for row in sorted(crossed.table()[1:], key=lambda row: float(row[-3]))
    ]


@pytest.mark.slow
def test_a_held_out_pair_gets_what_the_others_choose(crossed):
    table = np.array(
        [
            [o.measures["style"] + o.measures["content"] / 3 for o in crossed.of(s)]
            for s in crossed.settings
        ]
    )
    for place, held in enumerate(validation.leave_one_out(crossed)):
        chosen = table[:, 1 - place].argmin()
        assert held.chosen == crossed.settings[chosen]
        assert held.score == pytest.approx(table[chosen, place])
        assert held.best == pytest.approx(table[:, place].min())
        assert held.median == pytest.approx(np.median(table[:, place]))


@pytest.mark.slow
def test_cross_validation_needs_two_pairs(small, files):
    study = layers.cross_layers(files[0], files[2], taps=["stem"], **small)
    with pytest.raises(ValueError, match="single pair"):
        validation.leave_one_out(study)


def test_shares_of_additive_effects_are_their_variances():
    a, b = np.array([0.0, 2.0]), np.array([0.0, 3.0, 6.0])
    values = a[:, None] + b
    expected = [np.var(a) / np.var(values), np.var(b) / np.var(values), 0]
    np.testing.assert_allclose(validation.shares(values), expected, atol=1e-12)


def test_what_is_no_single_factors_doing_is_left_over():
    np.testing.assert_allclose(validation.shares([[1, -1], [-1, 1]]), [0, 0, 1])
    np.testing.assert_allclose(validation.shares(np.ones((2, 3))), [0, 0, 1])


def test_factors_are_named(crossed):
    found = validation.factors(crossed)
    assert found.keys() == {"score", "style", "content"}
    assert [*found["score"]] == ["content_tap", "style_taps", "pair", "rest"]
    assert sum(found["style"].values()) == pytest.approx(1)
