"""Pictures in company: none depends on its batch mates, on the seed of others, or on the clock."""

import itertools
import time
from functools import partial

import jax
import numpy as np
import pytest

import bnnjax
from bnnjax.binary import backend
from bnnjax.nst import batch
from bnnjax.nst.config import StylizeConfig


@pytest.fixture(scope="module")
def stylize(toy):
    return partial(bnnjax.stylize_batch, model=toy, size=32, progress=False)


@pytest.fixture(scope="module")
def photographs(make_picture):
    """Three of one shape and one of another."""
    return [*(make_picture(seed, 32, 32) for seed in (0, 4, 5)), make_picture(6, 32, 40)]


@pytest.fixture(scope="module")
def painting(make_picture):
    return make_picture(1, 40, 40)


@pytest.fixture(scope="module")
def singles(stylize, photographs, painting):
    """Each photograph run by itself."""
    return [stylize(photograph, painting, steps=6) for photograph in photographs]


def assert_same_run(found, place, single):
    np.testing.assert_array_equal(found.images[place], single.images[0])
    for name, values in single.losses[0].items():
        np.testing.assert_array_equal(found.losses[place][name], values, name)


# --- batch mates ---------------------------------------------------------------------------


def test_a_batch_equals_single_runs(stylize, photographs, painting, singles):
    """To the bit on a CPU: there every picture is a group of its own, run by the very program
    that a single run compiles, with the same random numbers. Wide groups are programs of their
    own, whose sums may be ordered otherwise."""
    assert jax.default_backend() == "cpu"
    found = stylize(photographs, painting, steps=6)
    for place, single in enumerate(singles):
        assert_same_run(found, place, single)


def test_the_place_in_a_batch_does_not_count(stylize, photographs, painting, singles):
    order = [3, 1, 0, 2]
    found = stylize([photographs[i] for i in order], painting, steps=6)
    for place, i in enumerate(order):
        assert_same_run(found, place, singles[i])


def test_weights_of_each_picture_are_its_own(stylize, photographs, painting):
    weights = {"content_weight": [0.0, 5.0, 1.0], "learning_rate": [0.01, 0.03, 0.002]}
    found = stylize(photographs[:3], painting, steps=4, **weights)
    for place, photograph in enumerate(photographs[:3]):
        own = {name: values[place] for name, values in weights.items()}
        assert_same_run(found, place, stylize(photograph, painting, steps=4, **own))


@pytest.fixture
def groups_of_two(monkeypatch):
    """As on an accelerator, only narrower."""
    monkeypatch.setattr(backend, "group_size", lambda: 2)


@pytest.mark.usefixtures("groups_of_two")
def test_wide_groups_give_what_single_runs_give(stylize, photographs, painting, singles):
    """Also the last of an odd number, whose group is filled up. Close and not equal: sums over a
    wider array may be ordered otherwise, and a sign may flip at a zero."""
    found = stylize(photographs, painting, steps=6)
    assert [group.members for group in found.groups] == [(0, 1), (2,), (3,)]
    assert len(found.images) == 4
    for place, single in enumerate(singles):
        assert np.abs(found.images[place] - single.images[0]).mean() < 1e-3
        np.testing.assert_allclose(
            found.losses[place]["total"], single.losses[0]["total"], rtol=1e-2
        )


@pytest.mark.usefixtures("groups_of_two")
def test_other_mates_in_a_wide_group_change_nothing(stylize, photographs, painting):
    a, b, c = photographs[:3]
    with_b = stylize([a, b], painting, steps=6)
    with_c = stylize([c, a], painting, steps=6)
    np.testing.assert_array_equal(with_b.images[0], with_c.images[1])
    for name, values in with_b.losses[0].items():
        np.testing.assert_array_equal(with_c.losses[1][name], values)


@pytest.mark.usefixtures("groups_of_two")
def test_a_diverging_picture_spares_its_mate(stylize, photographs, painting):
    good, bad = photographs[:2]
    found = stylize([bad, good], painting, steps=6, learning_rate=[3e38, 0.03])
    healthy = stylize([good, good], painting, steps=6)
    assert np.isnan(found.losses[0]["total"]).any()
    np.testing.assert_array_equal(found.images[1], healthy.images[0])
    np.testing.assert_array_equal(found.losses[1]["total"], healthy.losses[0]["total"])


# --- randomness ----------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_pixels(stylize, photographs, painting, singles):
    again = stylize(photographs[0], painting, steps=6, seed=0)
    assert_same_run(again, 0, singles[0])


def test_another_seed_gives_other_pixels(stylize, photographs, painting, singles):
    other = stylize(photographs[0], painting, steps=6, seed=1)
    assert (other.images[0] != singles[0].images[0]).any()


def test_noise_to_begin_with_comes_from_the_seed(stylize, photographs, painting):
    settings = {"init": "noise", "steps": 1, "learning_rate": 0.0}
    a, b, c = (
        stylize(photographs[:2], painting, seed=seed, **settings).images for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[0], a[1])  # the same for all pictures of a batch
    assert (a[0] != c[0]).any()
    assert abs(a[0].mean() - 0.5) < 0.03
    assert abs(a[0].std() - 12**-0.5) < 0.03  # of a uniform distribution


def test_randomness_without_shifts_has_none():
    np.testing.assert_array_equal(
        batch.Randomness.from_config(StylizeConfig(shift=0)).shifts, [[0, 0]]
    )


def test_shifts_stay_within_their_reach():
    shifts = np.asarray(batch.Randomness.from_config(StylizeConfig(shift=2)).shifts)
    np.testing.assert_array_equal(shifts[0], 0)
    assert np.abs(shifts).max() == 2


# --- the clock -----------------------------------------------------------------------------


def test_pixels_do_not_depend_on_how_fast_the_machine_is(
    stylize, make_picture, painting, monkeypatch
):
    """A fast machine makes many steps between two signs of life, a slow one few. At this rate the
    loss goes up and down, as it does by less under random shifts at any rate."""
    runs = []
    for pace in (0.0, 10.0):  # seconds between two looks at the clock
        with monkeypatch.context() as patch:
            ticks = itertools.count()
            patch.setattr(time, "perf_counter", lambda ticks=ticks, pace=pace: pace * next(ticks))
            seen = []
            runs.append(
                stylize(
                    make_picture(1, 32, 32),
                    painting,
                    steps=24,
                    learning_rate=0.3,
                    preview=lambda done, *_, seen=seen: seen.append(done),
                )
            )
        assert seen[-1] == 24
        assert len(seen) == 24 if pace else len(seen) < 10
    fast, slow = runs
    assert (np.diff(fast.losses[0]["total"]) > 0).sum() > 3
    np.testing.assert_array_equal(fast.losses[0]["total"], slow.losses[0]["total"])
    np.testing.assert_array_equal(fast.images[0], slow.images[0])


def test_turns_are_counted_up_to_the_total(stylize, photographs, painting):
    for total in (1, 2, 26):
        seen = []
        stylize(
            photographs[0], painting, steps=total, preview=lambda done, *_, s=seen: s.append(done)
        )
        assert seen[-1] == total
        assert seen == sorted(set(seen))


def test_a_run_ends_when_all_have_diverged(stylize, photographs, painting):
    found = stylize(photographs[0], painting, steps=10_000, learning_rate=3e38)
    assert len(found.losses[0]["total"]) < 100
