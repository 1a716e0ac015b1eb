"""The base of all layers with a kernel, float or quantized, and the clipping of kernels."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict
from jax import Array

from bnnjax.layers import arguments


class KernelLayer(nn.Module, kw_only=True):
    """The base of layers with a float32 parameter ``kernel``.

    Attributes:
      weight_clip: `clip_weights` clips the kernel to ± this value during training; None disables
        clipping.
      use_bias: whether a bias is added (Larq's default is True; binary networks have none).
    """

    weight_clip: float | None = None
    use_bias: bool = False

    rank = 2  # spatial axes of the kernel

    def __post_init__(self) -> None:
        arguments.settle(self, self.rank)
        super().__post_init__()

    def _input(self, x: Array) -> Array:
        """The first factor of the product; quantized layers override it."""
        return x

    def _kernel(self, shape: tuple[int, ...]) -> Array:
        """The second factor of the product; quantized layers override it."""
        kernel = self.param("kernel", self._initializer, shape, jnp.float32)
        if self.weight_clip is not None and self.is_mutable_collection("weight_clip"):
            self.put_variable("weight_clip", "kernel", jnp.float32(self.weight_clip))
        return kernel

    @property
    def _initializer(self) -> nn.initializers.Initializer:
        return nn.initializers.glorot_normal()

    def _add_bias(self, y: Array) -> Array:
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros, y.shape[-1:], jnp.float32)
        return y + per_channel(bias, y.ndim)


def per_channel(values: Array, rank: int) -> Array:
    """Values [C] as [1, …, 1, C], to broadcast against an array of ``rank`` axes."""
    return values.reshape((1,) * (rank - 1) + (-1,))


def clip_weights(params: Mapping[str, Any], clips: Mapping[str, Any]) -> dict[str, Any]:
    """Larq's ``WeightClip`` constraint; call it after each training update.

    Args:
      params: the collection ``params`` of a network's variables.
      clips: the collection ``weight_clip`` that ``init`` creates for layers with a ``weight_clip``.

    Returns:
      ``params`` with the kernels of those layers clipped to ± their ``weight_clip``.

    Examples:
      >>> params = {"conv": {"kernel": jnp.array([2.0, -0.5])}, "norm": {"bias": jnp.array([9.0])}}
      >>> clips = {"conv": {"kernel": jnp.array(1.25)}}
      >>> bnnjax.layers.clip_weights(params, clips)["conv"]["kernel"]
      Array([ 1.25, -0.5 ], dtype=float32)
    """
    clipped = flatten_dict(params)
    for path, clip in flatten_dict(clips).items():
        clipped[path] = jnp.clip(clipped[path], -clip, clip)
    return unflatten_dict(clipped)
