"""Time left, against a run whose speed is known."""

import pytest

from bnnjax.app.clock import Clock
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.stages import Stage, stages


def test_a_single_stage_goes_on_at_its_pace():
    clock = Clock([Stage(64, 64, 100)])
    clock.report(64, 1, now=50.0)
    assert clock.seconds_left is None
    clock.report(64, 21, now=60.0)
    assert clock.fraction == pytest.approx(0.21)
    assert clock.seconds_left == pytest.approx(79 * 0.5)


def test_stages_cost_as_much_as_they_have_pixels():
    """A step of the second stage has four times the pixels, and looks twice."""
    clock = Clock([Stage(100, 100, 80), Stage(200, 200, 16, (1, 2))])
    seconds = {100: 0.1, 200: 0.1 * 4 * 1.25}
    whole = 80 * seconds[100] + 16 * seconds[200]
    clock.report(100, 0, now=0.0)
    clock.report(100, 40, now=40 * seconds[100])
    assert clock.seconds_left == pytest.approx(whole - 4)
    clock.report(200, 8, now=whole - 4)
    assert clock.fraction == pytest.approx((whole - 4) / whole)
    assert clock.seconds_left == pytest.approx(4)


def test_it_ends_with_the_last_step():
    plan = stages(StylizeConfig(size=512, steps=50))
    clock = Clock(plan)
    clock.report(plan[0].size, 1, now=0.0)
    clock.report(plan[-1].size, plan[-1].steps, now=9.0)
    assert (clock.fraction, clock.seconds_left) == (1.0, 0.0)
