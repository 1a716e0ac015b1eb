"""A linear network, for which everything has a closed form, and photographs for it."""

import numpy as np
import pytest
from flax import linen as nn
from PIL import Image

from bnnjax.layers import Options
from bnnjax.models.entry import Card, Entry, Sizes, Style
from bnnjax.models.network import Architecture, Network
from bnnjax.models.tapped import Tapped

CHANNELS, CLASSES = 5, 3


class Linear(Tapped):
    """Every pixel times a matrix, which is the tap "map"; logits are linear in its mean."""

    options: Options = Options()
    num_classes: int | None = CLASSES

    @nn.compact
    def __call__(self, x):
        x = self.tap("map", nn.Dense(CHANNELS, use_bias=False, name="colors")(x))
        if self.num_classes is None:
            return None
        return nn.Dense(self.num_classes, use_bias=False, name="dense")(x.mean((1, 2)))


ENTRY = Entry(
    name="linear",
    build=Linear,
    normalize=lambda images: images,
    sizes=Sizes(lambda side: side >= 8, stride=8),
    card=Card(num_classes=CLASSES),
    style=Style(content_taps=("map",)),
)


@pytest.fixture(scope="session")
def linear():
    """The network; ``linear.variables["params"]`` holds the matrices "colors" and "dense"."""
    rng = np.random.default_rng(0)
    shapes = {"colors": (3, CHANNELS), "dense": (CHANNELS, CLASSES)}
    params = {
        name: {"kernel": rng.normal(size=shape).astype(np.float32)}
        for name, shape in shapes.items()
    }
    return Network(Architecture.published(ENTRY), {"params": params}, {})


@pytest.fixture(scope="session")
def photographs(tmp_path_factory, make_picture):
    """A folder of 40 photographs of 48 × 60 px."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(40):
        tint = np.random.default_rng(seed).uniform(0.2, 1, 3)
        picture = np.rint(255 * make_picture(seed, 48, 60) * tint).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"photograph{seed:02}.png")
    return folder
