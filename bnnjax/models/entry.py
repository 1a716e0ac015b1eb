"""The columns of the registry: everything known about a network."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flax import linen as nn
from jax import Array

from bnnjax.layers import Options


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The picture sizes that a network accepts.

    Attributes:
      takes: whether pictures may have a side of this many pixels.
      stride: multiples of it are always accepted if they are not below the ``example``.
      example: height and width of a small accepted picture; ``stride`` for both by default.
      free: whether sizes other than the ``example`` are accepted.
    """

    takes: Callable[[int], bool]
    stride: int
    example: tuple[int, int] | None = None
    free: bool = True

    @property
    def smallest(self) -> tuple[int, int]:
        """Height and width of a small accepted picture, in pixels."""
        return self.example or (self.stride, self.stride)

    def fit(self, height: int, width: int) -> bool:
        """Whether a picture of this height and width is accepted."""
        allowed = self.free or (height, width) == self.smallest
        return allowed and self.takes(height) and self.takes(width)

    def __str__(self) -> str:
        height, width = self.smallest
        if not self.free:
            return f"it takes {height}×{width} px only"
        least = f" and at least {height} px" if height > self.stride else ""
        return f"sides that are multiples of {self.stride} px{least} always fit"


@dataclasses.dataclass(frozen=True)
class Card:
    """Published facts about a network; None where there are none.

    Attributes:
      paper: the publication.
      num_classes: the number of classes; None without logits.
      top1: ImageNet top-1 validation accuracy in per cent.
      top5: ImageNet top-5 validation accuracy in per cent.
      parameters: the number of parameters.
      mebibytes: the size of the network with 1-bit kernels, in MiB.
    """

    paper: str = ""
    num_classes: int | None = None
    top1: float | None = None
    top5: float | None = None
    parameters: int | None = None
    mebibytes: float | None = None


class ReleaseFile(NamedTuple):
    """A file in Larq Zoo's releases: ``release`` is the tag, ``top`` whether it has the classifier.

    ``sha256`` is the one in ``larq_zoo``.
    """

    release: str
    name: str
    sha256: str
    top: bool

    @property
    def checksum(self) -> tuple[str, str]:
        """The kind of the published hash, and its hexadecimal value."""
        return "sha256", self.sha256


class KerasFile(NamedTuple):
    """A file of ``keras.applications``: its folder and name, and whether it has the classifier.

    ``md5`` is the ``file_hash`` in ``keras/src/applications``; Keras publishes no stronger one.
    """

    folder: str
    name: str
    md5: str
    top: bool

    @property
    def checksum(self) -> tuple[str, str]:
        """The kind of the published hash, and its hexadecimal value."""
        return "md5", self.md5


def release_files(
    name: str, sha256: str, sha256_notop: str, *, release: str, release_notop: str = ""
) -> tuple[ReleaseFile, ReleaseFile]:
    """The file with the classifier and the one without, which may be in another release."""
    return (
        ReleaseFile(release, f"{name}_weights.h5", sha256, True),
        ReleaseFile(release_notop or release, f"{name}_weights_notop.h5", sha256_notop, False),
    )


@dataclasses.dataclass(frozen=True)
class Weights:
    """Where a network's weights come from.

    Attributes:
      files: the files that can be downloaded.
      keras_name: our name of a layer → its name in Keras' files; None for automatic names.
    """

    files: tuple[ReleaseFile | KerasFile, ...] = ()
    keras_name: Callable[[str], str] | None = None


@dataclasses.dataclass(frozen=True)
class Style:
    """A network's defaults for style transfer.

    Attributes:
      style_taps: the taps for style.
      content_taps: the taps for content.
      preset: other options of a stylization, see `bnnjax.nst.config`.
    """

    style_taps: tuple[str, ...] = ()
    content_taps: tuple[str, ...] = ()
    preset: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)


@dataclasses.dataclass(frozen=True, repr=False)
class Entry:
    """Everything known about a network.

    Attributes:
      name: the name that `load_model` takes.
      build: makes the linen module, a `Tapped`, from the keywords ``options`` and ``num_classes``,
        which default to those of the published network. The module's ``__call__`` takes what
        ``normalize`` returns and returns logits [N, num_classes], or None if there are none.
      normalize: float32 sRGB pictures in [0, 1] → the inputs that the network was trained on.
      sizes: the picture sizes that it accepts.
      card: published facts; without its ``num_classes``, the module is built without a classifier.
      weights: where its weights come from.
      style: its defaults for style transfer.
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
        """The default options; `Options` itself for a module without such a field."""
        return getattr(self.build(), "options", Options())

    def __repr__(self) -> str:
        return f"<Entry {self.name}>"
