"""Damage within files that consist of others: recipes, network files, HDF5, ZIP, flatbuffers."""

import contextlib
import io
import json
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.random import Generator

from bnnjax import images
from bnnjax.nst.recipe import KEYWORD
from bnnjax.port.storage import network_file
from fuzzing import damage

BOMB = 3 * 2**29  # bytes, of zeros
SHAPES = ((), (0,), (1,), (5,), (3, 3, 8, 8), (10**6, 10**6), (10**5, 10**5, 64), (2, 2, 2, 2, 2))
TYPES = ("f2", "f4", "f8", "i4", "u1", "S5", "c8", "b1", h5py.string_dtype())


def in_recipe(rng: Generator, content: bytes) -> bytes:
    """Damage to the options of a picture."""
    with tempfile.TemporaryDirectory() as folder:
        suffix = ".png" if content.startswith(b"\x89PNG") else ".jpeg"
        suffix = ".webp" if content.startswith(b"RIFF") else suffix
        path = Path(folder) / f"a{suffix}"
        path.write_bytes(content)
        recipe = json.loads(images.read_metadata(path)[KEYWORD])
        text = json.dumps(damage.of_json(rng, recipe))
        if rng.random() < 0.1:
            text = damage.of_bytes(rng, text.encode()).decode("latin-1").replace("\0", " ")
        images.save_picture(path, images.load(path), metadata={KEYWORD: text}, overwrite=True)
        return path.read_bytes()


def in_safetensors(rng: Generator, content: bytes) -> bytes:
    """Damage to the list of arrays, or to the card, which is then sealed again."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    if rng.random() < 0.3:
        header = damage.of_json(rng, header)
    else:
        card = damage.of_json(rng, json.loads(header["__metadata__"]["bnnjax"]))
        with contextlib.suppress(AttributeError, TypeError):
            card[network_file.SEAL] = network_file._seal(card)
        header["__metadata__"]["bnnjax"] = json.dumps(card)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def in_h5(rng: Generator, content: bytes) -> bytes:
    """Damage to the model's JSON, to names, or to an array of an HDF5 file."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as opened:
        if "model_config" in opened.attrs and rng.random() < 0.6:
            config = damage.of_json(rng, json.loads(opened.attrs["model_config"]))
            opened.attrs["model_config"] = json.dumps(config)
        else:
            names: list[str] = []
            opened.visit(names.append)
            _change(rng, opened, names[rng.integers(len(names))])
    return file.getvalue()


def _change(rng: Generator, file: Any, name: str) -> None:
    attributes = [*file[name].attrs]
    if attributes and rng.random() < 0.5:
        odd = damage.ODD[rng.integers(len(damage.ODD))]
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            file[name].attrs[attributes[rng.integers(len(attributes))]] = odd
        return
    shape, kind = SHAPES[rng.integers(len(SHAPES))], TYPES[rng.integers(len(TYPES))]
    del file[name]
    what = rng.random()
    if what < 0.6:
        chunks = (1,) * (len(shape) - 1) + (64,) if shape and shape[0] > 10**4 else None
        file.create_dataset(name, shape, kind, chunks=chunks)
    elif what < 0.7:
        file[name] = h5py.SoftLink("/")
    elif what < 0.8:
        file[name] = h5py.ExternalLink("/etc/passwd", "/")
    elif what < 0.9:
        file.create_dataset(name, (8,), "u1", external=[("/etc/passwd", 0, 8)])


def in_zip(rng: Generator, content: bytes) -> bytes:
    """Damage to a file in an archive, whose checksum is then right, or to the archive's list."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        entries = {info.filename: source.read(info) for info in source.infolist()}
    name = [*entries][rng.integers(len(entries))]
    what = rng.random()
    if what < 0.02:
        entries[name] = entries[name][:128] + bytes(BOMB)
    elif what < 0.1:
        del entries[name]
    elif what < 0.15:
        entries[f"../{name}"] = entries[name]
    elif name.endswith(".json"):
        entries[name] = damage.in_text(rng, entries[name])
    elif name.endswith(".h5") and what < 0.7:
        entries[name] = in_h5(rng, entries[name])
    elif name.endswith(".npy") and what < 0.7:
        entries[name] = _other_array(rng)
    else:
        entries[name] = damage.of_bytes(rng, entries[name])
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _other_array(rng: Generator) -> bytes:
    """An .npy file of another shape or type, perhaps with a header that promises too much."""
    file = io.BytesIO()
    kind = ("f4", "f8", "u1", "S3", "O")[rng.integers(5)]
    np.save(file, np.zeros((3, int(rng.integers(4))), kind), allow_pickle=True)
    promised = (b"(3, 0), ", b"(9**9,),", b"(1<<40,)", b"(999999999999,), ")[rng.integers(4)]
    return file.getvalue().replace(b"(3, 0), ", promised)


def in_flatbuffer(rng: Generator, content: bytes) -> bytes:
    """Damage to small integers at multiples of four: offsets, lengths, sides, numbers of kinds."""
    words = np.frombuffer(content[: len(content) // 4 * 4], "<i4").copy()
    small = np.flatnonzero((words > 0) & (words < len(content)))
    for _ in range(int(rng.integers(1, 4))):
        place = rng.choice(small)
        odd = rng.choice([0, 1, 2, 3, 5, 7, 64, 2**16, 2**24, 2**30, 2**31 - 1, -1, -(2**31)])
        near = int(words[place]) + int(rng.integers(-4, 5))
        words[place] = odd if rng.random() < 0.5 else near
    return words.tobytes() + content[len(words) * 4 :]
