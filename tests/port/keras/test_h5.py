"""Reading Keras .h5 files: their layers in the order of creation, and damaged files."""

import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnnjax.port.keras.h5 import Source, named_arrays, opened, values
from tests.damage import damaged, reads_or_refuses

h5py = pytest.importorskip("h5py")


def weight(*shape):
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


LAYERS = [
    ("conv2d", {"kernel": weight(3, 3, 3, 8), "bias": weight(8)}),
    *[("conv2d", {"kernel": weight(1, 1, 8, 8)}) for _ in range(11)],
    ("batch_normalization", {"gamma": weight(8), "moving_mean": weight(8)}),
    ("depthwise_conv2d", {"depthwise_kernel": weight(3, 3, 8, 1)}),
    ("quant_conv2d_transpose", {"kernel": weight(3, 3, 8, 8)}),  # a digit, but not a counter
    ("dense", {"kernel": weight(8, 10), "bias": weight(10)}),
    ("p_re_lu", {"alpha": weight(1, 1, 8)}),
]


@pytest.fixture
def file(write_keras, tmp_path):
    return write_keras(tmp_path / "network.h5", LAYERS, start=95)


def refusal(path):
    """The one-line error for a file."""
    with pytest.raises(ValueError) as raised, opened(path):  # noqa: PT011
        pass
    assert str(raised.value).startswith(f"{path}: ")
    assert len(str(raised.value).splitlines()) == 1
    return str(raised.value)


@pytest.mark.parametrize("start", [0, 1, 9, 95])
def test_layers_of_a_class_are_in_the_order_of_creation(write_keras, tmp_path, start):
    path = write_keras(tmp_path / "network.h5", LAYERS, start=start)
    with opened(path) as sources:
        assert len(sources) == len(LAYERS)  # and not those without weights
        for prefix in {prefix for prefix, _ in LAYERS}:
            wanted = [weights for other, weights in LAYERS if other == prefix]
            found = [source for source in sources if source.prefix == prefix]
            assert len(found) == len(wanted), prefix
            for number, (source, weights) in enumerate(zip(found, wanted, strict=True), start):
                assert source.name == (f"{prefix}_{number}" if number else prefix)
                assert source.arrays.keys() == weights.keys()
                for name, value in weights.items():
                    np.testing.assert_array_equal(source.arrays[name][()], value)


def test_the_kind_of_a_layer_is_told_from_its_arrays(file):
    with opened(file) as sources:
        assert {source.prefix: source.kind for source in sources} == {
            "conv2d": "convolution",
            "quant_conv2d_transpose": "convolution",
            "batch_normalization": "norm",
            "depthwise_conv2d": "depthwise",
            "dense": "dense",
            "p_re_lu": "activation",
        }


def test_a_layer_is_described_with_its_shapes():
    source = Source("dense_1", {"kernel": weight(8, 10), "bias": weight(10)})
    assert str(source) == "dense_1 (kernel [8, 10], bias [10])"


def test_names_may_be_texts_of_any_length_instead_of_bytes(file):
    with h5py.File(file, "a") as written:
        for group in (written, *written.values()):
            for name, values in list(group.attrs.items()):
                group.attrs[name] = [value.decode() for value in values]
        assert h5py.check_string_dtype(written.attrs.get_id("layer_names").dtype).length is None
    with opened(file) as sources:
        assert len(sources) == len(LAYERS)


def test_arrays_of_a_model_in_a_model_belong_to_the_layer_that_they_are_named_after(tmp_path):
    """Names may hold slashes, and a layer that was built by hand gives its arrays no name."""
    arrays = {
        "conv/kernel:0": weight(1, 1, 8, 8),
        "stem/conv/kernel:0": weight(3, 3, 3, 8),
        "backbone/dense/kernel:0": weight(8, 5),
        "mean:0": weight(3),
    }
    with h5py.File(tmp_path / "own.h5", "w") as file:
        group = file.create_group("backbone")
        group.attrs["weight_names"] = [*arrays]
        for name, value in arrays.items():
            group[name] = value
        for layer, name, expected in (
            ("conv", "kernel", "conv/kernel:0"),
            ("stem/conv", "kernel", "stem/conv/kernel:0"),
            ("dense", "kernel", "backbone/dense/kernel:0"),
            ("normalization", "mean", "mean:0"),
        ):
            found = named_arrays(file, ["backbone", layer], [name])
            assert found.keys() == {name}
            np.testing.assert_array_equal(found[name][()], arrays[expected])
        assert named_arrays(file, ["backbone", "ense"], ["kernel"]) == {}
        assert named_arrays(file, ["nowhere"], ["kernel"]) == {}


# --- damaged files ---------------------------------------------------------------------


def test_every_truncation_is_refused(file):
    content = file.read_bytes()
    cuts = np.linspace(1, len(content) - 1, 200, dtype=int)
    for length in [*range(100), *cuts.tolist()]:
        file.write_bytes(content[:length])
        assert "damaged, truncated or not an HDF5 file" in refusal(file), f"first {length} bytes"


@pytest.mark.parametrize(
    "content", [b"", b"text\n", b"TFL3" * 9, b"\x89HDF\r\n\x1a\n" + b"\xff" * 99]
)
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "other.h5").write_bytes(content)
    assert "damaged, truncated or not an HDF5 file" in refusal(tmp_path / "other.h5")


def test_missing_files_and_folders_are_refused(tmp_path):
    assert refusal(tmp_path / "none.h5").endswith("none.h5: no such file")
    refusal(tmp_path)


def test_a_file_of_keras_3_is_refused(tmp_path):
    with h5py.File(tmp_path / "later.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = weight(3, 3, 3, 8)
    assert "holds no layers that Keras 2 saved" in refusal(tmp_path / "later.weights.h5")


@pytest.mark.parametrize(
    "gone", ["conv2d_99", "conv2d_99/conv2d_99/kernel:0", "conv2d_99/conv2d_99"]
)
def test_a_layer_that_is_listed_but_missing_is_refused(file, gone):
    with h5py.File(file, "a") as written:
        del written[gone]
    refusal(file)


def test_a_group_in_place_of_an_array_is_refused(file):
    with h5py.File(file, "a") as written:
        del written["dense_95/dense_95/kernel:0"]
        written.create_group("dense_95/dense_95/kernel:0")
    assert "dense_95/kernel:0 is not an array" in refusal(file)


def test_without_the_extra_one_line_says_what_to_install(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with (
        pytest.raises(ModuleNotFoundError, match=r"^[^\n]*pip install 'bnnjax\[port\]'$"),
        opened(file),
    ):
        pass


def _read(path):
    with opened(path) as sources:
        return [array[()] for source in sources for array in source.arrays.values()]


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_files_are_read_or_refused(file, tmp_path, data):
    content = data.draw(damaged(file.read_bytes()))
    reads_or_refuses(_read, tmp_path / "damaged.h5", content)


def test_nothing_is_read_from_other_files(file, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(32))
    with h5py.File(file, "r+") as content:
        del content["dense_95/dense_95/bias:0"]
        group = content["dense_95/dense_95"]
        group.create_dataset("bias:0", (8,), "f4", external=[(str(tmp_path / "secret"), 0, 32)])
    assert "is in another file" in refusal(file)
    with h5py.File(file, "r+") as content:
        del content["dense_95/dense_95/bias:0"]
        content["dense_95/dense_95/bias:0"] = h5py.ExternalLink(str(tmp_path / "secret"), "/")
    assert "leads to another file" in refusal(file)


def test_what_a_file_does_not_hold_is_not_allocated(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as content:
        array = content.create_dataset("a", (10**6, 10**6), "f4", chunks=(64, 64))
        with pytest.raises(ValueError, match="would take 3814697 MiB, which are not in the file"):
            values(array)
        np.testing.assert_array_equal(values(content.create_dataset("b", data=[1.0])), [1.0])
