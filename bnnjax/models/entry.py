"""What is known of a network: the columns of the registry."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flax import linen as nn
from jax import Array

from bnnjax.layers import Options


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Which pictures a network takes.

    Attributes:
      takes: whether pictures may have a side of so many pixels.
      stride: multiples of it are always taken, from the ``example`` on.
      example: height and width of a small picture that is taken; by default ``stride`` both.
      free: whether other pictures than the ``example`` are taken.
    """

    takes: Callable[[int], bool]
    stride: int
    example: tuple[int, int] | None = None
    free: bool = True

    @property
    def smallest(self) -> tuple[int, int]:
        """Height and width of a small picture that is taken, in pixels."""
        return self.example or (self.stride, self.stride)

    def fit(self, height: int, width: int) -> bool:
        """Whether a picture of this height and width is taken."""
        allowed = self.free or (height, width) == self.smallest
        return allowed and self.takes(height) and self.takes(width)

    def __str__(self) -> str:
        height, width = self.smallest
        if not self.free:
            return f"it takes {height}×{width} px only"
        least = f" from {height} px on" if height > self.stride else ""
        return f"sides that are multiples of {self.stride} px{least} always fit"


@dataclasses.dataclass(frozen=True)
class Card:
    """What was published about a network; None where nothing was.

    Attributes:
      paper: where it was published.
      num_classes: number of classes that the logits tell apart; None without logits.
      top1: ImageNet validation accuracy in per cent.
      top5: the same for five guesses.
      parameters: their number.
      mebibytes: size of the network with 1-bit kernels, MiB.
    """

    paper: str = ""
    num_classes: int | None = None
    top1: float | None = None
    top5: float | None = None
    parameters: int | None = None
    mebibytes: float | None = None


class ReleaseFile(NamedTuple):
    """A file of Larq Zoo's releases: ``release`` is the tag, ``top`` whether it has the classifier.

    ``sha256`` is as ``larq_zoo`` states it.
    """

    release: str
    name: str
    sha256: str
    top: bool


def release_files(
    name: str, sha256: str, sha256_notop: str, *, release: str, release_notop: str = ""
) -> tuple[ReleaseFile, ReleaseFile]:
    """The file with the classifier and the one without, which may be in a release of its own."""
    return (
        ReleaseFile(release, f"{name}_weights.h5", sha256, True),
        ReleaseFile(release_notop or release, f"{name}_weights_notop.h5", sha256_notop, False),
    )


@dataclasses.dataclass(frozen=True)
class Weights:
    """Where a network's weights come from.

    Attributes:
      files: in Larq Zoo's releases.
      keras_name: our name of a layer → its name in Keras' files; None for automatic names.
    """

    files: tuple[ReleaseFile, ...] = ()
    keras_name: Callable[[str], str] | None = None


@dataclasses.dataclass(frozen=True)
class Style:
    """How pictures are stylized through a network by default.

    Attributes:
      style_taps: where style is measured.
      content_taps: where content is measured.
      preset: other options of a stylization, see `bnnjax.nst.config`.
    """

    style_taps: tuple[str, ...] = ()
    content_taps: tuple[str, ...] = ()
    preset: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass(frozen=True, repr=False)
class Entry:
    """What is known of a network.

    Attributes:
      name: under which `load_model` finds it.
      build: makes the linen module, a `Tapped`, from ``options`` and ``num_classes``, both of which
        have defaults: those of the published network. The module's ``__call__`` takes what
        ``normalize`` returns and returns logits [N, num_classes], or None if there are none.
      normalize: float32 sRGB pictures in [0, 1] → what the network was trained on.
      sizes: which pictures it takes.
      card: published figures.
      weights: where its weights come from.
      style: how pictures are stylized through it by default.
    """

    name: str
    build: Callable[..., nn.Module]
    normalize: Callable[[Array], Array]
    sizes: Sizes
    card: Card = Card()
    weights: Weights = Weights()
    style: Style = Style()

    @property
    def options(self) -> Options:
        """How it computes by default; a module without such a field has nothing to choose."""
        return getattr(self.build(), "options", Options())

    def __repr__(self) -> str:
        return f"<Entry {self.name}>"
