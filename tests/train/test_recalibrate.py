"""bnnjax.train.recalibrate: moments of the outputs of batch norms, measured by NumPy."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest
from flax import linen as nn

from bnnjax.layers import BatchNorm
from bnnjax.models import inknet
from bnnjax.models.forms import thaw
from bnnjax.train.recalibrate import recalibrate


@pytest.fixture(scope="module")
def network(with_random_weights, narrow):
    build = partial(inknet.InkNet, (32, 32), (2, 1))
    return with_random_weights(dataclasses.replace(narrow, build=build))


@pytest.fixture(scope="module")
def images(make_picture):
    return np.stack([make_picture(seed) for seed in range(6)])


def outputs_of_norms(network, images):
    """Path → output of each batch norm."""

    @jax.jit
    def run(variables):
        found = {}

        def record(call, args, kwargs, context):
            output = call(*args, **kwargs)
            if isinstance(context.module, BatchNorm):
                found[context.module.path] = output
            return output

        with nn.intercept_methods(record):
            network.apply(variables, images)
        return found

    found = run(network.variables)
    return {path: np.asarray(output, np.float64) for path, output in found.items()}


@pytest.mark.slow
def test_channels_get_their_moments_back_under_other_weights(network, images):
    good = network
    key = jax.random.key(5)

    def other(path, leaf):
        return jax.random.bits(key, leaf.shape) if leaf.dtype == np.uint32 else leaf

    variables = jax.tree_util.tree_map_with_path(other, good.variables)
    worse = type(good)(good.architecture, variables, {})
    fitted = recalibrate(worse, like=good, images=images)
    wanted, found = outputs_of_norms(good, images), outputs_of_norms(fitted, images)
    before = outputs_of_norms(worse, images)
    assert found.keys() == wanted.keys()
    off_before, living, channels = 0.0, 0, 0
    for path, expected in wanted.items():
        scale = expected.std() + 1e-3
        mean, deviation = (getattr(found[path], name)((0, 1, 2)) for name in ("mean", "std"))
        np.testing.assert_allclose(mean, expected.mean((0, 1, 2)), atol=1e-2 * scale)
        # A constant channel cannot be given a deviation.
        alive = deviation > 1e-3 * scale
        living += alive.sum()
        channels += alive.size
        expected_deviation = expected.std((0, 1, 2))
        np.testing.assert_allclose(
            deviation[alive], expected_deviation[alive], atol=1e-2 * scale, rtol=1e-2
        )
        off_before += np.abs(before[path].std((0, 1, 2)) - expected_deviation).sum()
    assert living > channels / 3
    assert off_before > 1


@pytest.mark.slow
def test_a_network_recalibrated_to_itself_is_unchanged(network, images):
    fitted = recalibrate(network, like=network, images=images)
    expected = outputs_of_norms(network, images)
    for path, found in outputs_of_norms(fitted, images).items():
        scale = expected[path].std() + 1e-3
        assert np.abs(found - expected[path]).mean() < 1e-2 * scale


def test_latent_networks_are_refused(network, images):
    with pytest.raises(ValueError, match="two frozen networks of the same architecture"):
        recalibrate(network, like=thaw(network), images=images)
