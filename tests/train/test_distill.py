"""Lessons of a teacher: divergences and hints against NumPy and their closed forms."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.train import teacher
from bnnjax.train.teacher import Lesson, ask, hint_loss, soft_loss, translation


def lesson(seed, *, tap=(4, 5, 5, 6), classes=7):
    rng = np.random.default_rng(seed)
    taps = {"stem": rng.normal(2, 3, tap), "section1": rng.normal(0, 1, (4, 2, 2, 9))}
    return Lesson(jnp.asarray(rng.normal(0, 3, (4, classes))), jax.tree.map(jnp.asarray, taps))


def test_soft_loss_is_the_divergence():
    guess, taught = lesson(0), lesson(1)
    p, q = (np.exp(np.float64(x.logits)) for x in (taught, guess))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    expected = (p * np.log(p / q)).sum(1).mean()
    np.testing.assert_allclose(soft_loss(guess, taught), expected, rtol=1e-5)


def test_soft_loss_is_none_where_probabilities_agree():
    taught = lesson(1)
    shifted = taught._replace(logits=taught.logits + 5)  # the same probabilities
    np.testing.assert_allclose(soft_loss(shifted, taught), 0, atol=1e-6)


def test_hint_loss_is_none_where_all_is_guessed():
    assert hint_loss(lesson(1), lesson(1)) == 0


def test_hint_loss_is_one_where_only_means_are_guessed():
    taught = lesson(1)
    means = {tap: jnp.broadcast_to(x.mean((0, 1, 2)), x.shape) for tap, x in taught.taps.items()}
    np.testing.assert_allclose(hint_loss(Lesson(taught.logits, means), taught), 1, rtol=1e-5)


def test_hint_loss_is_the_mean_share_over_taps():
    taught = lesson(1)
    stem = taught.taps["stem"]
    half_way = stem.mean((0, 1, 2)) + 0.5 * (stem - stem.mean((0, 1, 2)))  # a quarter unexplained
    guess = Lesson(taught.logits, {**taught.taps, "stem": half_way})
    np.testing.assert_allclose(hint_loss(guess, taught), 0.25 / 2, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 7, 12])
def test_the_teacher_is_asked_in_groups_and_answers_in_order(count):
    seen = []

    def apply(variables, views):
        seen.append(views.shape[0])
        level = views.mean((1, 2, 3))
        taps = {name: views[:, ::2, ::2] * (k + 1) for k, name in enumerate(teacher.TAPS)}
        return jnp.stack([level, variables * level], axis=1), taps

    views = jnp.asarray(np.random.default_rng(0).uniform(size=(count, 8, 8, 3)))
    told = ask(SimpleNamespace(apply=apply), 3.0, views)
    assert max(seen) * teacher.GROUP_BYTES <= 20 * 2**20 or jax.default_backend() != "cpu"
    level = views.mean((1, 2, 3))
    np.testing.assert_allclose(told.logits, jnp.stack([level, 3 * level], axis=1), rtol=1e-6)
    assert told.taps.keys() == set(teacher.TAPS)
    for k, tap in enumerate(teacher.TAPS):
        np.testing.assert_allclose(told.taps[tap], views[:, ::2, ::2] * (k + 1), rtol=1e-6)


def test_nothing_flows_back_into_the_teacher():
    def apply(variables, views):
        taps = dict.fromkeys(teacher.TAPS, views * variables)
        return variables * views.mean((1, 2)), taps

    def total(weight):
        told = ask(SimpleNamespace(apply=apply), weight, jnp.ones((2, 4, 4, 3)))
        return told.logits.sum() + sum(tap.sum() for tap in told.taps.values())

    assert jax.grad(total)(2.0) == 0


def test_the_translation_speaks_the_teachers_widths(quicknet):
    """QuickNet v0.2: 8 and 64 channels in the stem, then 64, 128, 256, 512; 1000 classes."""
    maps = translation(quicknet)
    assert maps.channels == {
        "stem_conv": 8,
        "stem": 64,
        "section1": 64,
        "section2": 128,
        "section3": 256,
        "section4": 512,
    }
    taps = {tap: jnp.ones((2, 4, 4, 5)) for tap in maps.channels}
    guess = maps.apply(maps.init(jax.random.key(0), taps), taps)
    assert guess.logits.shape == (2, 1000)
    for tap, width in maps.channels.items():
        assert guess.taps[tap].shape == (2, 4, 4, width)
        assert not guess.taps[tap].any()  # it begins by knowing nothing
