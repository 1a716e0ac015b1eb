"""Convolutions along any axes, transposed ones, pools and products: as operators that NumPy
interprets, and as our reader computes them."""

import tempfile
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from bnnjax.layers import QuantConv2DTranspose, QuantConv3DTranspose
from bnnjax.port.keras.handlers.pools import pool_3d
from bnnjax.port.tflite.graph import read_graph
from bnnjax.port.tflite.network import network_of
from bnnjax.port.tflite.write import write_graph
from tests.port.tflite.interpreter import interpret
from tests.port.tflite.lowering.functions import graph_of

pytest.importorskip("tflite")
pytestmark = pytest.mark.slow

CLOSE = 1e-5  # sums of floats in another order
X = np.random.default_rng(0).normal(size=(2, 6, 10, 3)).astype(np.float32)
SHAPES = {1: (30, 6), 2: (6, 10, 3), 3: (3, 4, 5, 3)}  # of the same map, by its spatial axes
LETTERS = {1: "W", 2: "HW", 3: "DHW"}
FEW = settings(max_examples=6, deadline=None)
PADDINGS = st.sampled_from(["SAME", "VALID"])


def check(function, rank):
    """NumPy and our reader compute the function of a map with that many axes from the file."""

    def of_pictures(x):
        return function(x.reshape(len(x), *SHAPES[rank])).reshape(len(x), -1)

    expected = np.asarray(of_pictures(X))
    graph = written(graph_of(of_pictures, size=X.shape[1:3]))
    for picture, result in zip(X, expected, strict=True):
        np.testing.assert_allclose(interpret(graph, picture[None])[0], result, atol=CLOSE)
    entry, variables = network_of(graph, "again", preprocessing="unit")
    np.testing.assert_allclose(entry.build().apply(variables, jnp.asarray(X)), expected, atol=CLOSE)
    return {op.kind for op in graph.operators}


def written(graph):
    """The graph as it is read from a file."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(write_graph(graph, description=""))
        file.flush()
        return read_graph(file.name)


def weights(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32) / 4


def per_axis(rank, *values):
    return st.tuples(*[st.sampled_from(values)] * rank)


@pytest.mark.parametrize("rank", [1, 2, 3])
@FEW
@given(data=st.data())
def test_a_convolution(rank, data):
    size, strides, dilation = (data.draw(per_axis(rank, 1, 2)) for _ in range(3))
    groups, letters = data.draw(st.sampled_from([1, 3])), LETTERS[rank]
    convolve = partial(
        lax.conv_general_dilated,
        rhs=weights(*size, SHAPES[rank][-1] // groups, 6),
        window_strides=strides,
        padding=data.draw(PADDINGS),
        rhs_dilation=dilation,
        feature_group_count=groups,
        dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
    )
    kinds = check(convolve, rank)
    assert kinds & {"CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D"}


@pytest.mark.parametrize("layer", [QuantConv2DTranspose, QuantConv3DTranspose])
@FEW
@given(data=st.data())
def test_a_transposed_convolution(layer, data):
    rank = layer.rank
    size = data.draw(per_axis(rank, 1, 2, 3))
    strides = (2, *data.draw(per_axis(rank - 1, 1, 2, 3)))
    extra = data.draw(st.sampled_from([None, (1, *[0] * (rank - 1))]))
    where = {"strides": strides, "padding": data.draw(PADDINGS), "output_padding": extra}
    module = layer(4, size, dilation=data.draw(per_axis(rank, 1, 2)), **where)
    variables = {"params": {"kernel": weights(*size, 4, SHAPES[rank][-1])}}
    kinds = check(partial(module.apply, variables), rank)
    assert kinds & {"TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"}


@FEW
@given(size=per_axis(3, 1, 2), strides=per_axis(3, 1, 2), padding=PADDINGS, mean=st.booleans())
def test_a_pool_along_three_axes(size, strides, padding, mean):
    where = {"size": size, "strides": strides, "padding": padding, "mean": mean}
    kinds = check(partial(pool_3d, **where), 3)
    assert ("AVERAGE_POOL_2D" if mean else "MAX_POOL_2D") in kinds


@pytest.mark.parametrize(
    ("subscripts", "shape"),
    [
        ("nhwc,cf->nhwf", (3, 4)),
        ("nhwc,hf->nfwc", (6, 4)),  # as for bilinear upsampling
        ("nhwc,wcf->nhf", (10, 3, 4)),
        ("nhwc,whfg->nfgc", (10, 6, 4, 2)),
        ("nhwc,hwcf->nhwf", (6, 10, 3, 4)),  # another matrix at each place
        ("nhwc,hcf->nhwf", (6, 3, 4)),
        ("cf,nhwc->nhwf", (3, 4)),
        ("wf,nhwc->nhfc", (10, 4)),
        ("hcf,nhwc->nhwf", (6, 3, 4)),
    ],
)
def test_a_product_along_any_axes(subscripts, shape):
    kernel = weights(*shape)

    def product(x):
        factors = (kernel, x) if subscripts.split(",")[1].startswith("nhwc") else (x, kernel)
        return jnp.einsum(subscripts, *factors)

    kinds = check(product, 2)
    assert kinds & {"FULLY_CONNECTED", "BATCH_MATMUL"}
