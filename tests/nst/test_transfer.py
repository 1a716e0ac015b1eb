"""The loss of one picture, recomputed by NumPy from the network's taps."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.models import entry as entries
from bnnjax.nst import transfer
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.terms import Color, Content, Style, TotalVariation
from bnnjax.nst.transfer import JITTERS, StyleTransfer, random_jitters

THREE = np.array([[0, 0], [3, -1], [-2, 5]])
KEYS = jax.random.split(jax.random.key(0), 40)
WEIGHTS = {
    "content_weight": 0.5,
    "style_weight": 3.0,
    "tv_weight": 2.0,
    "color_weight": 0.25,
    "style_tap_weights": jnp.array([1.0, 4.0]),
    "content_tap_weights": jnp.array([1.0, 1.0]),
    "strength": 1.0,
}


def make_objective(network, content=("binary", "binary_conv"), style=("stem", "binary")):
    terms = (Content(content), Style(style), TotalVariation(), Color())
    return StyleTransfer(network.architecture, terms)


@partial(jax.jit, static_argnames="objective")
def losses(objective, variables, picture, data, keys):
    """Totals and terms of a picture, [keys]."""
    return jax.lax.map(lambda key: objective.loss(variables, picture, data, WEIGHTS, key), keys)


@pytest.fixture(scope="module")
def photograph(make_picture):
    return make_picture(0, 32, 40)


@pytest.fixture(scope="module")
def painting(make_picture):
    return make_picture(1, 32, 40)


@pytest.fixture(scope="module")
def objective(toy):
    return make_objective(toy)


@pytest.fixture(scope="module")
def data(toy, objective, photograph, painting):
    """For the three jitters."""
    return objective.measure(toy.variables, photograph, painting, jnp.asarray(THREE))


@pytest.fixture(scope="module")
def taps_of(toy):
    """A function picture → taps in float64."""
    apply = jax.jit(toy.apply)

    def look(picture, jitter=(0, 0)):
        _, taps = apply(toy.variables, np.roll(picture, jitter, (0, 1))[None])
        return {name: np.asarray(value[0], np.float64) for name, value in taps.items()}

    return look


def moments(x):
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    return flat.mean(0), np.cov(flat, rowvar=False, bias=True)


def relative(found, target):
    return ((found - target) ** 2).sum() / (target**2).sum()


def unsquared(found, target):
    return np.hypot(np.sqrt(relative(found, target)), 0.01) - 0.01


@pytest.fixture(scope="module")
def picture(make_picture):
    return make_picture(2, 32, 40)


@pytest.fixture(scope="module")
def singles(toy, objective, photograph, painting, picture):
    """(total, terms) of the picture for each jitter alone."""
    found = []
    for jitter in THREE:
        data = objective.measure(toy.variables, photograph, painting, jnp.asarray([jitter]))
        totals, terms = losses(objective, toy.variables, picture, data, KEYS[:1])
        found.append((float(totals[0]), {name: float(v[0]) for name, v in terms.items()}))
    return found


@pytest.mark.parametrize("number", range(len(THREE)))
def test_the_loss_agrees_with_numpy(photograph, painting, picture, taps_of, singles, number):
    jitter, (found_total, found) = THREE[number], singles[number]
    seen, original, goal = taps_of(picture, jitter), taps_of(photograph, jitter), taps_of(painting)
    per_tap = [
        np.mean([*map(unsquared, moments(seen[tap]), moments(goal[tap]))])
        for tap in ("stem", "binary")
    ]
    means, covariances = (
        ((a - b) ** 2).sum() for a, b in zip(moments(picture), moments(painting), strict=True)
    )
    expected = {
        "content": np.mean([relative(seen[t], original[t]) for t in ("binary", "binary_conv")]),
        "style": (per_tap[0] + 4 * per_tap[1]) / 5,
        "tv": sum((np.diff(picture, axis=axis) ** 2).mean() for axis in (0, 1)),
        "color": means + 10 * covariances,
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-4, err_msg=name)
    total = sum(WEIGHTS[f"{name}_weight"] * value for name, value in expected.items())
    np.testing.assert_allclose(found_total, total, rtol=2e-4)


@pytest.mark.slow
def test_each_key_chooses_one_of_the_jitters(toy, objective, picture, data, singles):
    totals, _ = losses(objective, toy.variables, picture, data, KEYS)
    distance = np.abs(np.asarray(totals)[:, None] / [total for total, _ in singles] - 1)
    assert distance.min(axis=1).max() < 1e-5
    assert {*distance.argmin(axis=1)} == {0, 1, 2}


def test_the_photograph_keeps_its_own_content_at_every_jitter(toy, objective, photograph, data):
    _, terms = losses(objective, toy.variables, photograph, data, KEYS)
    assert terms["content"].max() < 1e-10


def test_content_is_measured_at_the_jitter_of_the_step(toy, objective, photograph, data):
    """Features after a stride depend on its offset, so they differ from other jitters' targets."""
    exchanged = {**data, "jitters": jnp.roll(data["jitters"], 1, axis=0)}
    _, terms = losses(objective, toy.variables, photograph, exchanged, KEYS)
    assert terms["content"].min() > 0.01


def test_the_painting_has_its_own_style_and_colors(toy, objective, painting, data):
    still = {"jitters": 0 * data["jitters"], "targets": data["targets"]}
    _, terms = losses(objective, toy.variables, painting, still, KEYS)
    assert terms["style"].max() < 1e-8
    assert terms["color"].max() < 1e-10
    assert terms["content"].min() > 0.1


@pytest.mark.slow
def test_gradients_reach_the_picture_through_the_binary_layer(toy, photograph, painting):
    objective = make_objective(toy, content=(), style=("binary", "binary"))
    data = objective.measure(toy.variables, photograph, painting, jnp.asarray(THREE))

    def style(picture):
        return objective.loss(toy.variables, picture, data, WEIGHTS, KEYS[0])[1]["style"]

    gradient = jax.jit(jax.grad(style))(jnp.asarray(photograph))
    assert jnp.isfinite(gradient).all()
    assert float(jnp.abs(gradient).mean()) > 0


def test_terms_without_taps_are_zero(toy, photograph, painting):
    objective = make_objective(toy, content=(), style=())
    data = objective.measure(toy.variables, photograph, painting, jnp.asarray(THREE))
    totals, terms = losses(objective, toy.variables, photograph, data, KEYS)
    assert not terms["content"].any()
    assert not terms["style"].any()
    assert totals.min() > 0


def test_a_network_without_taps_of_its_own_needs_some(toy):
    """Without them, pictures would silently have neither style nor content."""
    entry = dataclasses.replace(toy.entry, style=entries.Style())
    architecture = dataclasses.replace(toy.architecture, entry=entry)
    network = dataclasses.replace(toy, architecture=architecture)
    config = StylizeConfig(style_taps=("stem",), content_taps=())
    assert transfer.make_objective(network, config).terms[:2] == (Content(), Style(("stem",)))
    for name in ("style_taps", "content_taps"):
        message = rf"toy has no {name} of its own; choose some of its taps \(stem, binary_conv"
        with pytest.raises(ValueError, match=message):
            transfer.make_objective(network, config.changed(**{name: None}))


def test_jitters_begin_with_none_and_stay_within_reach():
    seen = set()
    for seed in range(5):
        jitters = np.asarray(random_jitters(jax.random.key(seed), reach=3))
        assert jitters.shape == (JITTERS, 2)
        np.testing.assert_array_equal(jitters[0], 0)
        seen |= {*jitters.ravel().tolist()}
    assert seen == {*range(-3, 4)}


def test_by_default_any_row_and_column_may_become_an_edge():
    jitters = random_jitters(jax.random.key(0), reach=StylizeConfig().jitter)
    parts = np.asarray(jitters) % 224 // 56
    assert {*parts[:, 0].tolist()} == {*parts[:, 1].tolist()} == {0, 1, 2, 3}


def test_without_reach_there_is_no_jitter():
    np.testing.assert_array_equal(random_jitters(jax.random.key(0), reach=0), [[0, 0]])


def test_objectives_are_equal_by_value(toy):
    """Compiled steps are found by this equality."""
    assert len({make_objective(toy), make_objective(toy), make_objective(toy, content=())}) == 2
