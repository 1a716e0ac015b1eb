"""Limits are checked when the server starts."""

import pytest

from bnnjax.app.config import AppConfig


@pytest.mark.parametrize(
    ("name", "value"),
    [("largest", 31), ("largest", 4097), ("visitors", 0), ("upload_mib", 1.5), ("kept", True)],
)
def test_what_cannot_be_a_limit_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}, needs an integer from"):
        AppConfig(**{name: value})
