"""A network ready to use: its row in the registry, its variables, and how it computes."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from bnnjax.layers import Options
from bnnjax.models.entry import Entry

Variables = Mapping[str, Any]
AS_PUBLISHED = -1


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The static half of a network; hashable, so it may be a static argument of `jax.jit`.

    Attributes:
      entry: its row in the registry.
      frozen: whether its weights are packed, see `bnnjax.models.forms`.
      options: how it computes.
      classes: of its logits; None for a network without its classifier.
    """

    entry: Entry
    frozen: bool
    options: Options
    classes: int | None = AS_PUBLISHED

    def __post_init__(self) -> None:
        if self.classes == AS_PUBLISHED:
            object.__setattr__(self, "classes", self.entry.classes)

    @property
    def module(self) -> nn.Module:
        """The linen module."""
        return self.entry.build(frozen=self.frozen, options=self.options, classes=self.classes)

    def apply(self, variables: Variables, images: Array) -> tuple[Array, dict[str, Array]]:
        """Logits and taps of pictures; nothing that the caller leaves unused survives `jax.jit`.

        Args:
          variables: of this network; a pytree.
          images: float [N, H, W, 3], sRGB in [0, 1].

        Returns:
          logits float32 [N, classes], and a dict tap name → float32 [N, h, w, C]. The logits are
          None without classes, and at sizes that only the network's features can be made of.

        Raises:
          ValueError: images of another rank, dtype or number of channels, or of a size that the
            network cannot take.
        """
        self._check(images)
        result: Any = self.module.apply(variables, self.entry.normalize(images))
        return result

    def has_logits(self, side: int) -> bool:
        """Whether there are logits of pictures of ``side`` × ``side`` px."""
        picture = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
        return jax.eval_shape(self.module.apply, self.variable_shapes(), picture)[0] is not None

    def variable_shapes(self) -> Variables:
        """The tree of `jax.ShapeDtypeStruct` that the variables must match."""
        init = partial(self.module.init, mutable=["params", "batch_stats"])
        return jax.eval_shape(init, jax.random.key(0), jnp.zeros((1, *self.entry.smallest, 3)))

    def lay_out(self, variables: Variables) -> Variables:
        """The variables together with the kernels laid out for gradients, which saves doing it
        in every step of an optimisation; worth it under `jax.jit` and outside its loop."""
        nothing = jnp.zeros((1, *self.entry.smallest, 3))
        _, extra = self.module.apply(variables, nothing, mutable=["backward"])
        return {**variables, **extra}

    def _check(self, images: Array) -> None:
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images have shape {images.shape}, need [N, height, width, 3]")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(f"images are {images.dtype}, need float, sRGB in [0, 1]")
        height, width = images.shape[1:3]
        fixed = not self.entry.free and (height, width) != self.entry.smallest
        if fixed or not (self.entry.takes(height) and self.entry.takes(width)):
            raise ValueError(
                f"images are {height}×{width} px, which {self.entry.name} cannot take; "
                f"{self.entry.sizes}"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """What `load_model` returns.

    Attributes:
      architecture: the static half.
      variables: the pytree of weights.
      provenance: where the weights come from: source, sha256, paper.
      path: the file that it was loaded from, or None.
      class_names: in the order of the logits, or None where they are not known.
    """

    architecture: Architecture
    variables: Variables
    provenance: Mapping[str, Any]
    path: str | None = None
    class_names: tuple[str, ...] | None = None

    def apply(self, variables: Variables, images: Array) -> tuple[Array, dict[str, Array]]:
        """(logits, taps) of float pictures [N, H, W, 3], sRGB in [0, 1]; `Architecture.apply`."""
        return self.architecture.apply(variables, images)

    @property
    def entry(self) -> Entry:
        """Its row in the registry."""
        return self.architecture.entry

    def with_options(self, **changes: Any) -> "Network":
        """The same network computing otherwise: ``pseudo_gradient``, ``clip``, ``pooling``,
        ``backend`` or ``gradient_dtype`` (see `bnnjax.layers.Options`)."""
        options = dataclasses.replace(self.architecture.options, **changes)
        architecture = dataclasses.replace(self.architecture, options=options)
        return dataclasses.replace(self, architecture=architecture)
