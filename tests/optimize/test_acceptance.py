"""The engine serves objectives of other kinds, without any new code for the loop."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bnnjax
from bnnjax.models.network import Architecture
from bnnjax.optimize import ball, constant, fourier, minimize


@pytest.fixture(scope="module")
def network():
    return bnnjax.load_model()


@dataclasses.dataclass(frozen=True)
class Mistake:
    """The negative cross entropy of the classifier: an untargeted attack."""

    architecture: Architecture

    def loss(self, variables, picture, data, weights, key):
        del weights, key
        logits, _ = self.architecture.apply(variables, picture[None])
        chances = jax.nn.log_softmax(logits[0])
        return chances[data["label"]], {"chance": jnp.exp(chances[data["label"]])}


@pytest.mark.slow
def test_an_attack_within_a_small_ball(network, make_picture):
    """PGD (Madry et al. 2018) at two radii in one call; both stay within theirs, and the larger
    leaves less of the classifier's confidence."""
    pictures = np.stack([make_picture(seed, 64, 64) for seed in (0, 0, 1, 1)])
    logits, _ = network.apply(network.variables, jnp.asarray(pictures))
    radii = np.float32([1, 8, 1, 8]) / 255
    data = {"label": np.asarray(logits).argmax(1), "center": pictures, "radius": radii}
    found = minimize(
        Mistake(network.architecture), network.variables, pictures, data,
        parametrization=ball("linf"), optimizer="sign_sgd", schedule=constant,
        learning_rate=radii / 4, steps=10, progress=False,
    )  # fmt: skip
    for picture, clean, radius in zip(found.pictures, pictures, radii, strict=True):
        assert 0.9 * radius < np.abs(picture - clean).max() < radius + 1e-6
        assert 0 <= picture.min() <= picture.max() <= 1
    chances = [history["chance"] for history in found.history]
    assert all(chance.min() < chance[0] for chance in chances)
    for weak, strong in (chances[:2], chances[2:]):
        assert strong.min() < 0.5 * weak.min()


@dataclasses.dataclass(frozen=True)
class Channel:
    """The negative response of a tap's channel, under random shifts."""

    architecture: Architecture
    tap: str

    def loss(self, variables, picture, data, weights, key):
        del weights
        jittered = jnp.roll(picture, jax.random.randint(key, (2,), -4, 5), (0, 1))
        _, taps = self.architecture.apply(variables, jittered[None])
        response = taps[self.tap][0].mean((0, 1))[data["channel"]]
        return -response, {"response": response}


@pytest.mark.slow
def test_channels_side_by_side(network):
    """Each picture excites its own channel more than any other picture does."""
    channels = np.arange(4)
    grey = np.full((4, 64, 64, 3), 0.5, np.float32)
    found = minimize(
        Channel(network.architecture, "section2"), network.variables, grey,
        {"channel": channels}, parametrization=fourier(), learning_rate=0.05, steps=40,
        progress=False,
    )  # fmt: skip
    _, taps = network.apply(network.variables, jnp.stack(found.pictures))
    responses = np.asarray(taps["section2"].mean((1, 2)))[:, channels]
    np.testing.assert_array_equal(responses.argmax(axis=0), channels)
