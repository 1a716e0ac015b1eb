"""±1 tensors as packed bits.

Convention: bit i of word w holds channel 32·w + i; a set bit is +1, a clear bit −1. Unused upper
bits of the last word are clear in both operands of a product, so that they never count.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array

WORD = 32


def words_for(channels: int) -> int:
    """Returns how many words hold this many channels."""
    return -(-channels // WORD)


def pack(x: Array) -> Array:
    """Packs signs of ``x`` [..., C] into uint32 words [..., ⌈C/32⌉]; x ≥ 0 (or −0.0) sets a bit.

    NaN cannot be represented and becomes −1; callers that must see NaN keep the float tensor.

    Examples:
      >>> words = pack(jnp.array([1.0, -1.0, 1.0]))  # the bits 0 and 2 are set
      >>> words
      Array([5], dtype=uint32)
      >>> unpack(words, 3)
      Array([ 1., -1.,  1.], dtype=float32)
    """
    channels = x.shape[-1]
    spare = words_for(channels) * WORD - channels
    bits = jnp.pad(x >= 0, [(0, 0)] * (x.ndim - 1) + [(0, spare)])
    bits = bits.reshape(*x.shape[:-1], words_for(channels), WORD).astype(jnp.uint32)
    return jnp.sum(bits << _places(bits.ndim), axis=-1, dtype=jnp.uint32)


def pack_positive(positive: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Packs in NumPy, along any axis, a bool array that tells where ``x >= 0``.

    `pack` takes several times the memory of ``x``, too much for a network's largest kernel.
    """
    octets = np.moveaxis(np.packbits(positive, axis=axis, bitorder="little"), axis, -1)
    spare = -octets.shape[-1] % (WORD // 8)
    octets = np.pad(octets, [(0, 0)] * (octets.ndim - 1) + [(0, spare)])
    words = np.ascontiguousarray(octets).view("<u4").astype(np.uint32)
    return np.ascontiguousarray(np.moveaxis(words, -1, axis))


def unpack(words: Array, channels: int, *, dtype: jnp.dtype = jnp.float32) -> Array:
    """Inverts `pack`: ``words`` [..., W] to the ±1 tensor [..., channels] in ``dtype``.

    Raises:
      ValueError: this number of channels does not take W words.
    """
    if words.shape[-1] != words_for(channels):
        raise ValueError(
            f"{words.shape[-1]} words hold at most {words.shape[-1] * WORD} channels; "
            f"{channels} channels need {words_for(channels)}"
        )
    bits = (words[..., None] >> _places(words.ndim + 1)) & 1
    bits = bits.reshape(*words.shape[:-1], words.shape[-1] * WORD)[..., :channels]
    return jnp.asarray(2, dtype) * bits.astype(dtype) - jnp.asarray(1, dtype)


def ones(channels: int) -> Array:
    """Returns the words [⌈channels/32⌉] of a pixel whose channels are all +1."""
    return pack(jnp.ones(channels, jnp.float32))


def _places(ndim: int) -> Array:
    """Returns 0 … 31 along the last of ``ndim`` axes."""
    return jnp.arange(WORD, dtype=jnp.uint32).reshape((1,) * (ndim - 1) + (WORD,))
