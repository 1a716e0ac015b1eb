"""Exports a frozen network as a ``.tflite`` file for phones and microcontrollers.

The file has the operators of Larq Compute Engine 0.16 (Bannink et al. 2021, arXiv 2011.09398) for
binary layers, merged as its converter does, and TFLite's built-in ones in float32 for the others.
LCE's interpreter runs it (``larq_compute_engine/tflite/python/interpreter.py``), and `load_model`
reads it.

- Input: one picture float32 [1, H, W, 3] of a fixed size, in the range that the network was trained
  on, as in all files of Larq Zoo. For most networks these are sRGB values with zero mean and unit
  deviation over ImageNet; the file's description states the map from sRGB in [0, 1] (`input_of`).
- Output: the logits float32 [1, classes], without a softmax, or the last tap of a network without a
  classifier.

Binary dense layers become 1×1 binary convolutions. Activations of a few bits, as in DoReFa-Net, and
signs that are padded with zeros unevenly have no binary operator, so that their kernels become
floats.
"""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from bnnjax.models.network import Network
from bnnjax.port.storage import atomic
from bnnjax.port.tflite.graph import import_tflite
from bnnjax.port.tflite.lowering.fuse import fuse
from bnnjax.port.tflite.lowering.record import lower
from bnnjax.port.tflite.write import write_graph

USUAL = 224  # px, the side of pictures for most ImageNet networks
_MARK = "bnnjax: "  # our files' descriptions begin with it


def export(
    network: Network,
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a frozen network as the ``.tflite`` file described above, atomically.

    Args:
      network: any frozen network: of the registry, imported, or trained here.
      path: the path of the file, ``NAME.tflite``.
      size: height and width of the picture in px, or one number for both; by default, 224 if the
        network accepts that, or else its smallest size.
      overwrite: whether to replace an existing file of this kind. Other files never are.

    Raises:
      ValueError: the network is latent, does not accept the size, or computes something that has no
        operator; the path does not end in ``.tflite``, or it exists and must not be replaced.
      ModuleNotFoundError: the extra ``port`` is not installed.
    """
    path = Path(os.path.expanduser(path))
    if not network.frozen:
        raise ValueError("the network is latent; freeze it before exporting (bnnjax.freeze)")
    if path.suffix != ".tflite":
        raise ValueError(f"{path}: a TFLite file needs a name that ends in .tflite")
    sides = _sides(network, size)
    import_tflite()
    kind = "a network exported to TFLite"
    atomic.check_target(path, overwrite=overwrite, kind=kind, is_ours=_is_export)
    draft = lower(network, sides)
    fuse(draft)
    description = f"{_MARK}{network.entry.name}; {input_of(network)}"
    atomic.write(path, write_graph(draft.graph(), description=description))
    return path


def _sides(network: Network, size: int | tuple[int, int] | None) -> tuple[int, int]:
    sizes = network.entry.sizes
    if size is None:
        usual = sizes.free and sizes.fit(USUAL, USUAL)
        return (USUAL, USUAL) if usual else sizes.smallest
    height, width = (size, size) if isinstance(size, int) else size
    if not sizes.fit(height, width):
        name = network.entry.name
        raise ValueError(f"size is {height}×{width} px, which {name} does not take; {sizes}")
    return height, width


def input_of(network: Network) -> str:
    """What the file's input is, in terms of sRGB in [0, 1], in one line."""
    colors = jnp.concatenate([jnp.zeros((1, 3)), jnp.eye(3)])[:, None, None]
    low, *ends = np.asarray(network.entry.normalize(colors)).reshape(4, 3)
    slopes = np.asarray(ends) - low  # [color, channel of the input]
    order = "".join("RGB"[color] for color in np.argmax(np.abs(slopes), axis=0))
    factors = ", ".join(f"{value:.6g}" for value in np.abs(slopes).max(0))
    shifts = ", ".join(f"{value:.6g}" for value in low)
    return f"input: {order} in [0, 1] * [{factors}] + [{shifts}]"


def _is_export(path: Path) -> bool:
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        return False
    description = import_tflite().Model.GetRootAsModel(data, 0).Description()
    return bool(description and description.decode().startswith(_MARK))
