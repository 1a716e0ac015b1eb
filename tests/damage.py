"""Damage at random places, for tests of readers: what is not read is refused in one line."""

import pytest
from hypothesis import strategies as st


@st.composite
def damaged(draw, content):
    """The bytes with one bit, one number, or the end of them changed."""
    at = draw(st.integers(0, len(content) - 1))
    what = draw(st.sampled_from(["bit", "number", "end"]))
    if what == "end":
        return content[:at]
    if what == "bit":
        changed = bytearray(content)
        changed[at] ^= 1 << draw(st.integers(0, 7))
        return bytes(changed)
    width, value = draw(st.sampled_from([(1, 255), (2, 0), (4, 2**31 - 1), (4, 0), (8, 2**63)]))
    return content[:at] + value.to_bytes(width, "little") + content[at + width :]


def reads_or_refuses(read, path, content):
    """Whether a file of these bytes is read; what else is raised fails the test."""
    path.write_bytes(content)
    try:
        read(path)
    except ValueError as error:
        message = str(error)
    except Exception as error:
        pytest.fail(f"{error!r}")
    else:
        return True
    assert path.name in message
    return False
