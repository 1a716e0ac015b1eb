"""Programs are dropped when the process has become large, and only then."""

import jax
import jax.numpy as jnp
import pytest

from bnnjax.app.memory import forget_programs


@pytest.mark.slow
def test_programs_are_dropped_above_the_limit():
    traces = []

    @jax.jit
    def double(x):
        traces.append(1)
        return 2 * x

    double(jnp.ones(3))
    assert not forget_programs(above=2**50)
    double(jnp.ones(3))
    assert len(traces) == 1
    assert forget_programs(above=0)
    double(jnp.ones(3))
    assert len(traces) == 2
