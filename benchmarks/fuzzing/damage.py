"""Damage to files: to their bytes, and to the JSON within them."""

import copy
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from numpy.random import Generator

Edit = Callable[[Generator, bytes], bytes]

ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 255, 65536, 2**31 - 1, 2**31, 2**63, 10**30),
    *(0.5, -0.0, 1e308, float("nan"), float("inf"), "", "a", "\0", "☃" * 99, "a\nb", "../../x"),
    *([], {}, [[]], [0], [None], ["a"], {"a": 1}, {"class_name": "Dense"}, [1, 2, 3, 4, 5, 6, 7]),
)
NUMBERS = (0, 1, 2, 3, 4, 7, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**24, 2**31 - 1, 2**31, 2**63)
NEAR = 1024  # bytes at either end of a file, where headers are


def of_bytes(rng: Generator, content: bytes) -> bytes:
    """One to three random changes of the bytes."""
    for _ in range(int(rng.integers(1, 4))):
        content = _BYTEWISE[rng.integers(len(_BYTEWISE))](rng, content)
    return content


def _place(rng: Generator, content: bytes) -> int:
    """A position, half of the time near the beginning and sometimes near the end."""
    size, where = max(len(content), 1), rng.random()
    if where < 0.5:
        return int(rng.integers(min(NEAR, size)))
    return int(rng.integers(max(size - NEAR, 0) if where > 0.85 else 0, size))


def _flip(rng: Generator, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 9)) if changed else 0):
        changed[_place(rng, content)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(rng: Generator, content: bytes) -> bytes:
    return content[: _place(rng, content)]


def _number(rng: Generator, content: bytes) -> bytes:
    """An integer of 1, 2, 4 or 8 bytes becomes another one, mostly where such numbers are."""
    width, order = 2 ** int(rng.integers(4)), ("little", "big")[rng.integers(2)]
    at = _place(rng, content) // width * width
    value = int(rng.choice(NUMBERS)) if rng.random() < 0.7 else len(content) + int(rng.integers(9))
    if rng.random() < 0.3:  # a little more or less than before
        value = int.from_bytes(content[at : at + width], order) + int(rng.integers(-9, 10))
    new = (value % 256**width).to_bytes(width, order)
    return content[:at] + new + content[at + width :]


def _splice(rng: Generator, content: bytes) -> bytes:
    """A block is copied to another place, over what was there or between."""
    length, source, at = int(rng.integers(1, 257)), _place(rng, content), _place(rng, content)
    after = at + length * int(rng.integers(2))
    return content[:at] + content[source : source + length] + content[after:]


def _blank(rng: Generator, content: bytes) -> bytes:
    at, length = _place(rng, content), int(rng.integers(1, 257))
    filler = (b"\0", b"\xff", b"")[rng.integers(3)]
    return content[:at] + filler * len(content[at : at + length]) + content[at + length :]


_BYTEWISE: tuple[Edit, ...] = (_flip, _cut, _number, _number, _splice, _blank)


def of_json(rng: Generator, value: Any) -> Any:
    """JSON values with one to three of them missing, repeated, exchanged, or of another type."""
    value = copy.deepcopy(value)
    for _ in range(int(rng.integers(1, 4))):
        nodes = [*_nodes(value)]
        if not nodes:
            return ODD[rng.integers(len(ODD))]
        parent, key = nodes[rng.integers(len(nodes))]
        what = rng.random()
        if what < 0.6:
            parent[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
        elif what < 0.7 and isinstance(parent[key], int | float):
            parent[key] = parent[key] * int(rng.choice((-1, 2, 1000, 10**6)))
        elif what < 0.8:
            other, name = nodes[rng.integers(len(nodes))]
            parent[key] = copy.deepcopy(other[name])
        elif what < 0.85:
            parent[key] = _nested(parent[key])
        elif what < 0.9 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            del parent[key]
    return value


def _nodes(value: Any) -> Any:
    """All places in nested lists and objects, as (list or object, index or key)."""
    if isinstance(value, dict | list):
        for key in [*value] if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _nodes(value[key])


def _nested(value: Any) -> Any:
    for _ in range(300):
        value = [value]
    return value


def in_text(rng: Generator, content: bytes) -> bytes:
    """Damage to a file of JSON."""
    return json.dumps(of_json(rng, json.loads(content))).encode()


def in_table(rng: Generator, content: bytes) -> bytes:
    """Damage to a file of comma-separated values: to cells, and rarely to lines."""
    lines = content.decode().split("\n")
    row = int(rng.integers(len(lines)))
    cells = lines[row].split(",")
    odd = str(ODD[rng.integers(len(ODD))])
    cells[rng.integers(len(cells))] = odd * int(rng.choice((1, 1, 1, 50_000)))
    lines[row] = ",".join(cells * int(rng.choice((1, 1, 1, 2))))
    return "\n".join(lines).encode()


def in_chunk(rng: Generator, content: bytes) -> bytes:
    """Damage to a chunk of a PNG file, whose checksum is then computed again."""
    at, chunks = 8, []
    while at + 12 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    place = int(rng.integers(len(chunks)))
    chunks[place] = (chunks[place][0], of_bytes(rng, chunks[place][1]))
    if rng.random() < 0.2:
        chunks.insert(int(rng.integers(len(chunks))), chunks[place])
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return content[:8] + b"".join(parts)


def in_json_or_bytes(rng: Generator, content: bytes) -> bytes:
    """Damage to a file that may be JSON."""
    try:
        return in_text(rng, content)
    except ValueError:
        return of_bytes(rng, content)
