"""Single operators of a .tflite graph against NumPy loops, and the bits of a binary filter."""

import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.port.tflite.evaluate import binary_sums, evaluate, unpack_filter
from bnnjax.port.tflite.graph import Graph, Operator, Tensor

RELU, RELU_N1_TO_1, RELU6 = 1, 2, 3  # of the flatbuffer's enumeration
SAME, VALID = 0, 1  # likewise
TFLITE_SAME, TFLITE_VALID = 1, 2  # TfLitePadding, which binary convolutions carry


def run(kind, x, *constants, **options):
    """The result of a graph of one operator, whose first input is the picture."""
    tensors = [Tensor("x", x.shape, None)]
    tensors += [Tensor(f"c{i}", np.shape(c), np.asarray(c)) for i, c in enumerate(constants)]
    inputs, end = tuple(range(len(tensors))), len(tensors)
    tensors.append(Tensor("result", (), None))
    graph = Graph(tuple(tensors), (Operator(0, kind, inputs, (end,), options),), (0,), (end,))
    result, sums = evaluate(graph, jnp.asarray(x))
    return np.asarray(result), {position: np.asarray(value) for position, value in sums.items()}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def window(size, strides, padding):
    return {
        "FilterHeight": size[0],
        "FilterWidth": size[1],
        "StrideH": strides[0],
        "StrideW": strides[1],
        "Padding": padding,
        "FusedActivationFunction": 0,
    }


def windows(x, size, strides, same):
    """The output shape, and for each output position the (input row, column, kernel row, column)
    of all cells inside the picture. By TensorFlow's rule, the extra cell is at the end."""
    sides = []
    for n, k, s in zip(x.shape[1:3], size, strides, strict=True):
        count = -(-n // s) if same else (n - k) // s + 1
        before = max((count - 1) * s + k - n, 0) // 2 if same else 0
        sides.append([[(o * s - before + i, i) for i in range(k)] for o in range(count)])
    (height, width) = x.shape[1:3]
    inside = {
        (r, c): [
            (y, x_, i, j)
            for y, i in rows
            for x_, j in columns
            if 0 <= y < height and 0 <= x_ < width
        ]
        for r, rows in enumerate(sides[0])
        for c, columns in enumerate(sides[1])
    }
    return (len(sides[0]), len(sides[1])), inside


# --- binary filters ------------------------------------------------------------------------


def test_a_set_bit_of_a_filter_is_minus_one():
    words = np.array([[[[0b101]]]], np.int32)  # channels 0 and 2 set
    np.testing.assert_array_equal(unpack_filter(words, 3), [[[[-1], [1], [-1]]]])


def test_filters_of_many_channels_continue_in_the_next_word():
    words = np.zeros((2, 1, 1, 2), np.int32)
    words[1, 0, 0] = np.array([1 << 31, 1 << 7], np.uint32).view(np.int32)
    kernel = np.asarray(unpack_filter(words, 40))
    assert kernel.shape == (1, 1, 40, 2)
    assert [tuple(place) for place in np.argwhere(kernel == -1)] == [(0, 0, 31, 1), (0, 0, 39, 1)]


def test_filter_positions_keep_their_places():
    rng = np.random.default_rng(0)
    kernel = rng.choice([-1, 1], (2, 3, 5, 4))  # [kh, kw, I, O]
    words = sum((kernel[:, :, i] == -1).astype(np.int32) << i for i in range(5))
    words = words.transpose(2, 0, 1)[..., None]  # [O, kh, kw, 1]
    np.testing.assert_array_equal(unpack_filter(words, 5), kernel)


@pytest.mark.parametrize("pad_value", [0, 1])
@pytest.mark.parametrize("padding", [TFLITE_SAME, TFLITE_VALID])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1)])
def test_binary_sums_agree_with_numpy(strides, padding, pad_value):
    x = normal(2, 6, 5, 3)
    x[0, 0, 0] = 0.0, -0.0, -1e-30  # only the last is negative
    words = np.random.default_rng(1).integers(0, 8, (4, 3, 3, 1), dtype=np.int32)
    operator = Operator(
        0,
        "LceBconv2d",
        (),
        (),
        {
            "channels_in": 3,
            "stride_height": strides[0],
            "stride_width": strides[1],
            "padding": padding,
            "pad_values": pad_value,
        },
    )
    signs = np.where(x < 0, -1, 1)
    # [O, kh, kw, I]: a set bit is −1.
    kernel = 1 - 2 * ((words >> np.arange(3)) & 1)
    (height, width), inside = windows(x, (3, 3), strides, padding == TFLITE_SAME)
    expected = np.zeros((2, height, width, 4))
    for (r, c), places in inside.items():
        outside = {(i, j) for i in range(3) for j in range(3)}
        for y, x_, i, j in places:
            expected[:, r, c] += signs[:, y, x_] @ kernel[:, i, j].T
            outside.discard((i, j))
        for i, j in outside:
            expected[:, r, c] += pad_value * kernel[:, i, j].sum(1)
    np.testing.assert_array_equal(binary_sums(operator, jnp.asarray(x), words), expected)


@pytest.mark.parametrize(
    ("activation", "activate"), [(0, lambda x: x), (RELU, lambda x: np.maximum(x, 0))]
)
def test_a_binary_convolution_activates_before_it_scales(activation, activate):
    x = np.array([[[[-1.0]], [[2.0]]]], np.float32).reshape(1, 2, 1, 1)
    words = np.array([0, 1], np.int32).reshape(2, 1, 1, 1)  # weights +1 and −1
    multiplier, bias = np.array([-3, 5], np.float32), np.array([0.5, -0.25], np.float32)
    result, sums = run(
        "LceBconv2d",
        x,
        words,
        multiplier,
        bias,
        channels_in=1,
        stride_height=1,
        stride_width=1,
        padding=TFLITE_SAME,
        pad_values=1,
        fused_activation_function=activation,
    )
    whole = np.array([[-1, 1], [1, -1]], np.float32).reshape(1, 2, 1, 2)
    np.testing.assert_array_equal(sums[0], whole)
    np.testing.assert_array_equal(result, activate(whole) * multiplier + bias)


# --- built-in operators --------------------------------------------------------------------


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_convolution(strides, padding):
    x, kernel, bias = normal(1, 6, 5, 3), normal(4, 3, 3, 3, seed=1), normal(4, seed=2)
    size, inside = windows(x, (3, 3), strides, padding == SAME)
    expected = np.zeros((1, *size, 4)) + bias
    for (r, c), places in inside.items():
        for y, x_, i, j in places:
            expected[:, r, c] += x[:, y, x_] @ kernel[:, i, j].T
    result, _ = run("CONV_2D", x, kernel, bias, **window((3, 3), strides, padding))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_depthwise_convolution_makes_neighbours_of_one_input_channel(strides):
    x, kernel, bias = normal(1, 5, 6, 2), normal(1, 3, 3, 6, seed=1), normal(6, seed=2)
    size, inside = windows(x, (3, 3), strides, True)
    expected = np.zeros((1, *size, 6)) + bias
    for (r, c), places in inside.items():
        for y, x_, i, j in places:  # channels 0, 1, 2 of the result belong to input channel 0
            expected[:, r, c] += np.repeat(x[:, y, x_], 3, axis=1) * kernel[0, i, j]
    options = {**window((3, 3), strides, SAME), "DepthMultiplier": 3}
    result, _ = run("DEPTHWISE_CONV_2D", x, kernel, bias, **options)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "reduce"), [("MAX_POOL_2D", np.max), ("AVERAGE_POOL_2D", np.mean)]
)
@pytest.mark.parametrize("padding", [SAME, VALID])
def test_pools_ignore_the_padding(kind, reduce, padding):
    x = normal(1, 5, 4, 2) - 5  # all negative: a zero outside would win
    size, inside = windows(x, (2, 3), (2, 2), padding == SAME)
    expected = np.zeros((1, *size, 2))
    for (r, c), places in inside.items():
        expected[:, r, c] = reduce([x[:, y, x_] for y, x_, *_ in places], axis=0)
    result, _ = run(kind, x, **window((2, 3), (2, 2), padding))
    np.testing.assert_allclose(result, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("activation", "activate"),
    [
        (0, lambda x: x),
        (RELU, lambda x: np.maximum(x, 0)),
        (RELU_N1_TO_1, lambda x: np.clip(x, -1, 1)),
        (RELU6, lambda x: np.clip(x, 0, 6)),
    ],
)
def test_products_and_sums_with_each_activation(activation, activate):
    x, y = 4 * normal(1, 3, 3, 4), 4 * normal(4, seed=1)
    product, _ = run("MUL", x, y, FusedActivationFunction=activation)
    np.testing.assert_array_equal(product, activate(x * y))
    total, _ = run("ADD", x, y, FusedActivationFunction=activation)
    np.testing.assert_array_equal(total, activate(x + y))


def test_concatenation():
    x, y = normal(1, 2, 2, 3), normal(1, 2, 2, 1, seed=1)
    result, _ = run("CONCATENATION", x, y, Axis=3, FusedActivationFunction=0)
    np.testing.assert_array_equal(result, np.concatenate([x, y], 3))


def test_reshape_keeps_the_number_of_pictures():
    x = normal(3, 2, 2, 5)
    result, _ = run("RESHAPE", x, np.array([1, 20], np.int32))
    np.testing.assert_array_equal(result, x.reshape(3, 20))


def test_dense_layer():
    x, kernel, bias = normal(2, 5), normal(4, 5, seed=1), normal(4, seed=2)
    result, _ = run("FULLY_CONNECTED", x, kernel, bias, FusedActivationFunction=RELU)
    np.testing.assert_allclose(result, np.maximum(x @ kernel.T + bias, 0), rtol=1e-5, atol=1e-6)


def test_softmax():
    x = 3 * normal(2, 6)
    weights = np.exp(x.astype(np.float64))
    result, _ = run("SOFTMAX", x)
    np.testing.assert_allclose(result, weights / weights.sum(1, keepdims=True), rtol=1e-5)


def test_an_operator_that_is_not_evaluated_is_named():
    with pytest.raises(ValueError, match=r"operator 0 \(HARD_SWISH\): not evaluated here"):
        run("HARD_SWISH", normal(1, 2, 2, 1))


def test_results_pass_from_operator_to_operator():
    """(x·2 + 1) with the product used twice: by the sum and by the graph's output."""
    tensors = (
        Tensor("x", (1, 2), None),
        Tensor("two", (2,), np.full(2, 2, np.float32)),
        Tensor("one", (2,), np.ones(2, np.float32)),
        Tensor("product", (1, 2), None),
        Tensor("sum", (1, 2), None),
        Tensor("both", (1, 4), None),
    )
    plain = {"FusedActivationFunction": 0}
    operators = (
        Operator(0, "MUL", (0, 1), (3,), plain),
        Operator(1, "ADD", (3, 2), (4,), plain),
        Operator(2, "CONCATENATION", (3, 4), (5,), {"Axis": 1, **plain}),
    )
    result, sums = evaluate(Graph(tensors, operators, (0,), (5,)), jnp.array([[1.0, -3.0]]))
    np.testing.assert_array_equal(result, [[2, -6, 3, -5]])
    assert sums == {}
