"""Binary convolutions whose result is packed: thresholds instead of multiplier and bias."""

import numpy as np

from bnnjax.port.tflite import lce
from bnnjax.port.tflite.lowering.draft import Draft, Node

_ALWAYS, _NEVER = np.iinfo(np.int32).min, np.iinfo(np.int32).max  # −1 for every popcount, or none
_AT_ONCE = 1 << 22  # values that are compared together
_CLAMPS = {0: (-np.inf, np.inf), 1: (0, np.inf), 2: (-1, 1), 3: (0, 6)}


def pack_result(draft: Draft, conv: Node) -> None:
    """Makes a binary convolution return the signs of its result.

    LCE's result is −1 where the popcount (K − ŷ) / 2 exceeds a threshold, with K the number of
    products in a sum ŷ. Where the multiplier is negative, the channel's filter is inverted.
    """
    filters, multiplier, bias = (draft.constants[value] for value in conv.inputs[1:4])
    channels = conv.options["channels_in"]
    products = channels * filters.shape[1] * filters.shape[2]
    clamp = _CLAMPS[conv.options["fused_activation_function"]]
    found = thresholds(multiplier, bias, products=products, clamp=clamp)
    down = multiplier < 0
    used = lce.used_bits(channels).view(np.int32)
    inverted = np.where(down[:, None, None, None], filters ^ used, filters)
    conv.inputs[1:] = draft.constant(inverted), -1, -1, draft.constant(found)


def thresholds(
    multiplier: np.ndarray, bias: np.ndarray, *, products: int, clamp: tuple[float, float]
) -> np.ndarray:
    """The largest popcount, int32 [O], for which ``clamped sum · multiplier + bias`` is not
    negative in float32; popcounts are those of inverted filters where the multiplier is negative.
    """
    popcounts = np.arange(products + 1)
    size = max(_AT_ONCE // len(popcounts), 1)
    parts = []
    for first in range(0, len(multiplier), size):
        factor, shift = (array[first : first + size] for array in (multiplier, bias))
        sums = (products - 2 * popcounts)[:, None] * np.where(factor < 0, -1, 1)
        result = np.clip(sums, *clamp).astype(np.float32) * factor + shift
        parts.append((result >= 0).sum(0) - 1)
    last = np.concatenate(parts)
    last = np.where(last == products, _NEVER, np.where(last < 0, _ALWAYS, last))
    return last.astype(np.int32)
