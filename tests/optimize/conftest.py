"""Pictures and goals for the objective in `bowl`."""

import numpy as np
import pytest

from bnnjax.optimize import minimize
from tests.optimize.bowl import VARIABLES, WEIGHTS, Bowl


@pytest.fixture(scope="session")
def bowl():
    return Bowl()


@pytest.fixture(scope="session")
def goals():
    """Five pictures [5, 16, 20, 3] whose values are not near 0 or 1."""
    return np.random.default_rng(0).uniform(0.2, 0.8, (5, 16, 20, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def grey(goals):
    """As many grey pictures."""
    return np.full_like(goals, 0.5)


@pytest.fixture(scope="session")
def descend(bowl):
    """A function (pictures, goals, **options) → `Minimized` of a bowl."""

    def run(pictures, goals, *, objective=bowl, weights=WEIGHTS, **options):
        options = {"steps": 12, "progress": False, "learning_rate": 0.05, **options}
        data = goals if callable(goals) else {"goal": goals}
        return minimize(objective, VARIABLES, pictures, data, weights, **options)

    return run
