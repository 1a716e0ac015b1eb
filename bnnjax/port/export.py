"""A network as one NumPy archive, for programs that know nothing of JAX.

``np.load(path)`` (nothing is pickled) has, for each layer, the arrays ``LAYER/ARRAY`` that its
inference needs, little-endian:

| array | type | shape | of |
|---|---|---|---|
| ``words`` | uint32 | the kernel's, its packed axis ⌈n/32⌉ long | binary kernels |
| ``scale`` | float32 | [kernel's last axis] | binary kernels of ± one scale an output channel |
| ``levels`` | float32 | [kh, kw, in, out] | kernels quantized to anything else |
| ``kernel`` | float32 | [kh, kw, in, out] | others |
| ``bias`` | float32 | [out] | layers that have one, and batch norms |
| ``multiplier`` | float32 | [channels] | batch norms |
| ``alpha`` | float32 | [1, 1, channels] | ``PReLU``: x where positive, else alpha · x |

A depthwise ``kernel`` is [kh, kw, in, multiplier], a dense one [in, out]. Batch norms are folded:
what is left of them is x · multiplier + bias.

Bit i of word w is value 32·w + i along the packed axis; 1 is +1, 0 is −1, and bits beyond the n-th
are 0. A depthwise kernel is packed as [kh, kw, in · multiplier]. In NumPy, for the kernel of
``shape`` and the ``packed_axis`` that the card states:

    words = np.ascontiguousarray(np.moveaxis(archive["LAYER/words"], packed_axis, -1))
    bits = np.unpackbits(words[..., None].view(np.uint8), axis=-1, bitorder="little")
    bits = bits.reshape(*words.shape[:-1], -1)[..., :n]                   # n = shape[packed_axis]
    kernel = np.moveaxis(2.0 * bits - 1, -1, packed_axis)                 # of ±1, times the scale

The card is JSON, ``json.loads(archive["bnnjax.json"].tobytes())``: ``format`` (1), ``network``,
``classes``, ``provenance`` and ``layers``, a list in the order of their calls: ``name``, ``kind``
(the class in `bnnjax.layers`, or `flax.linen`), and where the layer has it ``shape`` and
``packed_axis`` of its packed kernel, ``strides``, ``padding``, ``pad_values`` (what surrounds the
input after its signs were taken), ``dilation``, ``groups`` (each of so many groups of input
channels makes its own share of the outputs) and ``input``. This is "signs" where the layer takes
the signs of its input, ≥ 0 being +1, and of another quantizer an object: ``quantizer``, its name in
`bnnjax.quant`, ``bits`` and its other options. Of "dorefa_quantizer" with k bits the kernel meets
round(n · clip(x, 0, 1)) / n, n being 2^k − 1 and halves going to even.
"""

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict

from bnnjax import quant
from bnnjax.layers import QuantDepthwiseConv, Quantized
from bnnjax.models import registry
from bnnjax.models.network import Network

FORMAT = 1
CARD = "bnnjax.json"


def export(network: Network, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a frozen network; see above. The file appears whole or not at all.

    Raises:
      ValueError: the network is latent or not one of the registry (the card cannot tell how what
        was read from a ``.tflite`` file is connected), the path does not end in ``.npz``, or it
        exists and ``overwrite`` is False.
    """
    path = Path(os.path.expanduser(path))
    if not network.frozen:
        raise ValueError("the network is latent; freeze it before exporting (bnnjax.freeze)")
    if network.entry.name not in registry.REGISTRY:
        raise ValueError(
            f"{network.entry.name} is not in the registry and cannot be exported; "
            "use the file that it was read from"
        )
    if path.suffix != ".npz":
        raise ValueError(f"{path}: a NumPy archive needs a name that ends in .npz")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; choose another name or allow overwriting")
    arrays = flatten_dict(jax.device_get(network.variables["params"]), sep="/")
    little: dict[str, Any] = {
        name: value.astype(value.dtype.newbyteorder("<")) for name, value in arrays.items()
    }
    little[CARD] = np.frombuffer(json.dumps(card(network)).encode(), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.npz")
    try:
        np.savez(draft, **little)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def card(network: Network) -> dict[str, Any]:
    """What the archive says of the network; see above."""
    shapes = flatten_dict(network.architecture.latent_shapes()["params"])
    return {
        "format": FORMAT,
        "network": network.entry.name,
        "classes": network.architecture.num_classes,
        "provenance": dict(network.provenance),
        "layers": [
            _layer("/".join(path), layer, getattr(shapes.get((*path, "kernel")), "shape", ()))
            for path, layer in network.architecture.layers().items()
        ],
    }


def _layer(name: str, layer: nn.Module, shape: tuple[int, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "kind": type(layer).__name__}
    for field in ("strides", "padding", "pad_values", "dilation", "groups"):
        if hasattr(layer, field):
            found[field] = getattr(layer, field)
    if not isinstance(layer, Quantized):
        return found
    if layer.input_quantizer is not None:
        found["input"] = _input(layer.input_quantizer)
    if quant.values(layer.kernel_quantizer) in ("signs", "scaled signs"):
        depthwise = isinstance(layer, QuantDepthwiseConv)
        packed = (*shape[:2], shape[2] * shape[3]) if depthwise else shape
        found |= {"shape": packed, "packed_axis": -1 if depthwise else -2}
    return found


def _input(quantizer: quant.Quantizer) -> str | dict[str, Any]:
    if quant.values(quantizer) == "signs":
        return "signs"
    bare, options = quantizer, {}
    if isinstance(quantizer, partial):
        bare, options = quantizer.func, dict(quantizer.keywords)
    options.pop("k_bit", None)  # which `quant.precision` tells
    name = next(name for name, row in quant.QUANTIZERS.items() if row.function is bare)
    return {"quantizer": name, "bits": quant.precision(quantizer), **options}
