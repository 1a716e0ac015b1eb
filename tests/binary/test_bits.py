"""bnnjax.binary.bits against NumPy's packing of bits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from bnnjax import quant
from bnnjax.binary import bits

PROPERTY = settings(max_examples=12)
pack = jax.jit(bits.pack)
SIGNS = st.sampled_from([-1.0, 1.0])


def np_words(x):
    """The same words from NumPy: channel 32·w + i is bit i of word w, set for x ≥ 0."""
    spare = -x.shape[-1] % 32
    flags = np.pad(x >= 0, [(0, 0)] * (x.ndim - 1) + [(0, spare)])
    return np.packbits(flags, axis=-1, bitorder="little").view("<u4")


@pytest.mark.slow
@PROPERTY
@given(channels=st.integers(0, 200), pixels=array_shapes(min_dims=0, max_dims=3, max_side=3))
def test_pack_is_numpys_little_endian_packing(channels, pixels):
    x = np.random.default_rng(channels).normal(size=(*pixels, channels)).astype(np.float32)
    words = pack(x)
    assert words.dtype == jnp.uint32
    assert words.shape == (*pixels, bits.words_for(channels))
    np.testing.assert_array_equal(words, np_words(x))


@PROPERTY
@given(channels=st.integers(1, 200), axis=st.sampled_from([0, 1, 2, -1, -2]))
def test_pack_positive_is_numpys_packing_along_any_axis(channels, axis):
    shape = [3, 2, 4]
    shape[axis] = channels
    x = np.random.default_rng(channels).normal(size=shape).astype(np.float32)
    words = bits.pack_positive(x >= 0, axis=axis)
    assert words.dtype == np.uint32
    np.testing.assert_array_equal(np.moveaxis(words, axis, -1), np_words(np.moveaxis(x, axis, -1)))


@pytest.mark.slow
@PROPERTY
@given(
    x=arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 80)), elements=SIGNS),
    dtype=st.sampled_from([jnp.float32, jnp.bfloat16, jnp.float16, jnp.int32]),
)
def test_unpack_inverts_pack(x, dtype):
    unpacked = jax.jit(lambda x: bits.unpack(bits.pack(x), x.shape[-1], dtype=dtype))(x)
    assert unpacked.dtype == dtype
    np.testing.assert_array_equal(unpacked.astype(jnp.float32), x)


@PROPERTY
@given(words=arrays(np.uint32, (2, 3)))
def test_words_survive_unpacking(words):
    """Every bit pattern is a different tensor; the highest bit is not a sign."""
    np.testing.assert_array_equal(bits.pack(bits.unpack(jnp.asarray(words), 96)), words)


def test_each_channel_has_its_bit():
    for channel in (0, 1, 31, 32, 40):
        x = -np.ones(41, np.float32)
        x[channel] = 1
        words = [0, 0]
        words[channel // 32] = 1 << channel % 32
        assert pack(x).tolist() == words


def test_zeros_of_either_sign_set_the_bit_and_nan_does_not():
    assert bits.pack(jnp.asarray([0.0, -0.0, jnp.nan, 1e-30, -1e-30])).tolist() == [0b01011]


@pytest.mark.slow
def test_pack_agrees_with_sign_on_every_float16():
    """Subnormal values are included: bits must agree with the quantizers."""
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    x = jnp.asarray(x[~np.isnan(x)])
    np.testing.assert_array_equal(bits.unpack(bits.pack(x), x.size), quant.ste_sign(x))


@pytest.mark.parametrize("channels", [1, 31, 32, 33, 64, 70])
def test_spare_bits_stay_clear(channels):
    spare = -channels % 32
    for words in (bits.ones(channels), pack(np.ones((2, channels)))):
        last = np.asarray(words)[..., -1]
        np.testing.assert_array_equal(last, 2 ** (32 - spare) - 1)
        np.testing.assert_array_equal(np.asarray(words)[..., :-1], 2**32 - 1)


@pytest.mark.parametrize(
    ("channels", "words"), [(0, 0), (1, 1), (32, 1), (33, 2), (64, 2), (65, 3)]
)
def test_words_for(channels, words):
    assert bits.words_for(channels) == words


@pytest.mark.parametrize(("words", "channels"), [(1, 33), (2, 32), (2, 65)])
def test_unpack_refuses_a_wrong_number_of_channels(words, channels):
    with pytest.raises(ValueError, match=rf"{words} words hold .*; {channels} channels need"):
        bits.unpack(jnp.zeros((3, words), jnp.uint32), channels)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_packing_and_unpacking_without_implicit_promotion(dtype):
    x = np.random.default_rng(0).choice([-1.0, 1.0], (2, 3, 40))
    words = bits.pack(jnp.asarray(x, dtype))
    assert words.dtype == bits.ones(40).dtype == jnp.uint32
    np.testing.assert_array_equal(words, np_words(x))
    unpacked = bits.unpack(words, 40, dtype=jnp.dtype(dtype))
    assert unpacked.dtype == dtype
    np.testing.assert_array_equal(unpacked.astype(jnp.float32), x)


def test_xor_of_words_gives_the_inner_product():
    """a · b = C − 2 (differing bits), without the spare bits."""
    rng = np.random.default_rng(0)
    for channels in (1, 31, 32, 45, 100):
        a, b = rng.choice([-1, 1], (2, channels))
        words = np.asarray(pack(a)) ^ np.asarray(pack(b))
        differing = sum(int(word).bit_count() for word in words)
        assert channels - 2 * differing == a @ b


def test_pack_under_vmap_and_jit():
    x = np.random.default_rng(0).normal(size=(3, 4, 40)).astype(np.float32)
    np.testing.assert_array_equal(jax.jit(jax.vmap(bits.pack))(x), np_words(x))
