"""A narrow InkNet and made-up photographs, which train in seconds."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from bnnjax.models import inknet, registry
from bnnjax.models.entry import Card
from bnnjax.train.dataset import Dataset
from tests.port.keras.conftest import own_model  # noqa: F401, a fixture: models of Larq in files

NUM_CLASSES = 5


@pytest.fixture(scope="session")
def narrow():
    """A registry entry: InkNet with one section of one block and 32 channels, for five classes."""
    return dataclasses.replace(
        registry.find("inknet"),
        name="narrow",
        build=partial(inknet.InkNet, (32,), (1,)),
        card=Card(num_classes=NUM_CLASSES),
    )


@pytest.fixture(scope="session")
def narrow_teacher(with_random_weights, narrow):
    """A frozen network like it with random weights, but for seven classes."""
    return with_random_weights(
        dataclasses.replace(narrow, name="narrow_teacher", card=Card(num_classes=7))
    )


@pytest.fixture(scope="session")
def photographs():
    """40 grainy pictures of 48 px, whose class is their colour."""
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % NUM_CLASSES
    colors = rng.integers(40, 215, (NUM_CLASSES, 3))
    grain = rng.integers(-30, 30, (40, 48, 48, 3))
    images = np.clip(colors[labels][:, None, None] + grain, 0, 255).astype(np.uint8)
    return Dataset(images, labels)
