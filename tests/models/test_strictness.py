"""Networks compute in float32 whatever JAX's defaults are, and promote nothing implicitly."""

import contextlib

import jax
import jax.numpy as jnp
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.models import registry
from bnnjax.models.network import Architecture

pytestmark = pytest.mark.slow

FLOATS = ("vgg16", "vgg19", "vgg19_conv5_1", "inception_v1")  # which cannot be trained here


@pytest.fixture(autouse=True)
def strict():
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.numpy_dtype_promotion("strict"))
        stack.enter_context(jax.numpy_rank_promotion("raise"))
        stack.enter_context(jax.enable_x64(True))
        yield


def assert_float32(tree):
    assert {leaf.dtype for leaf in jax.tree.leaves(tree)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("name", registry.names())
def test_frozen_networks_and_gradients_of_pictures_are_float32(name):
    architecture = Architecture.published(registry.find(name))
    variables = architecture.frozen_shapes()
    for path, leaf in flatten_dict(variables).items():
        assert leaf.dtype == ("uint32" if path[-1] == "words" else "float32"), path

    def everything(variables, images):
        logits, taps = architecture.apply(variables, images)
        total = sum((tap.sum() for tap in taps.values()), start=jnp.float32(0))
        return total if logits is None else total + logits.sum()

    images = jax.ShapeDtypeStruct((1, *architecture.entry.sizes.smallest, 3), jnp.float32)
    assert_float32(jax.eval_shape(jax.value_and_grad(everything, 1), variables, images))


@pytest.mark.parametrize("name", [name for name in registry.names() if name not in FLOATS])
def test_latent_networks_in_training_are_float32(name):
    architecture = Architecture.published(registry.find(name))
    variables = architecture.latent_shapes()
    assert_float32(variables)
    images = jax.ShapeDtypeStruct((2, *architecture.entry.sizes.smallest, 3), jnp.float32)

    def loss(variables, images):
        logits, _, stats = architecture.train(variables, images)
        return logits.sum(), stats

    assert_float32(jax.eval_shape(jax.grad(loss, has_aux=True), variables, images))


def test_a_small_network_is_computed_and_laid_out(quicknet, make_picture):
    logits, taps = quicknet(make_picture(0, 32, 32)[None])
    assert_float32((logits, taps))
    for dtype in ("bfloat16", "float32"):
        laid_out = quicknet.with_options(gradient_dtype=dtype).laid_out()
        assert {leaf.dtype for leaf in jax.tree.leaves(laid_out["backward"])} == {jnp.dtype(dtype)}
