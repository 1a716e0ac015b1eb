"""The engine computes in float32 whatever JAX's defaults are, and promotes nothing implicitly."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.optimize import ball, fourier, minimize, pixels, pyramid
from tests.optimize.bowl import VARIABLES

pytestmark = pytest.mark.slow


@dataclasses.dataclass(frozen=True)
class Distance:
    """The mean square distance from ``data["center"]``."""

    def loss(self, variables, picture, data, weights, key):
        del variables, weights, key
        distance = jnp.mean((picture - data["center"]) ** 2)
        return distance, {"distance": distance}


@pytest.fixture
def strict():
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.numpy_dtype_promotion("strict"))
        stack.enter_context(jax.numpy_rank_promotion("raise"))
        stack.enter_context(jax.enable_x64(True))
        yield


def run(goals, **options):
    data = {"center": goals, "radius": np.ones(len(goals), goals.dtype)}
    grey = np.full_like(goals, 0.5)
    return minimize(Distance(), VARIABLES, grey, data, steps=4, progress=False, **options)


@pytest.mark.parametrize(
    ("parametrization", "optimizer"),
    [(pixels(), "lbfgs"), (pyramid(), "adam"), (fourier(), "adam"), (ball("l2"), "sgd")],
)
def test_nothing_is_promoted(strict, goals, parametrization, optimizer):
    found = run(goals[:2], parametrization=parametrization, optimizer=optimizer)
    assert found.pictures[0].dtype == found.history[0]["total"].dtype == np.float32


@pytest.mark.parametrize("parametrization", [pixels(), ball("linf")])
def test_data_in_float64_change_nothing_but_the_last_digits(goals, parametrization):
    single = run(goals[:2], parametrization=parametrization)
    with jax.enable_x64(True):
        double = run(goals[:2].astype(np.float64), parametrization=parametrization)
    for one, other in zip(single.pictures, double.pictures, strict=True):
        assert other.dtype == np.float32
        np.testing.assert_allclose(one, other, atol=1e-5)
