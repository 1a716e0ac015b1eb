"""The host's loop: batches, progress, interruption, and bad input."""

import dataclasses
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bnnjax.optimize import devices, fourier, groups, memory, minimize, pixels, pyramid
from bnnjax.optimize.devices import Devices
from tests.optimize.bowl import VARIABLES, WEIGHTS, Bowl

CPU = (jax.local_devices()[0],)


def assert_same(found, place, single):
    np.testing.assert_array_equal(found.pictures[place], single.pictures[0])
    for name, values in single.history[0].items():
        np.testing.assert_array_equal(found.history[place][name], values, name)


# --- pictures in, pictures out -------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("parametrization", [None, pyramid(), fourier()])
def test_pictures_reach_their_goals(descend, goals, grey, parametrization):
    found = descend(grey, goals, parametrization=parametrization, steps=150)
    for picture, goal, history in zip(found.pictures, goals, found.history, strict=True):
        assert picture.dtype == np.float32
        assert history["distance"][-1] < 0.2 * history["distance"][0]
        assert np.abs(picture - goal).mean() < 0.5 * np.abs(0.5 - goal).mean()
        assert {name: len(values) for name, values in history.items()} == dict.fromkeys(
            ("total", "distance", "brightness"), 150
        )
    assert found.diverged == {}
    assert not found.interrupted
    assert set(found.seconds) == {"prepare", "optimize"}


@pytest.mark.slow
def test_weights_and_rates_are_each_pictures_own(descend, goals, grey):
    weights = {"distance": [1.0, 2.0, 3.0, 4.0, 5.0], "brightness": 0.5}
    rates = [0.01, 0.02, 0.03, 0.04, 0.05]
    found = descend(grey, goals, weights=weights, learning_rate=rates)
    for place in range(5):
        own = {"distance": weights["distance"][place], "brightness": 0.5}
        single = descend(
            grey[place : place + 1],
            goals[place : place + 1],
            weights=own,
            learning_rate=rates[place],
        )
        assert_same(found, place, single)


def test_data_may_be_computed_lazily(descend, goals, grey):
    asked = []

    def data(number):
        asked.append(number)
        return {"goal": goals[number]}

    found = descend(list(grey), data)
    whole = descend(grey, goals)
    for place in range(5):
        assert_same(found, place, descend(grey[place : place + 1], goals[place : place + 1]))
        np.testing.assert_array_equal(found.pictures[place], whole.pictures[place])
    assert set(asked) == set(range(5))


@pytest.mark.slow
def test_shapes_may_differ(descend, goals, grey):
    pictures = [grey[0], grey[1][:, :12], grey[2]]
    found = descend(pictures, lambda n: {"goal": [goals[0], goals[1][:, :12], goals[2]][n]})
    assert [picture.shape for picture in found.pictures] == [(16, 20, 3), (16, 12, 3), (16, 20, 3)]
    assert_same(found, 2, descend(grey[2:3], goals[2:3]))


# --- groups --------------------------------------------------------------------------------


@pytest.fixture
def wide(monkeypatch):
    """Groups are formed as on an accelerator, but are smaller."""
    monkeypatch.setattr(devices, "find", lambda: Devices(CPU, most=4, shared=True))


@pytest.mark.slow
@pytest.mark.usefixtures("wide")
def test_wide_groups_agree_with_single_runs(descend, goals, grey, monkeypatch):
    sizes = []
    begin = groups.Group.begin
    monkeypatch.setattr(groups.Group, "begin", lambda *args: sizes.append(args[-2]) or begin(*args))
    found = descend(grey, goals)
    assert set(sizes) == {3}  # five in two groups of three, one of which is padded
    monkeypatch.undo()
    for place in range(5):
        single = descend(grey[place : place + 1], goals[place : place + 1])
        np.testing.assert_allclose(found.pictures[place], single.pictures[0], atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("wide")
def test_a_diverging_picture_does_not_affect_the_others(descend, goals, grey):
    found = descend(grey[:2], goals[:2], learning_rate=[3e38, 0.05], optimizer="sgd")
    healthy = descend(grey[:2], goals[:2], learning_rate=0.05, optimizer="sgd")
    np.testing.assert_array_equal(found.pictures[1], healthy.pictures[1])


@pytest.mark.slow
@pytest.mark.parametrize(("pictures", "most", "size"), [(32, 32, 32), (33, 32, 17), (3, 32, 3)])
def test_groups_are_no_larger_than_necessary(bowl, goals, monkeypatch, pictures, most, size):
    """33 pictures on an accelerator that takes 32 are two groups of 17, not 64."""
    monkeypatch.setattr(devices, "find", lambda: Devices(CPU, most=most, shared=True))
    monkeypatch.setattr(memory, "step_bytes", lambda compiled: 1)
    made = []
    plan = groups.plan
    monkeypatch.setattr(groups, "plan", lambda *args: made.append(plan(*args)) or made[0])
    data = {"goal": np.repeat(goals[:1], pictures, axis=0)}
    minimize(bowl, VARIABLES, data["goal"], data, WEIGHTS, steps=1, progress=False)
    assert {each.step.size for each in made[0][0]} == {size}
    assert sum(len(each.members) for each in made[0][0]) == pictures


@pytest.mark.slow
def test_a_group_that_does_not_fit_is_halved(bowl, goals, monkeypatch):
    monkeypatch.setattr(devices, "find", lambda: Devices(CPU, most=32, shared=True))
    monkeypatch.setattr(memory, "available_memory", lambda: 100 * 2**20)
    whole = memory.step_bytes
    monkeypatch.setattr(memory, "step_bytes", lambda compiled: 1000 * whole(compiled))
    data = {"goal": np.repeat(goals[:1], 20, axis=0)}
    made = []
    plan = groups.plan
    monkeypatch.setattr(groups, "plan", lambda *args: made.append(plan(*args)) or made[0])
    minimize(bowl, VARIABLES, data["goal"], data, WEIGHTS, steps=1, progress=False)
    assert max(each.step.size for each in made[0][0]) < 20
    assert made[0][1] <= 100 * 2**20


# --- watching ------------------------------------------------------------------------------


def test_updates_come_from_the_calling_thread_and_end_with_the_result(descend, goals, grey):
    updates = []
    found = descend(grey, goals, steps=30, watch=updates.append)
    for member in range(5):
        own = [update for update in updates if member in update.members]
        assert [update.finished for update in own] == [False] * (len(own) - 1) + [True]
        assert [update.steps for update in own] == sorted({update.steps for update in own})
        assert own[-1].steps == 30
        place = own[-1].members.index(member)
        np.testing.assert_array_equal(own[-1].pictures[place], found.pictures[member])


@pytest.mark.slow
def test_pixels_do_not_depend_on_how_fast_the_machine_is(descend, goals, grey, monkeypatch):
    """A fast machine makes many steps between two updates, a slow one few."""
    runs = []
    for pace in (0.0, 10.0):  # seconds between two looks at the clock
        with monkeypatch.context() as patch:
            ticks = itertools.count()
            patch.setattr(time, "perf_counter", lambda ticks=ticks, pace=pace: pace * next(ticks))
            seen = []
            options = {"objective": Bowl(0.5), "steps": 24, "watch": seen.append}
            runs.append(descend(grey[:1], goals[:1], **options))
        assert seen[-1].steps == 24
        assert len(seen) == 24 if pace else len(seen) < 10
    fast, slow = runs
    assert (np.diff(fast.history[0]["total"]) > 0).sum() > 3
    assert_same(fast, 0, slow)


def test_progress_is_shown_unless_it_is_not_wanted(descend, goals, grey, capsys):
    descend(grey[:2], goals[:2], steps=2)
    assert capsys.readouterr() == ("", "")
    descend(grey[:2], goals[:2], steps=2, progress=True)
    assert "4/4" in capsys.readouterr().err


def test_an_interruption_keeps_the_best_so_far(descend, goals, grey):
    shown = []

    def interrupt(update):
        shown.append(update)
        if len(shown) == 4:
            raise KeyboardInterrupt

    found = descend(grey, goals, steps=5000, watch=interrupt)
    assert found.interrupted
    latest = {member: update for update in shown for member in update.members}
    for member in range(5):
        made = len(found.history[member].get("total", ()))
        if member in latest:
            assert made == latest[member].steps < 5000
            np.testing.assert_array_equal(found.pictures[member], latest[member].pictures[0])
        else:
            assert made == 0
            np.testing.assert_array_equal(found.pictures[member], grey[member])


# --- divergence ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def poison():
    """An optimiser whose updates are all NaN after three steps."""
    descent = optax.adam(0.01)

    def update(updates, state, params=None, **_):
        count, inner = state
        updates, inner = descent.update(updates, inner, params)
        bad = jax.numpy.where(count >= 3, jax.numpy.nan, 0.0)
        return jax.tree.map(lambda u: u + bad, updates), (count + 1, inner)

    return optax.GradientTransformation(lambda z: (0, descent.init(z)), update)


@pytest.mark.slow
def test_the_best_picture_before_divergence_is_kept(descend, goals, grey, poison):
    found = descend(grey[:2], goals[:2], steps=20, optimizer=poison)
    assert found.diverged == {0: 5, 1: 5}  # the loss of the picture that the fourth step computed
    healthy = descend(grey[:2], goals[:2], steps=4, optimizer=optax.adam(0.01))
    for place in range(2):
        assert np.isfinite(found.history[place]["total"][:4]).all()
        np.testing.assert_allclose(found.pictures[place], healthy.pictures[place], atol=1e-6)


@pytest.mark.slow
def test_divergence_in_the_last_step_is_reported(descend, goals, grey, poison):
    """The loss belongs to the picture before a step, so the last picture has none."""
    found = descend(grey[:1], goals[:1], steps=4, optimizer=poison)
    assert found.diverged == {0: 4}
    assert np.isfinite(found.pictures[0]).all()


def test_a_run_ends_when_all_have_diverged(descend, goals, grey, poison):
    found = descend(grey[:1], goals[:1], steps=10_000, optimizer=poison)
    assert len(found.history[0]["total"]) < 100


def test_debug_nans_finds_nothing_in_a_healthy_run(descend, goals, grey):
    with jax.debug_nans(True):
        assert not descend(grey[:1], goals[:1], steps=3).diverged


# --- one compilation -----------------------------------------------------------------------


def test_a_second_call_with_other_numbers_compiles_nothing(descend, goals, grey, caplog):
    descend(grey[:3], goals[:3])
    with jax.log_compiles(True), caplog.at_level("WARNING"):
        descend(
            goals[2:5],
            grey[:3],
            steps=31,
            learning_rate=[0.1, 0.2, 0.3],
            weights={"distance": 7.0, "brightness": [1.0, 2.0, 3.0]},
            key=jax.random.key(3),
        )
    assert [r.message for r in caplog.records if "Compiling" in r.message] == []


def test_pictures_of_one_kind_share_a_compilation(goals, grey, descend):
    """It is traced once for all five pictures, however many turns there are."""
    traced = []

    class Counting(Bowl):
        def loss(self, *arguments):
            traced.append(1)
            return super().loss(*arguments)

    descend(grey, goals, objective=Counting(), steps=40)
    once = len(traced)
    descend(grey, goals, objective=Counting(), steps=7)
    assert len(traced) == once


# --- bad input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pictures": []}, "no pictures were given"),
        ({"pictures": np.zeros((2, 8, 8))}, r"picture 0 has shape \(8, 8\), needs \[H, W, 3\]"),
        ({"data": {"goal": np.zeros((4, 16, 20, 3))}}, r"needs a leading axis of 5"),
        ({"data": {"goal": np.float32(0)}}, r"needs a leading axis of 5"),
        ({"weights": {"distance": [1, 2], "brightness": 0}}, r"distance has shape \(2,\), needs"),
        ({"learning_rate": [0.1, 0.2]}, r"learning_rate has shape \(2,\)"),
        ({"learning_rate": np.ones((5, 2))}, r"learning_rate has shape \(5, 2\)"),
        ({"pictures": np.zeros((2, 8, 8, 3), np.uint8)}, r"picture 0 is uint8, needs floats"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast', needs numbers"),
        ({"weights": {"distance": "x", "brightness": 0}}, "distance is 'x', needs numbers"),
        ({"steps": 0}, "steps is 0, needs an integer of at least 1"),
        ({"steps": 2.5}, "steps is 2.5, needs an integer"),
        ({"steps": "2"}, "steps is '2', needs an integer"),
        ({"optimizer": ["adam"]}, r"optimizer is \['adam'\], needs a name or an optax optimizer"),
        ({"parametrization": pixels}, r"parametrization is .*, needs one such as pixels\(\)"),
        ({"schedule": "cosine"}, "schedule is 'cosine', needs a function"),
        ({"optimizer": "adamm"}, "no optimizer 'adamm'"),
    ],
)
def test_invalid_values_are_refused(bowl, goals, grey, changes, message):
    arguments = {"pictures": grey, "data": {"goal": goals}, "weights": WEIGHTS, "progress": False}
    with pytest.raises(ValueError, match=message) as raised:
        minimize(bowl, VARIABLES, **{**arguments, **changes})
    assert len(str(raised.value).splitlines()) == 1


@dataclasses.dataclass(frozen=True)
class Odd:
    """An objective that returns the given values."""

    total: tuple | float
    terms: tuple

    def loss(self, variables, picture, data, weights, key):
        return jnp.asarray(self.total, jnp.float32), dict(self.terms)


class Unhashable(Bowl):
    __hash__ = None


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (Bowl, "objective is <class .*, needs an object with a method `loss`"),
        (lambda *arguments: 0.0, "objective is <function .*, needs an object with a method `loss`"),
        (Unhashable(), "the objective must be hashable"),
        (Odd(0.0, (("total", 1.0),)), "a term is called 'total'"),
        (Odd(0.0, (("a", (1.0, 2.0)),)), r"a has shape \(2,\), needs to be a scalar"),
        (Odd((1.0, 2.0), ()), r"total has shape \(2,\), needs to be a scalar"),
    ],
)
def test_an_invalid_objective_is_refused(grey, objective, message):
    with pytest.raises(ValueError, match=message):
        minimize(objective, {}, grey, progress=False)


@pytest.mark.parametrize("steps", [np.int64(2), np.array(2), jnp.array(2)])
def test_the_number_of_steps_may_be_any_integer(descend, goals, grey, steps):
    assert descend(grey[:1], goals[:1], steps=steps).history[0]["total"].shape == (2,)


def test_a_run_that_does_not_fit_is_refused_before_its_first_step(
    descend, goals, grey, monkeypatch
):
    monkeypatch.setattr(memory, "available_memory", lambda: 1000)
    with pytest.raises(ValueError, match=r"need about .* GiB of memory, .* GiB are free"):
        descend(grey, goals, watch=lambda update: pytest.fail("it began"))
