"""MXNet's ``.params`` files: the three ways in which arrays start, and damage of every kind."""

import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnnjax.port.bmxnet.params import read_arrays
from tests.damage import damaged, reads_or_refuses

ARRAYS = {
    "arg:conv_weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / 7,
    "aux:norm_moving_mean": np.array([np.nan, -0.0, np.inf], np.float32),
    "arg:words": np.array([1.5, -(2.0**1000)], np.float64),
}


def dimensions_as(form, shape):
    """The start of an array: as in MXNet before 1.0, in 1.0, and since 1.1."""
    if form == "u32":
        return struct.pack(f"<I{len(shape)}I", len(shape), *shape)
    first = {"i64": [0xF993FAC8], "storage type": [0xF993FAC9, 0]}[form]
    return struct.pack(f"<{len(first)}II{len(shape)}q", *first, len(shape), *shape)


def encoded(arrays, *, form="i64"):
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    for array in arrays.values():
        code = {"float32": 0, "float64": 1}[str(array.dtype)]
        parts += [dimensions_as(form, array.shape), struct.pack("<iii", 1, 0, code)]
        parts += [array.tobytes()]
    names = [name.encode() for name in arrays]
    parts += [struct.pack("<Q", len(names))]
    return b"".join(parts + [struct.pack("<Q", len(name)) + name for name in names])


@pytest.fixture
def refusal(tmp_path):
    """A function bytes → the line with which the reader refuses them."""

    def read(content):
        path = tmp_path / "damaged.params"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged\.params: ") as raised:
            read_arrays(path)
        assert len(str(raised.value).splitlines()) == 1
        return str(raised.value)

    return read


@pytest.mark.parametrize("form", ["u32", "i64", "storage type"])
def test_all_three_forms_are_read(tmp_path, form):
    path = tmp_path / "a.params"
    path.write_bytes(encoded(ARRAYS, form=form))
    found = read_arrays(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_file_without_arrays_is_empty(tmp_path):
    (tmp_path / "a.params").write_bytes(encoded({}))
    assert read_arrays(tmp_path / "a.params") == {}


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.params: No such file"):
        read_arrays(tmp_path / "none.params")


def test_truncated_files_are_refused_at_every_length(refusal):
    content = encoded(ARRAYS)
    for length in range(len(content)):
        assert "should follow" in refusal(content[:length])


@pytest.mark.parametrize("form", ["u32", "i64", "storage type"])
def test_a_flipped_bit_is_read_or_refused_in_one_line(tmp_path, form):
    content, path = encoded({"arg:w": np.ones((1, 2), np.float32)}, form=form), tmp_path / "a"
    for place in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            assert len(read_arrays(path)) == 1
        except ValueError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017


def replaced(content, old, new):
    assert content.count(old) == 1
    return content.replace(old, new)


START = struct.pack("<IIq", 0xF993FAC8, 1, 3)  # of the second array


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (struct.pack("<QQQ", 0x112, 0, 3), struct.pack("<QQQ", 0x113, 0, 3), "starts with 0x113"),
        (
            START,
            struct.pack("<IIq", 0xF993FAC8, 1, -3),
            "has shape [-3]",
        ),
        (START, struct.pack("<IIq", 0xF993FAC8, 33, 3), "33 dim"),
        (
            START,
            struct.pack("<IIq", 0xF993FAC7, 1, 3),
            "4187224775 dim",
        ),
        (START, struct.pack("<Iii", 0xF993FAC9, 1, 1), "storage"),
        (struct.pack("<iiid", 1, 0, 1, 1.5), struct.pack("<iiid", 1, 0, 7, 1.5), "has dtype 7"),
        (b"arg:words", b"arg:\xff\xff\xff\xff\xff", "decode"),
    ],
)
def test_each_kind_of_damage_is_told(refusal, old, new, message):
    line = refusal(replaced(encoded(ARRAYS), old, new))
    assert message in line


def test_names_must_be_as_many_and_different(refusal):
    content = encoded({"a": np.ones(1, np.float32), "b": np.ones(1, np.float32)})
    assert "2 arrays have 1 different names" in refusal(content[:-1] + b"a")
    names = struct.pack("<Q", 2) + (struct.pack("<Q", 1) + b"a" + struct.pack("<Q", 1) + b"b")
    assert content.endswith(names)
    fewer = content[: -len(names)] + struct.pack("<QQ", 1, 1) + b"a"
    assert "2 arrays have 1 different names" in refusal(fewer)


def test_what_follows_the_names_is_refused(refusal):
    assert "3 bytes are left over" in refusal(encoded(ARRAYS) + b"abc")


def test_enormous_sizes_are_refused_without_memory(refusal):
    enormous = struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<II3q", 0xF993FAC8, 3, *[2**40] * 3)
    assert "should follow" in refusal(enormous + struct.pack("<iii", 1, 0, 0) + bytes(100))
    assert "should follow" in refusal(struct.pack("<QQQ", 0x112, 0, 2**64 - 1))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_read_or_refused(write, tmp_path, data):
    arrays = {"arg:a": np.arange(6, dtype=np.float32).reshape(2, 3), "aux:b": np.ones(2)}
    content = data.draw(damaged(write(arrays).read_bytes()))
    reads_or_refuses(read_arrays, tmp_path / "damaged.params", content)
