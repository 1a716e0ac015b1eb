"""Memory estimated before a run, and the one compilation that the run shares with it."""

import numpy as np
import pytest

import bnnjax
from bnnjax.nst import memory, optimize


@pytest.fixture
def paint(toy, make_picture):
    def run(side, **choices):
        pictures = [make_picture(seed, side, side) for seed in (0, 1)]
        return bnnjax.stylize_batch(
            *pictures, model=toy, size=side, progress=False, **{"steps": 3, **choices}
        )

    return run


def test_larger_pictures_need_more(paint):
    small, large = paint(32).estimated_memory, paint(128).estimated_memory
    picture = 128 * 128 * 3 * 4
    assert large > small
    assert large > 5 * picture  # two moments of Adam, the best so far, gradient, picture


def test_a_run_that_does_not_fit_is_refused_before_it_begins(paint, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 1000)
    monkeypatch.setattr(optimize, "start", None)  # no step may be prepared
    monkeypatch.setattr(memory, "estimate", lambda *_, **__: memory.Memory(2000, 1, 1, 1))
    with pytest.raises(ValueError, match=r"need about .* GiB of memory, .* are free"):
        paint(32)


def test_estimate_and_all_turns_share_one_compilation(paint):
    before = optimize.run_chunk._cache_size()
    paint(96, steps=7)  # turns of 1, 2 and 4 steps
    assert optimize.run_chunk._cache_size() - before == 1


def test_the_machine_tells_what_is_free():
    free = memory.available()
    assert free is None or 2**20 < free < 2**50
    assert np.isscalar(free) or free is None
