"""Archives of VGG-19's weights: what is read, and everything that is refused."""

import io
import os
import zipfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnnjax.models import registry, vgg
from bnnjax.models.network import Architecture
from bnnjax.port.vgg.npz import read_vgg_npz
from tests.damage import damaged, reads_or_refuses

DATA = Path(os.environ.get("BNNJAX_DATA", Path(__file__).resolve().parents[3] / "../shared"))
PUBLISHED = DATA / "weights" / "vgg19_conv_to_conv5_1_q8.npz"


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    arrays = {}
    for name, shape in vgg.kernel_shapes(vgg.TO_CONV5_1).items():
        arrays[f"{name}/kernel_table"] = rng.normal(size=256).astype(np.float32)
        arrays[f"{name}/kernel_idx"] = rng.integers(0, 256, shape, dtype=np.uint8)
        arrays[f"{name}/bias"] = rng.normal(size=shape[-1]).astype(np.float32)
    return arrays


@pytest.fixture
def write(tmp_path):
    def write(arrays):
        np.savez(tmp_path / "vgg.npz", **arrays)
        return tmp_path / "vgg.npz"

    return write


@pytest.mark.slow
def test_kernels_are_looked_up_in_their_tables(write, arrays):
    params = read_vgg_npz(write(arrays))["params"]
    assert set(params) == set(vgg.kernel_shapes(vgg.TO_CONV5_1))
    for name, layer in params.items():
        for place in ((0, 0, 0, 0), (2, 1, 2, 63), (-1, -1, -1, -1)):
            level = arrays[f"{name}/kernel_idx"][place]
            assert layer["kernel"][place] == arrays[f"{name}/kernel_table"][level]
        np.testing.assert_array_equal(layer["bias"], arrays[f"{name}/bias"])


@pytest.mark.slow
def test_variables_fit_the_network(write, arrays):
    architecture = Architecture.published(registry.find("vgg19_conv5_1"))
    _, taps = architecture.apply(read_vgg_npz(write(arrays)), jnp.zeros((1, 16, 16, 3)))
    assert taps["relu5_1"].shape == (1, 1, 1, 512)


def test_every_problem_is_named_at_once(write, arrays):
    broken = dict(arrays)
    del broken["conv3_2/bias"]
    broken["fc6/bias"] = np.zeros(4096, np.float32)
    broken["conv1_1/kernel_idx"] = np.zeros((3, 3, 64, 3), np.uint8)
    broken["conv2_1/kernel_table"] = np.zeros(256, np.float64)
    with pytest.raises(ValueError, match="does not hold") as raised:
        read_vgg_npz(write(broken))
    lines = [line.strip() for line in str(raised.value).splitlines()[1:]]
    assert lines == [
        "missing: conv3_2/bias",
        "left over: fc6/bias",
        "conv1_1/kernel_idx: is uint8[3, 3, 64, 3], needs uint8[3, 3, 3, 64]",
        "conv2_1/kernel_table: is float64[256], needs float32[256]",
    ]


def test_nothing_is_unpickled(write, arrays):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("the archive was unpickled",)

    trapped = {**arrays, "conv1_1/bias": np.array([Trap()], dtype=object)}
    with pytest.raises(ValueError, match=r"conv1_1/bias: is object"):
        read_vgg_npz(write(trapped))


def test_damaged_files_are_refused(write, arrays):
    path = write(arrays)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="CRC"):
        read_vgg_npz(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and no more")
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "empty.npz", "cut.npz", "array.npy", "missing.npz"):
        with pytest.raises(ValueError, match=f"{name}: cannot be read"):
            read_vgg_npz(tmp_path / name)


@pytest.mark.slow
@pytest.mark.skipif(not PUBLISHED.exists(), reason=f"no {PUBLISHED}; set BNNJAX_DATA")
def test_published_weights_see_edges_and_colours():
    variables = read_vgg_npz(PUBLISHED)
    images = np.full((2, 32, 32, 3), 0.5, np.float32)
    images[1, :, 16:] = 1.0
    architecture = Architecture.published(registry.find("vgg19_conv5_1"))
    _, taps = architecture.apply(variables, images)
    flat, edge = np.asarray(taps["relu1_1"])[:, 8:24, 8:24]
    # A flat area has the same response everywhere, and an edge is visible at two columns only.
    np.testing.assert_allclose(flat, np.broadcast_to(flat[0, 0], flat.shape), atol=1e-3)
    changes = np.abs(np.diff(edge, axis=1)).max(axis=(0, 2))
    assert set(np.flatnonzero(changes > 1)) == {6, 7, 8}


def test_a_header_that_promises_too_much_is_refused_unread(tmp_path):
    file = io.BytesIO()
    np.save(file, np.zeros(3, np.float32))
    promised = file.getvalue().replace(b"(3,), }           ", b"(999999999999,), }")
    with zipfile.ZipFile(tmp_path / "vgg.npz", "w") as archive:
        archive.writestr("conv1_1/bias.npy", promised)
    with pytest.raises(ValueError, match=r"conv1_1/bias: is float32\[999999999999\], needs"):
        read_vgg_npz(tmp_path / "vgg.npz")


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_archives_are_refused(tmp_path, data):
    file = io.BytesIO()
    np.savez(file, **{"conv1_1/bias": np.zeros(64, np.float32)})
    content = data.draw(damaged(file.getvalue()))
    assert not reads_or_refuses(read_vgg_npz, tmp_path / "vgg.npz", content)
