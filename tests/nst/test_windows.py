"""Pictures seen through windows against the same pictures seen at once."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bnnjax
from bnnjax.nst import stages, statistics, windows
from bnnjax.nst.ensemble import Ensemble
from bnnjax.nst.regions import Share
from bnnjax.nst.terms import Color, Content, Style, Term, TotalVariation
from bnnjax.nst.transfer import JITTERS, StyleTransfer
from bnnjax.nst.windows import Windows

TWO = np.array([[0, 0], [3, -2]])
SMALL = Windows(margin=8, stride=4, most=0, longest=0)  # of 32 px: 16 px and twice the margin


@pytest.fixture(autouse=True)
def in_float32(monkeypatch):
    """Backward products in float32, so that bfloat16 does not hide a difference."""

    def gradient(flat, g):
        return flat @ (g + g.T) / flat.shape[0]

    monkeypatch.setattr(statistics, "_second_moment_gradient", gradient)


@pytest.fixture(scope="module")
def network(toy):
    return toy.with_options(gradient_dtype="float32")


# --- where windows lie ---------------------------------------------------------------------

SPANS = {
    "side": st.integers(1, 200).map(lambda n: 4 * n),
    "margin": st.integers(0, 40),
    "longest": st.integers(8, 300),
}


@given(**SPANS)
def test_windows_lie_within_the_picture_and_their_parts_divide_it(side, margin, longest):
    length, spans = Windows(margin, 4, 0, longest)._spans(side)
    starts, firsts, stops = np.transpose(spans)
    assert (firsts[0], stops[-1]) == (0, side)
    np.testing.assert_array_equal(firsts[1:], stops[:-1])
    assert (stops > firsts).all()
    assert (starts >= 0).all()
    assert (starts + length <= side).all()


@given(**SPANS)
def test_windows_extend_beyond_their_parts_by_the_margin_or_to_the_edge(side, margin, longest):
    length, spans = Windows(margin, 4, 0, longest)._spans(side)
    for start, first, stop in spans:
        assert start == 0 or first - start >= margin
        assert start + length == side or start + length - stop >= margin
        assert start % 4 == first % 4 == 0
    assert length <= max(longest, 4 * (margin + 3)) + 4


@pytest.mark.parametrize(
    ("shape", "divided"), [((64, 64, 3), False), ((64, 68, 3), True), ((66, 64, 3), False)]
)
def test_pictures_are_divided_if_they_are_large_and_suit_the_network(shape, divided):
    assert Windows(8, 4, 64 * 64, 32).divide(shape) == divided


# --- sums over windows ---------------------------------------------------------------------


@pytest.mark.slow
@given(st.integers(0, 2**31))
def test_sums_about_any_centre_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    x, weights = rng.normal(3, 1, (6, 5, 4)).astype(np.float32), rng.random((6, 5))
    halves = [
        statistics.weighted_sums(part, jnp.asarray(w, jnp.float32), jnp.full(4, 2.5))
        for part, w in zip(np.split(x, 2), np.split(weights, 2), strict=True)
    ]
    total = jax.tree.map(jnp.add, *halves)
    mean, covariance = statistics.of_sums(total, jnp.full(4, 2.5), "moments")
    flat = x.reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(mean, np.average(flat, 0, weights.ravel()), rtol=1e-5)
    expected = np.cov(flat.T, aweights=weights.ravel(), ddof=0)
    np.testing.assert_allclose(covariance, expected, atol=1e-5)


@pytest.mark.slow
def test_sums_of_nothing_are_the_statistics_of_nothing():
    total = statistics.weighted_sums(jnp.ones((2, 2, 3)), jnp.zeros((2, 2)), jnp.ones(3))
    for value in statistics.of_sums(total, jnp.ones(3), "moments"):
        np.testing.assert_array_equal(value, 0)


def test_the_gradient_of_a_total_is_that_of_numpy(make_picture):
    """The sum of own pixels times their coordinates, whatever else the windows show."""
    picture = make_picture(0, 48, 64)

    def sums(scale, pixels, place):
        window = windows.Window({"x": pixels}, place, pixels.shape[:2], 0)
        line = place[0, 0] + jnp.arange(pixels.shape[0], dtype=jnp.float32)
        return scale * jnp.sum(window.own("x")[..., None] * line[:, None, None] * pixels)

    total = partial(windows.total, sums, SMALL)
    value, gradient = jax.jit(jax.value_and_grad(total))(jnp.asarray(picture), jnp.float32(2))
    lines = 2 * np.arange(48.0)[:, None, None]
    np.testing.assert_allclose(value, (lines * picture).sum(), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.broadcast_to(lines, picture.shape), rtol=1e-6)


def test_a_roll_and_its_gradient(make_picture):
    picture, other = make_picture(0, 8, 12), make_picture(1, 8, 12)
    jitter = jnp.asarray([3, -2])
    gradient = jax.grad(lambda x: jnp.vdot(windows.roll(x, jitter), other))(jnp.asarray(picture))
    np.testing.assert_array_equal(windows.roll(picture, jitter), np.roll(picture, (3, -2), (0, 1)))
    np.testing.assert_array_equal(gradient, np.roll(other, (-3, 2), (0, 1)))


# --- the loss and its gradient -------------------------------------------------------------


def objective_of(network, *, style=("stem", "binary"), content=("binary",), kind="moments"):
    terms = (Content(content), Style(style, kind), TotalVariation(), Color())
    return StyleTransfer(network.architecture, terms)


def both(network, objective, make_picture, found, *, size=(64, 80), strength=1.0, **scene):
    """Loss, terms and gradient of a picture that is seen at once, and of ``found``'s windows."""
    photograph, painting, picture = (make_picture(seed, *size) for seed in range(3))
    jitters = jnp.asarray(TWO, jnp.int32)
    data = objective.measure(network.variables, photograph, painting, jitters, **scene)
    taps = {term.name: len(term.taps) for term in objective.terms}
    weights = {f"{name}_weight": jnp.float32(2) for name in taps}
    weights |= {f"{n}_tap_weights": jnp.arange(1.0, taps[n] + 1) for n in ("style", "content")}
    weights["strength"] = jnp.float32(strength)

    def evaluate(objective):
        def loss(picture):
            key = jax.random.key(1)
            return objective.loss(network.variables, picture, data, weights, key)

        (value, terms), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(picture)
        return {**terms, "total": value}, np.asarray(gradient)

    return evaluate(objective), evaluate(found)


def assert_equal(whole, divided, *, rtol=2e-5):
    for name, value in whole[0].items():
        np.testing.assert_allclose(divided[0][name], value, rtol=1e-4, atol=1e-7, err_msg=name)
    assert np.abs(whole[1]).max() > 0
    difference = np.linalg.norm(divided[1] - whole[1], axis=2)
    assert difference.max() < rtol * np.linalg.norm(whole[1], axis=2).max()


def halves(height=64, width=80):
    left = np.zeros((height, width), np.float32)
    left[:, : width // 2] = 1
    left[:, width // 2] = 0.5
    return left, 1 - left


def shares(make_picture):
    return tuple(Share(make_picture(seed, 48, 64), weight) for seed, weight in [(4, 1.0), (5, 3.0)])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "scene"),
    [("moments", "one"), ("gram", "one"), ("moments", "mask"), ("gram", "regions")],
)
def test_windows_change_neither_loss_nor_gradient(network, make_picture, kind, scene):
    paintings = {"shares": shares(make_picture)} if scene == "regions" else {}
    masks = {"mask": halves()[:1], "regions": halves()}.get(scene)
    given = paintings | ({"regions": masks} if masks else {})
    objective = objective_of(network, kind=kind)
    found = dataclasses.replace(objective, windows=SMALL)
    assert_equal(*both(network, objective, make_picture, found, **given))


@pytest.mark.slow
@pytest.mark.parametrize("most", [0, 64 * 80 // 2])
def test_both_looks_are_added_up_even_if_only_one_is_divided(network, make_picture, most):
    objective = objective_of(network).looking((1, 2))
    found = dataclasses.replace(objective, windows=SMALL._replace(most=most))
    assert_equal(*both(network, objective, make_picture, found, strength=0.4))


@pytest.mark.slow
def test_a_margin_below_the_reach_would_show(network, make_picture):
    """So that the tests above can fail."""
    objective = objective_of(network)
    assert objective.in_windows().windows.margin > 0
    narrow = SMALL._replace(margin=0, longest=16)
    found = dataclasses.replace(objective, windows=narrow)
    with pytest.raises(AssertionError):
        assert_equal(*both(network, objective, make_picture, found))


@pytest.mark.slow
def test_inknet_has_no_seams(make_picture):
    """The shipped network, three by three windows, whose margin is InkNet's reach."""
    network = bnnjax.load_model().with_options(gradient_dtype="float32")
    objective = objective_of(
        network, style=("stem_conv", "stem", "section1"), content=("section1",)
    )
    found = objective.in_windows()
    assert found.windows == Windows(16, 32, windows.MOST, windows.LONGEST)
    found = dataclasses.replace(found, windows=found.windows._replace(most=0, longest=0))
    assert len(found.windows.places((192, 160))[1]) == 9
    assert_equal(*both(network, objective, make_picture, found, size=(192, 160)))


@pytest.mark.slow
def test_an_ensemble_sees_through_windows_as_well(network, make_picture):
    renamed = dataclasses.replace(network.architecture.entry, name="other")
    architecture = dataclasses.replace(network.architecture, entry=renamed)
    pair = Ensemble((network, dataclasses.replace(network, architecture=architecture)))
    taps = {"style": ("toy:stem", "other:binary"), "content": ("other:binary",)}
    objective = objective_of(pair, **taps)
    assert objective.in_windows().windows == objective_of(network).in_windows().windows
    found = dataclasses.replace(objective, windows=SMALL)
    assert_equal(*both(pair, objective, make_picture, found))


def test_terms_that_need_whole_maps_are_not_divided(network):
    class Mine(Term):
        name = "mine"

    plain = objective_of(network)
    assert dataclasses.replace(plain, terms=(*plain.terms, Mine())).in_windows().windows
    needy = dataclasses.replace(plain, terms=(*plain.terms, Mine(("stem",))))
    assert needy.in_windows() == needy


# --- whole runs ----------------------------------------------------------------------------


@pytest.fixture
def run(network, make_picture, monkeypatch):
    """A function (most, options) → the result of a stylization in two stages; pictures with more
    than ``most`` pixels are divided."""

    def stylize(most, **options):
        monkeypatch.setattr(windows, "MOST", most)
        monkeypatch.setattr(windows, "LONGEST", 32)
        monkeypatch.setattr(stages, "FEW_JITTERS", JITTERS)
        photograph, painting = make_picture(0, 72, 96), make_picture(1, 72, 96)
        given = {"size": 72, "stroke_size": 7.0, "steps": 8, "jitter": 0, "optimizer": "sgd"}
        given |= {"learning_rate": 3.0, "model": network, "progress": False}
        return bnnjax.stylize_batch(photograph, painting, **(given | options))

    return stylize


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"tile": True}, {"content_mask": halves(72, 96)[0]}])
def test_a_run_through_windows_paints_the_same_picture(run, options):
    whole, divided = run(2**30, **options), run(2000, **options)
    first, last = whole.losses[0]["total"][[0, -1]]
    assert last < 0.9 * first
    np.testing.assert_allclose(divided.losses[0]["total"], whole.losses[0]["total"], rtol=1e-4)
    np.testing.assert_allclose(divided.images[0], whole.images[0], atol=2e-4)


@pytest.mark.slow
def test_a_last_stage_that_does_not_fit_is_refused_before_the_first(run, monkeypatch):
    seen = []
    monkeypatch.setattr("bnnjax.optimize.memory.available_memory", lambda: 10_000)
    with pytest.raises(ValueError, match="use a smaller size or fewer pictures at a time"):
        run(2000, preview=lambda steps, names, pictures: seen.append(steps))
    assert not seen
