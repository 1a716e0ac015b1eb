"""What tests of several rooms share: where real data lies, and networks that need none of it."""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network
from bnnjax.port import checkpoint, load

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real pictures and weights: ``$BNNJAX_DATA``, by default ``../shared``."""
    path = Path(os.environ.get("BNNJAX_DATA", ROOT / "../shared")).resolve()
    if not path.is_dir():
        pytest.skip(f"no real data in {path}; set BNNJAX_DATA")
    return path


@pytest.fixture(scope="session")
def real_tflite(data_dir):
    """The published QuickNet v0.2 as Larq Compute Engine's file."""
    path = data_dir / "weights" / "quicknet_v0.2_lce.tflite"
    if not path.is_file():
        pytest.skip(f"no {path}; set BNNJAX_DATA")
    return path


@pytest.fixture(scope="session")
def real_quicknet(real_tflite):
    """The published QuickNet v0.2, ported."""
    return load.port_file(real_tflite, model="quicknet_v0")


@pytest.fixture(scope="session")
def with_random_weights():
    """A function registry entry → frozen `Network` of random weights of a sensible size."""

    def make(entry, *, seed=0):
        architecture = Architecture(entry, True, entry.options)
        shapes = flatten_dict(architecture.variable_shapes()["params"])
        rng = np.random.default_rng(seed)
        # A sum of C ±1 products has a deviation of √C; what it feeds stays near 1 with 1/√C.
        fan_in = {
            path[0].removesuffix("_conv"): np.prod(shape.shape[:3]) * 32
            for path, shape in shapes.items()
            if path[-1] == "words"
        }
        params = {}
        for path, shape in shapes.items():
            if path[-1] == "words":
                value = rng.integers(0, 2**32, shape.shape, dtype=np.uint32)
            elif path[-1] == "multiplier":
                scale = fan_in.get(path[0].removesuffix("_norm"), 1) ** -0.5
                value = scale * rng.uniform(0.5, 1.5, shape.shape)
            elif path[-1] == "bias":
                value = rng.normal(0, 0.2, shape.shape)
            else:
                value = rng.normal(0, np.prod(shape.shape[:-1]) ** -0.5, shape.shape)
            params[path] = jnp.asarray(value, shape.dtype)
        return Network(architecture, {"params": unflatten_dict(params)}, {"source": "random"})

    return make


@pytest.fixture(scope="session")
def quicknet(with_random_weights):
    """``quicknet_v0`` with random weights."""
    return with_random_weights(registry.find("quicknet_v0"))


@pytest.fixture(scope="session")
def quicknet_directory(quicknet, tmp_path_factory):
    """Its checkpoint, which tests must not change."""
    return checkpoint.save(quicknet, tmp_path_factory.mktemp("networks") / "quicknet")


@pytest.fixture(scope="session")
def make_picture():
    """A function (seed, height, width) → smooth picture with some grain, float32 in [0, 1]."""

    def make(seed, height=64, width=64):
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width][..., None] / 32
        angle, phase = rng.uniform(0, 2 * np.pi, (2, 3))
        waves = np.sin(np.cos(angle) * x * 2 + np.sin(angle) * y * 3 + phase)
        grain = rng.normal(0, 0.05, (height, width, 3))
        return np.clip(0.5 + 0.35 * waves + grain, 0, 1).astype(np.float32)

    return make
