"""bnnjax.layers.local against sums in NumPy; tests/port/keras compares it with Larq."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.layers import QuantLocallyConnected1D, QuantLocallyConnected2D

KEY = jax.random.key(0)
SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign"}


def by_definition(x, kernel, layer):
    """Keras' ``local_conv``: every place has a kernel of its own, for its flattened window."""
    sizes = zip(x.shape[1:-1], layer.kernel_size, layer.strides, strict=True)
    places = [range(0, n - k + 1, s) for n, k, s in sizes]
    results = []
    for number, corner in enumerate(itertools.product(*places)):
        cells = (
            slice(first, first + k) for first, k in zip(corner, layer.kernel_size, strict=True)
        )
        window = x[(slice(None), *cells)].reshape(len(x), -1)
        results.append(window @ kernel[number])
    return np.stack(results, 1).reshape(len(x), *map(len, places), layer.features)


CASES = [
    (QuantLocallyConnected1D(5, 3, 2, **SIGNS), (2, 9, 4)),
    (QuantLocallyConnected2D(5, (2, 3), (1, 2), **SIGNS), (2, 4, 6, 3)),
    (QuantLocallyConnected2D(4, 1), (2, 3, 2, 3)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "shape"), CASES)
def test_each_place_has_its_own_kernel(layer, shape, reals):
    x = reals(shape)
    kernel = reals(layer.init(KEY, x)["params"]["kernel"].shape, seed=1)
    signs = layer.kernel_quantizer is not None
    operands = [np.where(a >= 0, 1, -1).astype(np.float32) if signs else a for a in (x, kernel)]
    expected = by_definition(*operands, layer)
    params = {"kernel": kernel}
    for form in (params, layer.freeze(params)):
        y = layer.apply({"params": form}, x)
        np.testing.assert_allclose(y, expected, rtol=0, atol=0 if signs else 1e-5)


@pytest.mark.slow
def test_the_bias_differs_from_place_to_place(reals):
    layer = QuantLocallyConnected1D(5, 3, use_bias=True)
    params = jax.tree.map(lambda leaf: reals(leaf.shape), layer.init(KEY, jnp.ones((1, 6, 2))))
    params = params["params"]
    assert params["bias"].shape == (4, 5)
    y = layer.apply({"params": params}, jnp.zeros((2, 6, 2)))
    np.testing.assert_array_equal(y, np.tile(params["bias"], (2, 1, 1)))


def test_same_windows_start_half_a_kernel_before_their_place():
    """``keras.utils.conv_utils.conv_connected_inputs``; in a convolution, they start there."""
    layer = QuantLocallyConnected1D(1, 2, padding="same")
    kernel = jnp.ones((3, 2, 1))
    y = layer.apply({"params": {"kernel": kernel}}, jnp.array([[[1.0], [2.0], [4.0]]]))
    np.testing.assert_array_equal(y.ravel(), [1, 1 + 2, 2 + 4])


@pytest.mark.slow
def test_frozen_kernels_take_one_bit_per_weight(reals):
    layer = QuantLocallyConnected2D(5, 3, kernel_quantizer="magnitude_aware_sign")
    params = layer.init(KEY, reals((1, 4, 4, 8)))["params"]
    frozen = layer.freeze(params)
    assert frozen["words"].shape == (4, 3, 5)  # 72 weights per place and feature
    assert frozen["scale"].shape == (5,)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (QuantLocallyConnected1D(2), (1, 5, 5, 3), "1 spatial axes"),
        (QuantLocallyConnected2D(2, 6), (1, 5, 5, 3), r"shape \(5, 5\) is smaller than \(6, 6\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(layer.init, KEY, jnp.zeros(shape))
