"""The loss of one picture, put together again from the network's taps by NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bnnjax.nst.objective import Objective, Targets

from bnnjax.nst import objective as objectives
from bnnjax.nst.config import LossWeights

SHIFTS = jnp.array([[0, 0], [3, -1], [-2, 5]])


def make_objective(network, **changes):
    fields = {
        "architecture": network.architecture,
        "style_taps": ("stem", "binary"),
        "content_taps": ("binary", "binary_conv"),
        "statistics": "moments",
        "tv": "squared",
        "parametrization": "pixels",
        "optimizer": "adam",
    }
    return Objective(**{**fields, **changes})


def make_targets(objective, network, photograph, painting):
    style, color = _style_targets(objective, network.variables, painting)
    content = _content_targets(objective, network.variables, photograph, SHIFTS)
    return Targets(style, color, content)


_style_targets = jax.jit(objectives.style_targets, static_argnums=0)
_content_targets = jax.jit(objectives.content_targets, static_argnums=0)


def make_weights(objective, **changes):
    """For one picture, as the optimisation hands them over."""
    spread = LossWeights(**changes).for_pictures(1, taps=len(objective.style_taps))
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), spread)


@pytest.fixture(scope="module")
def photograph(make_picture):
    return make_picture(0, 32, 40)


@pytest.fixture(scope="module")
def painting(make_picture):
    return make_picture(1, 32, 40)


@pytest.fixture(scope="module")
def setting(toy, photograph, painting):
    """An objective, its targets, and a function (picture, shift number, weights…) → terms."""
    objective = make_objective(toy)
    targets = make_targets(objective, toy, photograph, painting)
    jitted = jax.jit(partial(objectives.loss, objective, toy.variables))

    def terms(picture, index, target_index=None, **weights):
        target_index = index if target_index is None else target_index
        weights = make_weights(objective, **weights)
        _, found = jitted(picture, targets, weights, SHIFTS[index], jnp.asarray(target_index))
        return {name: float(value) for name, value in found.items()}

    return objective, targets, terms


def taps_of(network, picture, shift=(0, 0)):
    rolled = np.roll(picture, shift, (0, 1))
    _, taps = network.apply(network.variables, jnp.asarray(rolled)[None])
    return {name: np.asarray(value[0], np.float64) for name, value in taps.items()}


def moments(x):
    flat = x.reshape(-1, x.shape[-1]).astype(np.float64)
    return flat.mean(0), np.cov(flat, rowvar=False, bias=True)


def relative(found, target):
    return ((found - target) ** 2).sum() / (target**2).sum()


def test_terms_agree_with_numpy(toy, photograph, painting, make_picture, setting):
    _, _, terms = setting
    picture = make_picture(2, 32, 40)
    weights = {
        "content_weight": 0.5,
        "style_weight": 3.0,
        "tv_weight": 2.0,
        "color_weight": 0.25,
        "style_tap_weights": [1.0, 4.0],
    }
    for index, shift in enumerate(np.asarray(SHIFTS)):
        found = terms(picture, index, **weights)
        seen, original, goal = (
            taps_of(toy, picture, shift),
            taps_of(toy, photograph, shift),
            taps_of(toy, painting),
        )
        content = np.mean([relative(seen[t], original[t]) for t in ("binary", "binary_conv")])
        per_tap = [
            sum(relative(a, b) for a, b in zip(moments(seen[t]), moments(goal[t]), strict=True))
            for t in ("stem", "binary")
        ]
        means, covariances = (
            ((a - b) ** 2).sum() for a, b in zip(moments(picture), moments(painting), strict=True)
        )
        expected = {
            "content": content,
            "style": (per_tap[0] + 4 * per_tap[1]) / 5,
            "tv": sum((np.diff(picture, axis=axis) ** 2).mean() for axis in (0, 1)),
            "color": means + 10 * covariances,
        }
        expected["total"] = sum(weights[f"{name}_weight"] * v for name, v in expected.items())
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=2e-4, err_msg=name)


def test_the_photograph_keeps_its_own_content_at_every_shift(photograph, setting):
    *_, terms = setting
    for index in range(len(SHIFTS)):
        assert terms(photograph, index)["content"] < 1e-10


def test_shifted_content_differs_from_content_unshifted(photograph, setting):
    """What a stride sees depends on where it starts: hence a target for each shift."""
    *_, terms = setting
    assert terms(photograph, 1, target_index=0)["content"] > 0.01
    assert terms(photograph, 0, target_index=1)["content"] > 0.01


def test_content_targets_are_the_features_of_rolled_photographs(toy, photograph, setting):
    _, targets, _ = setting
    for index, shift in enumerate(np.asarray(SHIFTS)):
        taps = taps_of(toy, photograph, shift)
        for name in ("binary", "binary_conv"):
            np.testing.assert_allclose(
                targets.content[name][index], taps[name], rtol=1e-4, atol=1e-5
            )


def test_the_painting_itself_has_its_own_style_and_colours(painting, setting):
    *_, terms = setting
    found = terms(painting, 0)
    assert found["style"] < 1e-8
    assert found["color"] < 1e-10
    assert found["content"] > 0.1


def test_gradients_reach_the_picture_through_the_binary_layer(toy, photograph, painting):
    objective = make_objective(toy, style_taps=("binary",), content_taps=())
    targets = make_targets(objective, toy, photograph, painting)
    weights = make_weights(objective, tv_weight=0.0, color_weight=0.0)

    @jax.jit
    def total(picture):
        return objectives.loss(
            objective, toy.variables, picture, targets, weights, SHIFTS[0], jnp.asarray(0)
        )[0]

    gradient = jax.grad(total)(jnp.asarray(photograph))
    assert np.isfinite(gradient).all()
    assert float(jnp.abs(gradient).mean()) > 0


@pytest.mark.parametrize("left_out", ["style", "content"])
def test_a_loss_without_taps_has_that_term_zero(toy, photograph, painting, left_out):
    objective = make_objective(toy, **{f"{left_out}_taps": ()})
    targets = make_targets(objective, toy, photograph, painting)
    _, found = jax.jit(partial(objectives.loss, objective, toy.variables))(
        photograph, targets, make_weights(objective), SHIFTS[0], jnp.asarray(0)
    )
    assert found[left_out] == 0
    assert np.isfinite(found["total"])


def test_shifts_begin_with_none_and_stay_within_reach():
    for seed in range(20):
        shifts = np.asarray(objectives.random_shifts(jax.random.key(seed), count=50, reach=3))
        assert shifts.shape == (50, 2)
        np.testing.assert_array_equal(shifts[0], 0)
        assert set(np.unique(shifts[1:])) == set(range(-3, 4))


def test_shifts_without_reach_are_none():
    shifts = objectives.random_shifts(jax.random.key(0), count=4, reach=0)
    np.testing.assert_array_equal(shifts, np.zeros((4, 2)))


def test_an_objective_is_hashable_by_value(toy):
    assert len({make_objective(toy), make_objective(toy), make_objective(toy, tv="absolute")}) == 2
