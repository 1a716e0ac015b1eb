"""Fixtures for tests of layers: stored results of Larq and Keras, random numbers, and gradients."""

from collections import ChainMap
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from bnnjax import quant
from bnnjax.binary.backend import Arithmetic, using

FILES = [
    np.load(Path(__file__).parents[1] / "reference" / f"{name}.npz")
    for name in ("layers", "spatial_layers")
]
REFERENCE = ChainMap(*FILES)
CASES = [case for file in FILES for case in file["cases"].tolist()]
# Our layers, by the names that tests/reference/layers.py gives to Larq's.
QUANTIZERS = {
    "none": None,
    "sign": quant.ste_sign,
    "wide_sign": partial(quant.ste_sign, clip=1.25),
    "magnitude": quant.magnitude_aware_sign,
    "xnor": quant.xnor_weight_scale,
    "tern": partial(quant.ste_tern, threshold=0.5),
    "dorefa": quant.dorefa,
}


DEFAULT = Arithmetic()


class Stored:
    """One case of tests/reference/layers.py: its settings, and its tensors by name."""

    def __init__(self, name):
        self.name = name
        self.settings = dict(part.split("=") for part in name.split()[1:])

    def __getattr__(self, tensor):
        try:
            return REFERENCE[f"{self.name} {tensor}"]
        except KeyError:
            raise AttributeError(tensor) from None

    def __getitem__(self, setting):
        return int(self.settings[setting])

    def quantizer(self, name):
        return QUANTIZERS[self.settings[name]]

    @property
    def exact(self):
        """Whether everything is a sum of ±1 or of integer cotangents, which are never rounded."""
        roles = self.settings.keys() & {"input", "kernel", "depthwise", "pointwise"}
        # Values between the two convolutions of a separable one are not signs.
        return roles == {"input", "kernel"} and all(
            self.settings[role].endswith("sign") for role in roles
        )

    def window(self):
        """The fields that layers with sliding windows share."""
        return {
            "strides": (self["stride"],) * 2,
            "padding": self.settings["padding"].upper(),
            "pad_values": self["pad_value"],
        }

    def assert_close(self, ours, expected):
        """Compares exactly, or up to some roundings of the largest summands."""
        ours, expected = np.asarray(ours), np.asarray(expected)
        atol = 0 if self.exact else 2e-6 * abs(expected).max()
        np.testing.assert_allclose(ours, expected, rtol=0 if self.exact else 1e-5, atol=atol)


def pytest_generate_tests(metafunc):
    """Parametrizes an argument ``LAYER_case`` by all stored cases of that layer."""
    for name in metafunc.fixturenames:
        if name.endswith("_case"):
            cases = [case for case in CASES if case.split()[0] == name.removesuffix("_case")]
            assert cases, name
            metafunc.parametrize(name, [Stored(case) for case in cases], ids=cases)


@pytest.fixture(scope="session")
def reals():
    """A function (shape, seed) → float32 from a normal distribution."""

    def draw(shape, seed=0):
        return np.random.default_rng(seed).normal(size=shape).astype(np.float32)

    return draw


@pytest.fixture(scope="session")
def bytes_of():
    """A function (shape, seed) → integers of at most 8 bits, which bfloat16 holds."""

    def draw(shape, seed=0):
        return np.random.default_rng(seed).integers(-255, 256, shape).astype(np.float32)

    return draw


@partial(jax.jit, static_argnums=0)
def compiled_with_gradient(function, x, g, *arguments):
    y, pull_back = jax.vjp(function, x, *arguments)
    return y, *pull_back(g)


@pytest.fixture(scope="session")
def with_gradient():
    """A function (f, x, g, …) → ``f(x, …)``, and its arguments' gradients for cotangent ``g``."""
    return compiled_with_gradient


@pytest.fixture(scope="session")
def apply_with_gradient():
    """A function (layer, params, x, g, arithmetic) → result, gradient of ``x``, and gradient of
    ``params`` without that of packed words."""

    @partial(jax.jit, static_argnums=(0, 1))
    def compiled(layer, arithmetic, floats, words, x, g):
        def apply(x, floats):
            return layer.apply({"params": {**floats, **words}}, x)

        with using(arithmetic):
            y, pull_back = jax.vjp(apply, x, floats)
        return y, *pull_back(g)

    def split(layer, params, x, g, arithmetic=DEFAULT):
        words = {name: leaf for name, leaf in params.items() if name == "words"}
        floats = {name: leaf for name, leaf in params.items() if name != "words"}
        return compiled(layer, arithmetic, floats, words, x, g)

    return split
