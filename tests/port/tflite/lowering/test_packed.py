"""Thresholds of packed results against every possible sum, one value at a time."""

import numpy as np
import pytest

from bnnjax.port.tflite.lowering.packed import thresholds

PRODUCTS = 45
ANYTHING, RELU = (-np.inf, np.inf), (0, np.inf)


def is_negative(popcount, multiplier, bias, clamp):
    """The sign of one result, in float32 as the network computes it."""
    inverted = -1 if multiplier < 0 else 1
    total = np.float32(np.clip(inverted * (PRODUCTS - 2 * popcount), *clamp))
    return np.float32(total * multiplier) + bias < 0


@pytest.mark.parametrize("clamp", [ANYTHING, RELU, (0, 6)])
def test_a_popcount_above_the_threshold_is_a_negative_result(clamp):
    rng = np.random.default_rng(0)
    multiplier = rng.normal(0, 1, 200).astype(np.float32)
    bias = rng.normal(0, 20, 200).astype(np.float32)
    multiplier[:3], bias[:3] = 0, (1, -1, 0)  # constant channels; 0 is +1
    bias[3:40] = -multiplier[3:40] * rng.choice(np.arange(-PRODUCTS, PRODUCTS + 1, 2), 37)  # ties
    found = thresholds(multiplier, bias, products=PRODUCTS, clamp=clamp)
    assert found.dtype == np.int32
    for factor, shift, threshold in zip(multiplier, bias, found, strict=True):
        for popcount in range(PRODUCTS + 1):
            expected = is_negative(popcount, factor, shift, clamp)
            assert (popcount > threshold) == expected, (factor, shift, popcount)


def test_channels_that_never_change_have_the_converters_marks():
    found = thresholds(
        np.ones(2, np.float32), np.float32([50, -50]), products=PRODUCTS, clamp=ANYTHING
    )
    np.testing.assert_array_equal(found, [2**31 - 1, -(2**31)])
