"""A network that is ready to use: its row in the registry, its variables and its options."""

import dataclasses
import difflib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict
from jax import Array

from bnnjax.binary.backend import using
from bnnjax.layers import Options
from bnnjax.models import trace
from bnnjax.models.entry import Entry, Style
from bnnjax.models.reach import reach
from bnnjax.models.tapped import TAPS

Variables = Mapping[str, Any]
FROZEN_ARRAYS = {"words", "levels", "multiplier"}  # names that only frozen layers have


@dataclasses.dataclass(frozen=True)
class Architecture:
    """The static half of a network; hashable, so it can be a static argument of `jax.jit`.

    Attributes:
      entry: its row in the registry.
      options: the options of the computation.
      num_classes: the number of logits; None for a network without its classifier.
    """

    entry: Entry
    options: Options
    num_classes: int | None

    @classmethod
    def published(cls, entry: Entry, **changes: Any) -> "Architecture":
        """The architecture of the published network, with some attributes changed."""
        published = {"options": entry.options, "num_classes": entry.card.num_classes}
        return cls(entry, **{**published, **changes})

    @property
    def module(self) -> nn.Module:
        """The linen module."""
        return self.entry.build(options=self.options, num_classes=self.num_classes)

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all taps, from the picture to the logits."""
        return _tap_names(dataclasses.replace(self, options=Options(backend="dense")))

    def init(self, key: Array) -> dict[str, Any]:
        """Random latent variables: the collections "params", "batch_stats" and "weight_clip"."""
        picture = jnp.zeros((1, *self.entry.sizes.smallest, 3))
        collections = ["params", "batch_stats", "weight_clip"]
        return dict(self.module.init(key, picture, mutable=collections))

    def apply(self, variables: Variables, images: Array) -> tuple[Array, dict[str, Array]]:
        """Logits and taps of pictures; `jax.jit` removes whatever the caller does not use.

        Args:
          variables: this network's variables in either form; a pytree.
          images: float [N, H, W, 3], sRGB in [0, 1]; converted to float32.

        Returns:
          Logits float32 [N, num_classes], and a dict of tap name → float32 [N, h, w, C]. The logits
          are None without a classifier, and at sizes that have features but no logits.

        Raises:
          ValueError: the images have the wrong rank, dtype or number of channels, or a size that
            the network does not accept.
        """
        logits, state = self._apply(variables, images, mutable=[TAPS])
        return logits, state.get(TAPS, {})

    def train(
        self, variables: Variables, images: Array, *, key: Array | None = None
    ) -> tuple[Array, dict[str, Array], dict[str, Any]]:
        """Like `apply`, for training latent variables: batch norms use the batch's statistics.

        Args:
          variables, images: see `apply`.
          key: for dropout; networks without it need none.

        Returns:
          Logits, taps, and the updated collection "batch_stats".
        """
        keywords: dict[str, Any] = {"train": True, "mutable": [TAPS, "batch_stats"]}
        keywords["rngs"] = None if key is None else {"dropout": key}
        logits, state = self._apply(variables, images, **keywords)
        return logits, state.get(TAPS, {}), state.get("batch_stats", {})

    @property
    def stride(self) -> int:
        """Pictures whose sides are multiples of it suit the network best."""
        return self.entry.sizes.stride

    def reach(self, taps: tuple[str, ...]) -> int | None:
        """How far a pixel influences these taps, in pixels, or None; see `reach.reach`."""
        return _reach(self, taps)

    def has_logits(self, side: int) -> bool:
        """Whether pictures of ``side`` × ``side`` px have logits."""
        picture = trace.picture(side)
        return trace.shapes_of(self.module.apply, self.latent_shapes(), picture) is not None

    def layers(self) -> dict[trace.Path, nn.Module]:
        """All innermost layers by their paths in the variables, in the order of their calls."""
        return trace.layers(self.module, side=self.entry.sizes.smallest)

    def latent_shapes(self) -> dict[str, Any]:
        """The tree of `jax.ShapeDtypeStruct` that latent variables must match."""
        return trace.latent_shapes(self.module, side=self.entry.sizes.smallest)

    def frozen_shapes(self) -> dict[str, Any]:
        """The tree of `jax.ShapeDtypeStruct` that frozen variables must match."""
        return trace.frozen_shapes(self.module, side=self.entry.sizes.smallest)

    def lay_out(self, variables: Variables) -> Variables:
        """The variables together with packed kernels laid out for gradients.

        To make the steps of an optimisation cheaper, call this under `jax.jit`, outside the loop.
        """
        nothing = jnp.zeros((1, *self.entry.sizes.smallest, 3), jnp.float32)
        _, extra = self._apply(variables, nothing, mutable=["backward"])
        return {**variables, **extra}

    def _apply(self, variables: Variables, images: Array, **keywords: Any) -> Any:
        self._check(images)
        with using(self.options.arithmetic):
            pictures = self.entry.normalize(jnp.asarray(images, jnp.float32))
            return self.module.apply(variables, pictures, **keywords)

    def _check(self, images: Array) -> None:
        if images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"images have shape {images.shape}, need [N, height, width, 3]")
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise ValueError(
                f"images are {images.dtype}, need floats, sRGB in [0, 1]; divide bytes by 255"
            )
        height, width = images.shape[1:3]
        if not self.entry.sizes.fit(height, width):
            raise ValueError(
                f"images are {height}×{width} px, which {self.entry.name} does not take; "
                f"{self.entry.sizes}"
            )


@functools.lru_cache
def _tap_names(architecture: Architecture) -> tuple[str, ...]:
    names: list[str] = []

    def record(variables: Variables, images: Array) -> None:
        names.extend(architecture.apply(variables, images)[1])  # a pytree would sort them

    picture = trace.picture(architecture.entry.sizes.smallest)
    jax.eval_shape(record, architecture.latent_shapes(), picture)
    return tuple(names)


@functools.lru_cache
def _reach(architecture: Architecture, taps: tuple[str, ...]) -> int | None:
    sizes = architecture.entry.sizes
    if not sizes.free:
        return None
    return reach(architecture.module, taps, smallest=sizes.smallest, stride=sizes.stride)


@functools.lru_cache
def _has_two_forms(architecture: Architecture) -> bool:
    return architecture.latent_shapes() != architecture.frozen_shapes()


@functools.partial(jax.jit, static_argnums=0)
def _compiled(architecture: Architecture, variables: Variables, images: Array) -> Any:
    return architecture.apply(variables, images)


@functools.partial(jax.jit, static_argnums=0)
def _laid_out(architecture: Architecture, variables: Variables) -> Variables:
    return architecture.lay_out(variables)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Network:
    """What `load_model` returns: an architecture with variables.

    Attributes:
      architecture: the static half.
      variables: the pytree of weights, latent or frozen (see `bnnjax.models.forms`).
      provenance: where the weights come from: source, sha256, paper.
      path: the file that it was loaded from, or None.
      class_names: the names in the order of the logits, or None if unknown.
    """

    architecture: Architecture
    variables: Variables
    provenance: Mapping[str, Any]
    path: str | None = None
    class_names: tuple[str, ...] | None = None

    def apply(self, variables: Variables, images: Array) -> tuple[Array, dict[str, Array]]:
        """(logits, taps) of float pictures [N, H, W, 3], sRGB in [0, 1]; `Architecture.apply`."""
        return self.architecture.apply(variables, images)

    def __call__(self, images: Array) -> tuple[Array, dict[str, Array]]:
        """The same with the network's own variables, compiled."""
        logits, taps = _compiled(self.architecture, self.variables, images)
        return logits, {name: taps[name] for name in self.taps if name in taps}

    @property
    def entry(self) -> Entry:
        """Its row in the registry."""
        return self.architecture.entry

    @property
    def name(self) -> str:
        """Its name in the registry."""
        return self.entry.name

    @property
    def taps(self) -> tuple[str, ...]:
        """The names of all taps, from the picture to the logits."""
        return self.architecture.taps

    @property
    def style(self) -> Style:
        """Its defaults for style transfer."""
        return self.entry.style

    @property
    def stride(self) -> int:
        """Pictures whose sides are multiples of it suit the network best."""
        return self.architecture.stride

    @property
    def source(self) -> str:
        """The name of the file that it was loaded from, or else its own."""
        return Path(self.path).name if self.path else self.name

    @property
    def form(self) -> str:
        """ "packed" or "latent", or "float" for a network with nothing to pack."""
        arrays = {path[-1] for path in flatten_dict(self.variables.get("params", {}))}
        if arrays & FROZEN_ARRAYS:
            return "packed"
        return "latent" if _has_two_forms(self.architecture) else "float"

    @property
    def frozen(self) -> bool:
        """Whether the network is packed or has nothing to pack."""
        return self.form != "latent"

    def laid_out(self) -> Variables:
        """The variables together with packed kernels laid out for gradients.

        Passing these to `apply` in an optimisation saves laying the kernels out in every step.
        """
        return _laid_out(self.architecture, self.variables)

    def with_options(self, **changes: Any) -> "Network":
        """The same network with some options changed: ``pseudo_gradient``, ``clip``, ``pooling``,
        ``residual_scale``, ``backend`` or ``gradient_dtype`` (see `bnnjax.layers.Options`).

        Raises:
          ValueError: an unknown option (the nearest is suggested) or an invalid value.
        """
        options = [field.name for field in dataclasses.fields(Options)]
        for name in changes.keys() - set(options):
            near = difflib.get_close_matches(name, options, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise ValueError(f"no option {name!r}{hint} There are: {', '.join(options)}")
        changed = dataclasses.replace(self.architecture.options, **changes)
        architecture = dataclasses.replace(self.architecture, options=changed)
        return dataclasses.replace(self, architecture=architecture)

    def __repr__(self) -> str:
        leaves = jax.tree.leaves(self.architecture.latent_shapes()["params"])
        millions = sum(leaf.size for leaf in leaves) / 1e6
        classes = self.architecture.num_classes
        logits = "no classifier" if classes is None else f"{classes} classes"
        return f"<Network {self.name}: {millions:.1f} M parameters, {self.form}, {logits}>"
