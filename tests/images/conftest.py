"""Fixtures for the tests of pictures."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def assert_picture():
    """A function that checks dtype, shape, range and values."""

    def check(image, expected, atol=1e-6):
        assert image.dtype == np.float32
        assert image.shape == expected.shape
        assert image.min() >= 0
        assert image.max() <= 1
        np.testing.assert_allclose(image, expected, rtol=0, atol=atol)

    return check


@pytest.fixture(scope="session")
def one_line_error():
    """A function that checks that a call raises ValueError, on one line with these parts."""

    def check(call, *parts):
        with pytest.raises(ValueError, match=r".") as caught:
            call()
        message = str(caught.value)
        assert "\n" not in message
        for part in parts:
            assert part in message

    return check
