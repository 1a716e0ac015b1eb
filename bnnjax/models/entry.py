"""What is known of a network: the columns of the registry."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

from flax import linen as nn
from jax import Array

from bnnjax.layers import Options


class ReleaseFile(NamedTuple):
    """A file of Larq Zoo's releases: ``release`` is the tag, ``top`` whether it has the classifier.

    ``sha256`` as ``larq_zoo`` states it.
    """

    release: str
    name: str
    sha256: str
    top: bool


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a network.

    Attributes:
      name: under which `load_model` finds it.
      build: makes the linen module from ``frozen``, ``options`` and ``classes``.
      normalize: sRGB pictures in [0, 1] → what the network was trained on.
      options: the choices it was trained with.
      taps: names of all taps, from the picture to the logits.
      style_taps: where style is measured by default.
      content_taps: where content is measured by default.
      takes: whether pictures may have a side of so many pixels.
      stride: multiples of it may, from ``example`` on.
      classes: how many classes the published logits tell apart; None without logits.
      top1: published ImageNet validation accuracy of the whole network, per cent; None if it tells
        other classes apart.
      top5: the same for five guesses.
      parameters: their published number.
      mebibytes: the published size of the 1-bit network, MiB.
      paper: where it was published.
      files: its weights in Larq Zoo's releases.
      keras_name: a layer's name here → its name in Keras' files, where that is no automatic one.
      example: height and width of a small picture that it takes, px; by default ``stride`` both.
      free: whether it takes other pictures than ``example``; those of multiples of ``stride``
        always, from ``example`` on.
    """

    name: str
    build: Callable[..., nn.Module]
    normalize: Callable[[Array], Array]
    options: Options
    taps: tuple[str, ...]
    style_taps: tuple[str, ...]
    content_taps: tuple[str, ...]
    takes: Callable[[int], bool]
    stride: int
    classes: int | None
    top1: float | None
    top5: float | None
    parameters: int
    mebibytes: float
    paper: str
    files: tuple[ReleaseFile, ...] = ()
    keras_name: Callable[[str], str] | None = None
    example: tuple[int, int] | None = None
    free: bool = True

    @property
    def smallest(self) -> tuple[int, int]:
        """Height and width of a small picture that it takes, px."""
        return self.example or (self.stride, self.stride)

    @property
    def sizes(self) -> str:
        """Which pictures always fit, for messages."""
        height, width = self.smallest
        if not self.free:
            return f"it takes {height}×{width} px only"
        least = f" from {height} px on" if height > self.stride else ""
        return f"sides that are multiples of {self.stride} px{least} always fit"
