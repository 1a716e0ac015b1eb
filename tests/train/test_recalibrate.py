"""bnnjax.train.recalibrate: moments of batch norms' results, measured by NumPy."""

import jax
import numpy as np
import pytest
from flax import linen as nn

from bnnjax.layers import BatchNorm
from bnnjax.models import registry
from bnnjax.models.forms import thaw
from bnnjax.train.recalibrate import recalibrate


@pytest.fixture(scope="module")
def images(make_picture):
    return np.stack([make_picture(seed) for seed in range(6)])


def results_of_norms(network, images):
    """Path → what each batch norm gave."""
    found = {}

    def record(call, args, kwargs, context):
        result = call(*args, **kwargs)
        if isinstance(context.module, BatchNorm):
            found[context.module.path] = np.asarray(result, np.float64)
        return result

    with nn.intercept_methods(record):
        network.apply(network.variables, images)
    return found


def test_channels_of_other_weights_get_the_moments_they_had(with_random_weights, images):
    good = with_random_weights(registry.find("quicknet_v0"))
    key = jax.random.key(5)

    def other(path, leaf):
        return jax.random.bits(key, leaf.shape) if leaf.dtype == np.uint32 else leaf

    variables = jax.tree_util.tree_map_with_path(other, good.variables)
    worse = type(good)(good.architecture, variables, {})
    fitted = recalibrate(worse, like=good, images=images)
    wanted, found = results_of_norms(good, images), results_of_norms(fitted, images)
    before = results_of_norms(worse, images)
    assert found.keys() == wanted.keys()
    off_before, living, channels = 0.0, 0, 0
    for path, expected in wanted.items():
        scale = expected.std() + 1e-3
        mean, deviation = (getattr(found[path], name)((0, 1, 2)) for name in ("mean", "std"))
        np.testing.assert_allclose(mean, expected.mean((0, 1, 2)), atol=1e-2 * scale)
        # A channel that gives one value only cannot be spread.
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


def test_a_network_like_itself_stays_what_it_is(with_random_weights, images):
    network = with_random_weights(registry.find("quicknet_v0"))
    fitted = recalibrate(network, like=network, images=images)
    expected = results_of_norms(network, images)
    for path, found in results_of_norms(fitted, images).items():
        scale = expected[path].std() + 1e-3
        assert np.abs(found - expected[path]).mean() < 1e-2 * scale


def test_networks_of_two_shapes_are_refused(with_random_weights, images):
    network = with_random_weights(registry.find("quicknet_v0"))
    with pytest.raises(ValueError, match="two frozen networks of the same architecture"):
        recalibrate(network, like=thaw(network), images=images)
