"""Exports a network as a NumPy archive, for programs without JAX.

For each layer, ``np.load(path)`` returns the arrays ``LAYER/ARRAY`` that inference needs,
little-endian; nothing is pickled.

| array | type | shape | of |
|---|---|---|---|
| ``words`` | uint32 | the kernel's, with ⌈n/32⌉ along its packed axis | binary kernels |
| ``scale`` | float32 | [kernel's last axis] | binary kernels with one scale per output channel |
| ``levels`` | float32 | [kh, kw, in, out] | kernels quantized to anything else |
| ``kernel`` | float32 | [kh, kw, in, out] | other kernels |
| ``bias`` | float32 | [out] | layers that have one, and batch norms |
| ``multiplier`` | float32 | [channels] | batch norms |
| ``alpha`` | float32 | [1, 1, channels] | ``PReLU``: x where positive, else alpha · x |

A depthwise ``kernel`` is [kh, kw, in, multiplier], a dense one [in, out]. Batch norms are folded
into x · multiplier + bias.

Bit i of word w is value 32·w + i along the packed axis. A 1 stands for +1, a 0 for −1, and the bits
after the n-th are 0. A depthwise kernel is packed as [kh, kw, in · multiplier]. With the ``shape``
and ``packed_axis`` from the card, NumPy unpacks a kernel as follows::

    words = np.ascontiguousarray(np.moveaxis(archive["LAYER/words"], packed_axis, -1))
    bits = np.unpackbits(words[..., None].view(np.uint8), axis=-1, bitorder="little")
    bits = bits.reshape(*words.shape[:-1], -1)[..., :n]                   # n = shape[packed_axis]
    kernel = np.moveaxis(2.0 * bits - 1, -1, packed_axis)                 # of ±1, times the scale

The card is JSON, ``json.loads(archive["bnnjax.json"].tobytes())``, with ``format`` (2),
``network``, ``num_classes``, ``class_names``, ``provenance`` and ``layers``, a list in the order of
the calls. A layer has a ``name``, a ``kind`` (its class in `bnnjax.layers` or `flax.linen`) and,
where applicable:

- ``shape`` and ``packed_axis`` of its packed kernel;
- ``strides``, ``padding``, ``dilation``;
- ``pad_values``, which pads the input after its signs have been taken;
- ``groups``: each group of input channels computes its own share of the outputs;
- ``input``: "signs" if the layer takes the signs of its input (≥ 0 is +1); for other quantizers, an
  object with the name in `bnnjax.quant` as ``quantizer``, ``bits`` and further options. With
  "dorefa_quantizer" and k bits, the kernel is applied to round(n · clip(x, 0, 1)) / n, where n is
  2^k − 1 and halves are rounded to even.
"""

import io
import json
import os
import zipfile
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
from bnnjax.port.storage import atomic

FORMAT = 2
CARD = "bnnjax.json"


def export(network: Network, path: str | Path, *, overwrite: bool = False) -> Path:
    """Writes a packed network as the archive described above, atomically.

    Args:
      network: a frozen network of the registry.
      path: the path of the archive, ``NAME.npz``.
      overwrite: whether to replace an existing archive of this kind. Other files never are.

    Raises:
      ValueError: the network is latent or not in the registry (the card cannot express how the
        layers of a ``.tflite`` file are connected), the path does not end in ``.npz``, or it exists
        and must not be replaced.
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
    kind = "an exported network"
    atomic.check_target(path, overwrite=overwrite, kind=kind, is_ours=_is_export)
    arrays = flatten_dict(jax.device_get(network.variables["params"]), sep="/")
    little: dict[str, Any] = {
        name: value.astype(value.dtype.newbyteorder("<")) for name, value in arrays.items()
    }
    little[CARD] = np.frombuffer(json.dumps(card(network)).encode(), np.uint8)
    archive = io.BytesIO()
    np.savez(archive, **little)
    atomic.write(path, archive.getvalue())
    return path


def _is_export(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{CARD}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def card(network: Network) -> dict[str, Any]:
    """The card of the archive, as described above."""
    shapes = flatten_dict(network.architecture.latent_shapes()["params"])
    return {
        "format": FORMAT,
        "network": network.entry.name,
        "num_classes": network.architecture.num_classes,
        "class_names": network.class_names and list(network.class_names),
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
    options.pop("k_bit", None)  # `quant.precision` states it
    name = next(name for name, row in quant.QUANTIZERS.items() if row.function is bare)
    return {"quantizer": name, "bits": quant.precision(quantizer), **options}
