"""A custom network of these layers: trained, frozen layer by layer, saved, reloaded."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax import quant
from bnnjax.layers import BatchNorm, QuantConv, QuantDense, QuantDepthwiseConv, clip_weights
from bnnjax.models.forms import freeze_layer
from bnnjax.models.trace import trace

SIDE, CLASSES, CLIP = 12, 4, 0.5
INTEGERS = ("depthwise", "pointwise", "dense")  # layers that multiply signs by signs


class Stripes(nn.Module):
    """Classifies the direction of stripes."""

    @nn.compact
    def __call__(self, x, *, train=False):
        sign = {"kernel_quantizer": quant.ste_sign, "weight_clip": CLIP}
        both = {**sign, "input_quantizer": quant.ste_sign}

        def norm(name, x):
            return BatchNorm(epsilon=1e-3, momentum=0.8, name=name)(x, train=train)

        x = norm("stem_norm", QuantConv(16, **sign, name="stem")(x))
        x = QuantDepthwiseConv(
            multiplier=2, strides=(2, 2), pad_values=1, **both, name="depthwise"
        )(x)
        x = norm("depthwise_norm", x)
        x = norm("pointwise_norm", QuantConv(24, (1, 1), **both, name="pointwise")(x))
        x = x.reshape(x.shape[0], -1)
        x = QuantDense(CLASSES, **both, name="dense")(x)
        return norm("dense_norm", x)


def stripes(rng, count):
    """Noisy pictures of stripes in one of four directions, at any phase, and their directions."""
    labels = rng.integers(0, CLASSES, count)
    angle = (labels * np.pi / CLASSES)[:, None, None]
    y, x = np.mgrid[:SIDE, :SIDE]
    phase = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    wave = np.sin(1.5 * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    noise = rng.normal(0, 0.5, (count, SIDE, SIDE, 3))
    return (wave[..., None] + noise).astype(np.float32), labels


@pytest.fixture(scope="module")
def trained():
    """Variables after some steps of Adam with Larq's constraint after each."""
    module, optimizer, rng = Stripes(), optax.adam(0.01), np.random.default_rng(0)
    variables = jax.jit(module.init)(jax.random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))
    params, stats, clips = (variables[name] for name in ("params", "batch_stats", "weight_clip"))

    @jax.jit
    def step(params, stats, state, images, labels):
        def loss(params):
            logits, after = module.apply(
                {"params": params, "batch_stats": stats}, images, train=True, mutable="batch_stats"
            )
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), after

        gradient, after = jax.grad(loss, has_aux=True)(params)
        updates, state = optimizer.update(gradient, state)
        params = clip_weights(optax.apply_updates(params, updates), clips)
        return params, after["batch_stats"], state

    state = optimizer.init(params)
    for _ in range(80):
        params, stats, state = step(params, stats, state, *stripes(rng, 64))
    return {"params": params, "batch_stats": stats}


@pytest.fixture(scope="module")
def frozen(trained):
    """Frozen parameters, layer by layer."""
    latent = {name: flatten_dict(tree) for name, tree in trained.items()}

    def at(collection, path):
        return {
            name: leaf for (*place, name), leaf in latent[collection].items() if (*place,) == path
        }

    return unflatten_dict(
        {
            call.path: freeze_layer(
                call.layer, at("params", call.path), at("batch_stats", call.path)
            )
            for call in trace(Stripes(), side=SIDE)
        }
    )


@pytest.fixture(scope="module")
def pictures():
    return stripes(np.random.default_rng(1), 200)


def test_it_learns(trained, pictures):
    images, labels = pictures
    logits = jax.jit(Stripes().apply)(trained, images)
    assert (logits.argmax(1) == labels).mean() > 0.9  # by chance 0.25


def test_latent_weights_reach_their_clip_and_stay_within(trained):
    kernels = [
        leaf for path, leaf in flatten_dict(trained["params"]).items() if path[-1] == "kernel"
    ]
    assert len(kernels) == 4
    assert max(abs(kernel).max() for kernel in kernels) == CLIP


def results(module, variables, images):
    """Logits and results of the layers of signs, computed operation by operation."""
    logits, state = module.apply(variables, images, capture_intermediates=True)
    outputs = state["intermediates"]
    return {"logits": logits} | {name: outputs[name]["__call__"][0] for name in INTEGERS}


def assert_same(ours, expected):
    """They are equal bit by bit, because norms are folded by the same operations at any time."""
    for name, tensor in expected.items():
        np.testing.assert_array_equal(ours[name], tensor, err_msg=name)


@pytest.mark.slow
def test_the_frozen_network_computes_the_same(trained, frozen, pictures):
    images = pictures[0][:20]
    expected = results(Stripes(), trained, images)
    for name in INTEGERS:
        np.testing.assert_array_equal(expected[name], np.round(expected[name]))
        assert expected[name].std() > 1
    assert_same(results(Stripes(), {"params": frozen}, images), expected)


@pytest.mark.slow
def test_compiled_forms_agree(trained, frozen, pictures):
    """They are equal up to the rounding of fused multiply-adds, which differ between programs.

    If a float between the layers is that close to 0, its sign may flip and change the logits of
    its picture.
    """
    images, labels = pictures
    expected = jax.jit(Stripes().apply)(trained, images)
    logits = jax.jit(Stripes().apply)({"params": frozen}, images)
    differ = (abs(logits - expected) > 1e-5).any(1)
    assert differ.sum() <= 2
    assert (logits.argmax(1) == labels).mean() > 0.9


@pytest.mark.slow
def test_one_bit_per_weight_is_stored(trained, frozen):
    def size(tree, kind):
        return sum(leaf.nbytes for path, leaf in flatten_dict(tree).items() if path[-1] == kind)

    assert size(frozen, "kernel") == 0
    # 3 · 16 · 9, 32 · 9, 32 · 24 and 24 · 36 · 4 weights; all but the stem's 3 channels fill words.
    assert size(trained["params"], "kernel") == 4 * (432 + 288 + 768 + 3456)
    assert size(frozen, "words") == (16 * 9 * 32 + 288 + 768 + 3456) // 8


def with_numpy(params, directory):
    np.savez(directory / "frozen.npz", **flatten_dict(params, sep="/"))
    with np.load(directory / "frozen.npz") as file:
        return unflatten_dict({name: file[name] for name in file.files}, sep="/")


def with_orbax(params, directory):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory / "frozen", params)
        checkpointer.wait_until_finished()
        return checkpointer.restore(directory / "frozen", jax.eval_shape(lambda: params))


@pytest.mark.slow
@pytest.mark.parametrize("reload", [with_numpy, with_orbax])
def test_a_saved_network_is_the_same(reload, frozen, pictures, tmp_path):
    images = pictures[0]
    again = reload(frozen, tmp_path)
    assert jax.tree.structure(again) == jax.tree.structure(frozen)
    module = Stripes()
    expected = results(module, {"params": frozen}, images[:20])
    assert_same(results(module, {"params": again}, images[:20]), expected)
