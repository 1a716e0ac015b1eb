"""±1 tensors as packed bits.

Convention: bit i of word w holds channel 32·w + i; a set bit is +1, a clear one −1. Channels that
do not fill the last word leave its upper bits clear, on both operands of a product alike, so that
they never count.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

WORD = 32


def words_for(channels: int) -> int:
    """Words that hold this many channels."""
    return -(-channels // WORD)


def pack(x: Array) -> Array:
    """Signs of ``x`` [..., C] as uint32 words [..., ⌈C/32⌉]; x ≥ 0 (−0.0 too) sets the bit.

    NaN has no bit and becomes −1: whoever must see NaN keeps the float tensor.
    """
    channels = x.shape[-1]
    spare = words_for(channels) * WORD - channels
    bits = jnp.pad(x >= 0, [(0, 0)] * (x.ndim - 1) + [(0, spare)])
    bits = bits.reshape(*x.shape[:-1], -1, WORD).astype(jnp.uint32)
    return jnp.sum(bits << jnp.arange(WORD, dtype=jnp.uint32), axis=-1, dtype=jnp.uint32)


def pack_positive(positive: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """`pack` in NumPy, along any axis, of a bool array that says where ``x >= 0``; `pack` takes
    several times the memory of ``x``, which a network's largest kernel has not to spare."""
    octets = np.moveaxis(np.packbits(positive, axis=axis, bitorder="little"), axis, -1)
    spare = -octets.shape[-1] % (WORD // 8)
    octets = np.pad(octets, [(0, 0)] * (octets.ndim - 1) + [(0, spare)])
    words = np.ascontiguousarray(octets).view("<u4").astype(np.uint32)
    return np.ascontiguousarray(np.moveaxis(words, -1, axis))


def unpack(words: Array, channels: int, *, dtype: jnp.dtype = jnp.float32) -> Array:
    """The ±1 tensor [..., channels] in ``dtype`` that `pack` made ``words`` [..., W] of.

    Raises:
      ValueError: the words cannot hold exactly so many channels.
    """
    if words.shape[-1] != words_for(channels):
        raise ValueError(
            f"{words.shape[-1]} words hold {words.shape[-1] * WORD} channels at most; "
            f"{channels} channels need {words_for(channels)}"
        )
    bits = (words[..., None] >> jnp.arange(WORD, dtype=jnp.uint32)) & 1
    bits = bits.reshape(*words.shape[:-1], -1)[..., :channels]
    return jnp.asarray(2, dtype) * bits.astype(dtype) - jnp.asarray(1, dtype)


def ones(channels: int) -> Array:
    """Words [⌈channels/32⌉] of a pixel whose channels are all +1."""
    return pack(jnp.ones(channels))
