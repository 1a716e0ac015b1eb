"""Optimisation of pictures under any objective.

An objective defines the loss of *one* picture. `minimize` does the rest: it vectorises over
pictures, spreads them over devices, compiles steps in chunks, keeps the best picture so far,
records every term of the loss, stops when a loss is no longer finite, shows progress, can be
interrupted, and resumes exactly where it was killed. It knows nothing about style transfer.
"""

from bnnjax.optimize.memory import available_memory
from bnnjax.optimize.minimize import Minimized, Update, minimize
from bnnjax.optimize.optimizers import constant, cosine
from bnnjax.optimize.parametrizations import Parametrization, ball, fourier, pixels, pyramid
from bnnjax.optimize.step import Objective

__all__ = [
    "Minimized",
    "Objective",
    "Parametrization",
    "Update",
    "available_memory",
    "ball",
    "constant",
    "cosine",
    "fourier",
    "minimize",
    "pixels",
    "pyramid",
]
