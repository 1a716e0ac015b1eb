"""Fixtures for tests of several packages: real data, and networks that do not need any."""

import importlib.util
import itertools
import os
import signal
import time
from collections import Counter, defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from hypothesis import settings

from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network
from bnnjax.port import load
from bnnjax.port.keras import importer
from bnnjax.port.storage import network_file

ROOT = Path(__file__).parents[1]

if not hasattr(jax, "enable_x64"):  # its name before JAX 0.8
    from jax.experimental import enable_x64

    jax.enable_x64 = enable_x64

# Compiling takes longest, so programs are shared by the workers and the scripts that tests start.
for option, value in (
    ("jax_compilation_cache_dir", str(ROOT / ".pytest_cache" / "compiled")),
    ("jax_persistent_cache_min_compile_time_secs", 0.2),
):
    os.environ[option.upper()] = str(value)
    jax.config.update(option, value)

# A job in the background of a shell begins with Ctrl-C ignored, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Durations say nothing on a busy machine, or if the first example compiles.
settings.register_profile("without_deadline", deadline=None)
settings.load_profile("without_deadline")


BEGAN = time.monotonic()


def pytest_addoption(parser):
    parser.addoption(
        "--slow_minutes", type=float, help="slow tests begin only within so many minutes"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    limit = item.config.getoption("slow_minutes")
    late = limit is not None and time.monotonic() - BEGAN > 60 * limit
    if late and item.get_closest_marker("slow"):
        pytest.skip(f"slow, and {limit} minutes have passed")


@pytest.fixture
def strict():
    """JAX without implicit promotion of dtypes or ranks, and with 64-bit defaults."""
    with (
        jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise"),
        jax.enable_x64(True),
    ):
        yield


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real pictures and weights: ``$BNNJAX_DATA``, by default ``../shared``."""
    path = Path(os.environ.get("BNNJAX_DATA", ROOT / "../shared")).resolve()
    if not path.is_dir():
        pytest.skip(f"no real data in {path}; set BNNJAX_DATA")
    return path


@pytest.fixture(scope="session")
def real_tflite(data_dir):
    """The published QuickNet v0.2 as a file of Larq Compute Engine."""
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
        architecture = Architecture.published(entry)
        shapes = flatten_dict(architecture.frozen_shapes()["params"])
        rng = np.random.default_rng(seed)
        # A sum of C ±1 products has a deviation of √C; a factor of 1/√C keeps what follows near 1.
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
            elif path[0].endswith("_blur"):
                value = np.broadcast_to(
                    np.outer([1, 2, 1], [1, 2, 1])[..., None, None] / 16, shape.shape
                )
            else:
                inputs = shape.shape[:2] if path[0].endswith("_depthwise") else shape.shape[:-1]
                value = rng.normal(0, np.prod(inputs) ** -0.5, shape.shape)
            params[path] = jnp.asarray(value, shape.dtype)
        return Network(architecture, {"params": unflatten_dict(params)}, {"source": "random"})

    return make


@pytest.fixture(scope="session")
def quicknet(with_random_weights):
    """``quicknet_v0`` with random weights."""
    return with_random_weights(registry.find("quicknet_v0"))


@pytest.fixture(scope="session")
def quicknet_file(quicknet, tmp_path_factory):
    """Its network file, which tests must not change."""
    return network_file.save(quicknet, tmp_path_factory.mktemp("networks") / "quicknet")


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


# --- files of Keras ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def draws():
    """The module ``reference/draws.py``, which draws the weights and pictures of Larq's results."""
    path = ROOT / "tests" / "reference" / "draws.py"
    spec = importlib.util.spec_from_file_location("draws", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def keras_layers(draws):
    """A function (registry entry, changes of its architecture) → its layers as in Keras:
    (prefix of the name, weights by name) in the order of creation, drawn from seeds."""

    def make(entry, **changes):
        architecture = Architecture.published(entry, **changes)
        places, layers = Counter(), []
        for target in importer.targets(architecture):
            key = (target.prefix, places[target.prefix])
            weights = {
                name: draws.draw(entry.name, *key, name, shape)
                for name, (_, _, shape) in target.arrays.items()
            }
            layers.append((target.prefix, weights))
            places[target.prefix] += 1
        return layers

    return make


@pytest.fixture(scope="session")
def write_keras():
    """A function that writes such layers as Keras 2 does.

    ``start`` is the state of the session's counters of names, ``full`` writes a file of ``save``
    instead of ``save_weights``, ``nested`` puts the layers into a model inside the model, and
    ``chunks`` splits the list of names as Keras does with long ones.
    """
    h5py = pytest.importorskip("h5py")

    def write(path, layers, *, start=0, full=False, nested=False, chunks=1):
        counters = defaultdict(lambda: itertools.count(start))
        named = []
        for prefix, weights in layers:
            number = next(counters[prefix])
            named.append((f"{prefix}_{number}" if number else prefix, weights))
        # Keras lists layers as they are connected, not in the order of creation.
        order = np.random.default_rng(0).permutation(len(named))
        listed = [("input_1", {}), *(named[place] for place in order), ("re_lu", {})]
        groups = {"model": listed} if nested else {layer[0]: [layer] for layer in listed}
        with h5py.File(path, "w") as file:
            root = file.create_group("model_weights") if full else file
            if full:
                file.attrs["model_config"] = "{}"
                file["optimizer_weights/Adam/conv2d/kernel/m:0"] = np.zeros((3, 3, 1, 1))
            for part, names in enumerate(np.array_split(list(groups), chunks)):
                attribute = f"layer_names{part}" if chunks > 1 else "layer_names"
                root.attrs[attribute] = np.array([name.encode() for name in names])
            for group_name, members in groups.items():
                group = root.create_group(group_name)
                arrays = {f"{name}/{w}:0": value for name, ws in members for w, value in ws.items()}
                group.attrs["weight_names"] = np.array([name.encode() for name in arrays])
                for name, value in arrays.items():
                    group[name] = value
        return path

    return write
