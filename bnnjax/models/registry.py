"""One table of everything known about each network; adding a network is one row here."""

import dataclasses
import difflib
from collections.abc import Callable

from flax import linen as nn
from jax import Array

from bnnjax.layers import Options
from bnnjax.models import quicknet_v0, vgg


@dataclasses.dataclass(frozen=True)
class Entry:
    """What is known of a network.

    Attributes:
      name: under which `load_model` finds it.
      build: makes the linen module from ``frozen`` and ``options``.
      normalize: sRGB pictures in [0, 1] → what the network was trained on.
      options: the choices it was trained with.
      taps: names of all taps, from the picture to the logits.
      style_taps: where style is measured by default.
      content_taps: where content is measured by default.
      takes: whether pictures may have a side of so many pixels.
      stride: multiples of it always may.
      classes: how many classes the logits tell apart; None without logits.
      top1: published ImageNet validation accuracy of the whole network, per cent.
      top5: the same for five guesses.
      paper: where it was published.
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
    top1: float
    top5: float
    paper: str


REGISTRY = {
    entry.name: entry
    for entry in (
        Entry(
            name="quicknet_v0",
            build=quicknet_v0.QuickNetV0,
            normalize=quicknet_v0.normalize,
            options=Options(clip=1.25),
            taps=quicknet_v0.tap_names(),
            style_taps=("stem_conv", "stem_depthwise", "stem", "section1", "section2", "section3"),
            content_taps=("section3",),
            takes=quicknet_v0.takes,
            stride=32,
            classes=1000,
            top1=58.6,
            top5=81.0,
            paper="Bannink et al., Larq Compute Engine, arXiv 2011.09398",
        ),
        Entry(
            name="vgg19",
            build=vgg.build,
            normalize=vgg.normalize,
            options=Options(),
            taps=vgg.tap_names(),
            style_taps=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
            content_taps=("relu4_2",),
            takes=vgg.takes,
            stride=16,
            classes=None,
            top1=71.3,
            top5=90.0,
            paper="Simonyan & Zisserman, arXiv 1409.1556",
        ),
    )
}


def find(name: str) -> Entry:
    """The row of a network.

    Raises:
      ValueError: no network of this name (the nearest is suggested).
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"no network {name!r}{hint} There are: {', '.join(REGISTRY)}")
    return REGISTRY[name]
