"""The comparison of a ported network with its source, by results and by arrays."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bnnjax
from bnnjax import images
from bnnjax.models.quicknet_v0 import BLOCKS
from bnnjax.port import verify
from bnnjax.port.keras import importer

CONVOLUTIONS = [
    f"section{section}_block{block}_conv"
    for section, count in enumerate(BLOCKS, start=1)
    for block in range(1, count + 1)
]


@pytest.fixture(scope="module")
def ported(real_quicknet):
    """The form whose operators compile fastest; other tests compare the forms."""
    return real_quicknet.with_options(backend="dense")


@pytest.fixture(scope="module")
def pictures(data_dir):
    """Two photographs, [2, 224, 224, 3]."""
    paths = sorted((data_dir / "images" / "contents").glob("*.jpg"))[:2]
    if len(paths) < 2:
        pytest.skip(f"no photographs in {data_dir / 'images' / 'contents'}; set BNNJAX_DATA")
    loaded = [images.pillow_crop_resize(images.load(path)) for path in paths]
    return jnp.clip(jnp.stack(loaded), 0, 1)


@pytest.mark.slow
def test_the_port_agrees_with_its_source(ported, real_tflite, pictures):
    found = verify.verify_tflite(ported, real_tflite, pictures)
    # 224 px: 2 convolutions of 56²·64, 1 + 2 of 28²·128 …, the first of a section at half the size
    cells = 2 * 56**2 * 64
    for side, channels, count in ((28, 64, 3), (14, 128, 4), (7, 256, 4)):
        cells += side**2 * (channels + (count - 1) * 2 * channels)
    assert found == (2 * cells, 0, found.probability)
    assert found.probability <= verify.TOLERANCE
    assert found.agrees


@pytest.mark.slow
def test_one_wrong_bit_is_detected(ported, real_tflite, pictures):
    params = dict(ported.variables["params"])
    words = np.array(params["section1_block2_conv"]["words"])
    words[1, 1, 0, 5] ^= np.uint32(1 << 9)
    params["section1_block2_conv"] = {"words": jnp.asarray(words)}
    altered = dataclasses.replace(ported, variables={"params": params})
    found = verify.verify_tflite(altered, real_tflite, pictures[:1])
    # One weight of the centre changes that channel's sum by 2 at every position.
    assert found.differing >= 56**2
    assert not found.agrees


def test_a_comparison_agrees_only_without_differences():
    assert verify.Comparison(10, 0, verify.TOLERANCE).agrees
    assert not verify.Comparison(10, 1, 0.0).agrees
    assert not verify.Comparison(10, 0, 2 * verify.TOLERANCE).agrees
    assert not verify.Comparison(10, 0, float("nan")).agrees


@pytest.mark.slow
def test_all_forms_have_the_same_integers(real_quicknet, pictures):
    """Operator by operator: a compiler would reassociate the float sums between them."""
    forms = {
        "packed": real_quicknet.with_options(backend="packed"),
        "dense": real_quicknet.with_options(backend="dense"),
        "latent": bnnjax.thaw(real_quicknet),
    }
    sums = {}
    for name, network in forms.items():
        _, taps = network.apply(network.variables, pictures[:1])
        sums[name] = {tap: np.asarray(taps[tap]) for tap in CONVOLUTIONS}
    for tap in CONVOLUTIONS:
        packed = sums["packed"][tap]
        fan_in = 9 * real_quicknet.variables["params"][tap]["words"].shape[2] * 32
        assert np.all((packed - fan_in) % 2 == 0)  # a sum of n times ±1 is as odd as n
        assert np.ptp(packed) > 0
        for name in ("dense", "latent"):
            np.testing.assert_array_equal(sums[name][tap], packed, f"{tap}, {name}")


@pytest.mark.slow
def test_a_thawed_network_frozen_again_is_the_same(real_quicknet):
    again = bnnjax.freeze(bnnjax.thaw(real_quicknet))
    assert again.architecture == real_quicknet.architecture
    jax.tree.map(np.testing.assert_array_equal, again.variables, real_quicknet.variables)


def test_fixed_pictures_are_always_the_same_and_in_range():
    pictures = np.asarray(verify.fixed_pictures(3, side=32))
    assert pictures.shape == (3, 32, 32, 3)
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    assert len({picture.tobytes() for picture in pictures}) == 3
    np.testing.assert_array_equal(verify.fixed_pictures(3, side=32), pictures)


@pytest.mark.slow
def test_a_source_that_is_not_a_tflite_file_is_refused(quicknet, tmp_path):
    (tmp_path / "a.tflite").write_text("text")
    with pytest.raises(ValueError, match=r"a\.tflite: not a \.tflite file"):
        verify.verify_tflite(quicknet, tmp_path / "a.tflite", verify.fixed_pictures(1))


# --- files of Keras ------------------------------------------------------------------------


@pytest.fixture
def keras_file(tiny_layers, write_keras, tmp_path):
    return write_keras(tmp_path / "tiny.h5", tiny_layers)


@pytest.fixture
def altered(keras_file, tiny):
    """A function that changes one array of the network from that file."""
    network = importer.read_network(keras_file, tiny)

    def change(layer, name, change):
        params = dict(network.variables["params"])
        params[layer] = {**params[layer], name: change(np.array(params[layer][name]))}
        return dataclasses.replace(network, variables={"params": params})

    return change


@pytest.mark.slow
@pytest.mark.parametrize("form", ["latent", "binarized", "without classifier"])
def test_a_port_of_a_keras_file_agrees_with_it(tiny, tiny_layers, write_keras, tmp_path, form):
    if form == "binarized":
        for _, arrays in tiny_layers:
            if "kernel" in arrays and arrays["kernel"].shape[0] == 3:
                arrays["kernel"] = np.where(arrays["kernel"] >= 0, 1, -1).astype(np.float32)
    elif form == "without classifier":
        del tiny_layers[-1]
    path = write_keras(tmp_path / "tiny.h5", tiny_layers)
    found = verify.verify(importer.read_network(path, tiny), path)
    assert found.arrays == sum(len(arrays) for _, arrays in tiny_layers)
    assert found.bits == 9 * 32 * 32 + 9 * 64 * 64
    assert found.differing == 0
    assert found.floats <= verify.ROUNDING
    assert found.agrees


@pytest.mark.slow
def test_one_wrong_bit_of_a_keras_file_is_detected(altered, keras_file):
    def flip(words):
        words[1, 1, 0, 5] ^= np.uint32(1 << 9)
        return words

    found = verify.verify_h5(altered("section2_block1_conv", "words", flip), keras_file)
    assert found.differing == 1
    assert not found.agrees


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layer", "name"),
    [
        ("stem_conv", "kernel"),
        ("stem_depthwise_norm", "bias"),  # which the file stores as a mean and a variance
        ("section2_transition_blur", "kernel"),
        ("section1_block1_norm", "multiplier"),
        ("section2_block1_norm", "bias"),
        ("dense", "bias"),
    ],
)
@pytest.mark.parametrize("factor", [1 + 1e-5, np.nan])
def test_a_wrong_float_is_detected(altered, keras_file, layer, name, factor):
    def change(value):
        value.reshape(-1)[np.abs(value).argmax()] *= factor
        return value

    found = verify.verify_h5(altered(layer, name, change), keras_file)
    assert found.differing == 0
    np.testing.assert_allclose(found.floats, factor - 1, rtol=0.1)
    assert not found.agrees


def test_arrays_agree_only_without_differences():
    assert verify.ArrayComparison(9, 10, 0, verify.ROUNDING).agrees
    assert not verify.ArrayComparison(9, 10, 1, 0.0).agrees
    assert not verify.ArrayComparison(9, 10, 0, 2 * verify.ROUNDING).agrees
    assert not verify.ArrayComparison(9, 10, 0, float("nan")).agrees


@pytest.mark.slow
def test_a_keras_file_of_another_network_is_refused(quicknet, keras_file):
    with pytest.raises(ValueError, match="not the weights of quicknet_v0"):
        verify.verify_h5(quicknet, keras_file)


@pytest.mark.slow
def test_a_source_is_compared_as_its_suffix_says(quicknet, tmp_path):
    (tmp_path / "a.TFLITE").write_text("text")
    with pytest.raises(ValueError, match=r"a\.TFLITE: not a \.tflite file"):
        verify.verify(quicknet, tmp_path / "a.TFLITE")
    (tmp_path / "a.h5").write_text("text")
    with pytest.raises(ValueError, match=r"a\.h5: damaged, truncated or not an HDF5 file"):
        verify.verify(quicknet, tmp_path / "a.h5")
    assert verify.verify(quicknet, tmp_path / "a.npz") is None
