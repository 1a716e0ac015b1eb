"""One binary convolution as every version of Larq Compute Engine wrote it, against NumPy."""

import numpy as np
import pytest

from bnnjax.port.tflite import lce
from bnnjax.port.tflite.graph import Graph, Operator, Tensor

CHANNELS, FEATURES = 40, 5
MULTIPLIER = np.array([0.5, -2, 1, -0.25, 3], np.float32)
BIAS = np.array([1, 0, -3, 0.5, 2], np.float32)


@pytest.fixture(scope="module")
def kernel():
    """±1, [kh, kw, I, O]."""
    return np.random.default_rng(0).choice([-1.0, 1.0], (3, 2, CHANNELS, FEATURES)).astype("f4")


def lce_words(kernel):
    """int32 [O, kh, kw, words], a set bit −1."""
    words = np.zeros((kernel.shape[3], *kernel.shape[:2], -(-kernel.shape[2] // 32)), np.uint32)
    for channel in range(kernel.shape[2]):
        bit = (np.moveaxis(kernel[:, :, channel], 2, 0) < 0).astype(np.uint32)
        words[..., channel // 32] |= bit << np.uint32(channel % 32)
    return words.view(np.int32)


def graph_of(kind, options, filter_values, *affine, input_type="float32", output_type="float32"):
    constants = [filter_values, *affine]
    tensors = [Tensor("x", (1, 8, 8, CHANNELS), None, input_type)]
    tensors += [Tensor(f"c{i}", np.shape(c), c) for i, c in enumerate(constants) if c is not None]
    numbers = iter(range(1, len(tensors)))
    inputs = (0, *(-1 if c is None else next(numbers) for c in constants))
    tensors.append(Tensor("y", (1, 8, 8, FEATURES), None, output_type))
    operator = Operator(0, kind, inputs, (len(tensors) - 1,), options)
    return Graph(tuple(tensors), (operator,), (0,), (len(tensors) - 1,))


def read(*args, **types):
    graph = graph_of(*args, **types)
    return lce.read(graph, graph.operators[0])


LISTED = {"strides": [1, 2, 1, 1], "dilations": [1, 1, 3, 1], "padding": "SAME"}
SINGLE = {
    "stride_height": 2,
    "stride_width": 1,
    "dilation_height_factor": 1,
    "dilation_width_factor": 3,
    "channels_in": CHANNELS,
    "pad_values": 1,
    "fused_activation_function": 1,
}


def of_popcount(kernel):
    """0.1 scales and shifts the popcount (K − ŷ) / 2: −2b, and a + b · K for a + b · ŷ."""
    products = np.float32(np.prod(kernel.shape[:3]))
    return -2 * MULTIPLIER, BIAS + MULTIPLIER * products


FORMS = {
    "0.1": lambda k: (("LqceBconv2d64", LISTED, k, *of_popcount(k)), "float32"),
    "0.1 OHWI": lambda k: (
        (
            "LqceBconv2d32",
            {**LISTED, "filter_format": "OHWI"},
            np.moveaxis(k, 3, 0),
            *of_popcount(k),
        ),
        "float32",
    ),
    "0.2": lambda k: (
        (
            "LceBconv2d",
            {**LISTED, "pad_values": 1, "activation": "RELU", "filter_format": None},
            k,
            MULTIPLIER,
            BIAS,
        ),
        "float32",
    ),
    "0.3": lambda k: (
        (
            "LceBconv2d",
            {
                **LISTED,
                "pad_values": 1,
                "activation": "RELU",
                "filter_format": "OHWI_PACKED",
                "channels_in": CHANNELS,
            },
            lce_words(k),
            MULTIPLIER,
            BIAS,
        ),
        "float32",
    ),
    "mid 2020": lambda k: (
        ("LceBconv2d", {**SINGLE, "padding": 1}, lce_words(k), MULTIPLIER, BIAS),
        "float32",
    ),
    "0.4": lambda k: (
        ("LceBconv2d", {**SINGLE, "padding": 0}, lce_words(k), MULTIPLIER, BIAS, None),
        "int32",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_all_versions_agree(form, kernel):
    args, input_type = FORMS[form](kernel)
    found = read(*args, input_type=input_type)
    newer = not form.startswith("0.1")
    assert found.window == (
        (3, 2),
        (2, 1),
        "SAME",
        (1, 3),
        FEATURES,
        1,
        1 if newer else 0,
        False,
    )
    assert found.activation == (1 if newer else 0)
    np.testing.assert_allclose(found.multiplier, MULTIPLIER, rtol=1e-6)
    np.testing.assert_allclose(found.bias, BIAS, rtol=1e-5, atol=1e-4)
    assert not found.packed
    np.testing.assert_array_equal(unpacked(found.words, CHANNELS), kernel)


def unpacked(words, channels):
    """Our words: bit i of word w is channel 32 w + i, set for +1; nothing beyond the channels."""
    bits = (words[:, :, :, None] >> np.arange(32, dtype=np.uint32)[:, None]) & 1
    bits = bits.reshape(*words.shape[:2], -1, words.shape[3])
    assert not bits[:, :, channels:].any()
    return 2.0 * bits[:, :, :channels] - 1


@pytest.mark.parametrize(("padding", "input_type"), [(2, "float32"), (1, "int32")])
def test_valid_has_another_number_before_0_4(kernel, padding, input_type):
    options = {**SINGLE, "padding": padding}
    found = read("LceBconv2d", options, lce_words(kernel), MULTIPLIER, BIAS, input_type=input_type)
    assert found.window.padding == "VALID"


def test_groups_follow_from_the_filters_depth():
    """64 channels, a filter of one word: two groups of 32."""
    words = lce_words(np.ones((1, 1, 32, 4), np.float32))
    options = {**SINGLE, "padding": 1, "channels_in": 64}
    found = read("LceBconv2d", options, words, input_type="int32")
    assert found.window.groups == 2
    assert found.window.features == 4


def test_a_threshold_is_met_exactly_by_every_sum():
    """The bit is −1 where the popcount is above τ, for all popcounts of 9 channels and all τ, those
    of constant channels included."""
    limits = np.iinfo(np.int32)
    thresholds = np.array([*range(-1, 11), limits.min, limits.max], np.int32)
    words = lce_words(np.ones((1, 1, 9, len(thresholds)), np.float32))
    options = {**SINGLE, "padding": 0, "channels_in": 9}
    found = read(
        "LceBconv2d",
        options,
        words,
        None,
        None,
        thresholds,
        input_type="int32",
        output_type="int32",
    )
    assert found.packed
    assert found.activation == 0  # a ReLU, which LCE has merged into the thresholds
    for popcount in range(10):
        value = np.float32(9 - 2 * popcount) * found.multiplier + found.bias
        np.testing.assert_array_equal(value < 0, popcount > thresholds.astype(np.int64))
    constant = (thresholds < 0) | (thresholds >= 9)  # no popcount of 0 to 9 is on the other side
    assert list(np.flatnonzero(constant)) == [0, 10, 11, 12, 13]
    np.testing.assert_array_equal(found.multiplier[constant], 0)
    np.testing.assert_array_equal(found.bias[constant], [-1, 1, 1, -1, 1])
    np.testing.assert_allclose(found.multiplier[~constant], 1 / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "options of no version"),
        ({**SINGLE, "padding": 7}, "options of no version"),
        ({**LISTED, "padding": "CAUSAL"}, "options of no version"),
        ({**LISTED, "activation": "GELU"}, "options of no version"),
        ({"strides": [1, 1]}, "options of no version"),
    ],
)
def test_other_options_are_refused(kernel, options, message):
    with pytest.raises(ValueError, match=message):
        read("LceBconv2d", options, lce_words(kernel), MULTIPLIER, BIAS)


def test_a_filter_that_does_not_fit_its_input_is_refused(kernel):
    with pytest.raises(ValueError, match=r"filter of shape \(5, 3, 2, 2\) on an input of 100"):
        read("LceBconv2d", {**SINGLE, "padding": 1, "channels_in": 100}, lce_words(kernel))
