"""bnnjax.binary.latent against XLA's float convolution and its gradients, on whole numbers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax.binary import backend, latent
from bnnjax.binary.windows import geometry

# Every example is compiled: few of them, and none to make a failing one smaller.
PROPERTY = settings(
    deadline=None, max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


def draw(where, pictures, features, seed=0):
    """±1 pictures and kernel, and a cotangent of whole numbers that bfloat16 holds."""
    rng = np.random.default_rng(seed)
    shapes = (
        (pictures, *where.input_size, where.channels),
        (*where.kernel_size, where.channels, features),
    )
    x, kernel = (rng.choice([-1.0, 1.0], shape).astype(np.float32) for shape in shapes)
    g = rng.integers(-255, 256, (pictures, *where.output_size, features)).astype(np.float32)
    return x, kernel, g


@partial(jax.jit, static_argnums=0)
def by_xla(where, x, kernel, g):
    """Result and both gradients; float32 is exact for sums of so few whole numbers."""

    def convolve(x, kernel):
        padded = jnp.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=where.pad_value)
        return lax.conv_general_dilated(
            padded,
            kernel,
            where.strides,
            "VALID",
            rhs_dilation=where.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )

    y, pull_back = jax.vjp(convolve, x, kernel)
    return y, *pull_back(g)


@partial(jax.jit, static_argnums=(0, 4))
def ours(where, x, kernel, g, dtype):
    convolve = partial(latent.sign_conv, geometry=where, dtype=jnp.dtype(dtype))
    y, pull_back = jax.vjp(convolve, x, kernel)
    return y, *pull_back(g)


@PROPERTY
@given(data=st.data(), dtype=st.sampled_from(["float32", "bfloat16"]))
def test_result_and_both_gradients_are_exact(data, dtype):
    kernel_size = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    shape = (
        data.draw(st.integers(1, 3)),
        data.draw(st.integers(10, 12)),
        data.draw(st.integers(10, 12)),
        data.draw(st.integers(1, 70)),
    )
    where = geometry(
        shape,
        kernel_size,
        strides=data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
        padding=data.draw(st.sampled_from(["SAME", "VALID"])),
        pad_value=data.draw(st.sampled_from([-1, 0, 1])),
        dilation=data.draw(st.sampled_from([(1, 1), (2, 3)])),
    )
    tensors = draw(where, shape[0], data.draw(st.integers(1, 5)), data.draw(st.integers(0, 99)))
    for found, expected in zip(ours(where, *tensors, dtype), by_xla(where, *tensors), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("pictures", "fit"), [(6, 2), (5, 2), (4, 4)])
def test_pictures_in_groups_give_what_they_give_together(monkeypatch, pictures, fit):
    where = geometry((pictures, 5, 4, 33), (3, 3), pad_value=1)
    tensors = draw(where, pictures, 7)
    monkeypatch.setattr(backend, "CACHE", fit * 4 * 9 * 33 * 5 * 4)
    ours.clear_cache()
    jaxpr = str(jax.make_jaxpr(partial(ours, where, dtype="bfloat16"))(*tensors))
    assert ("scan" in jaxpr) == (backend.group_of(pictures, 4 * 9 * 33 * 5 * 4) < pictures)
    for found, expected in zip(
        ours(where, *tensors, "bfloat16"), by_xla(where, *tensors), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    ours.clear_cache()


def test_bfloat16_rounds_the_cotangent_and_nothing_else():
    where = geometry((2, 6, 5, 40), (3, 3), pad_value=1)
    x, kernel, _ = draw(where, 2, 8)
    g = np.random.default_rng(1).normal(size=(2, 6, 5, 8)).astype(np.float32)
    rounded = np.asarray(jnp.asarray(g, jnp.bfloat16), np.float32)
    found = ours(where, x, kernel, g, "bfloat16")
    expected = by_xla(where, x, kernel, rounded)
    for ours_, theirs in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_allclose(ours_, theirs, atol=1e-5 * np.abs(theirs).max())
    exact = by_xla(where, x, kernel, g)
    assert np.abs(found[2] - exact[2]).max() > 1e-4 * np.abs(exact[2]).max()
