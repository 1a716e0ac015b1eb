"""How closely networks from whole Keras models agree with Larq itself.

    python benchmarks/larq_own_models.py [--models=face,nested] [--folder=FOLDER]

This creates an environment with Larq on TensorFlow 2.15 (tests/reference/make_environment.sh), in
which Larq builds ten models of all its layers and quantizers, trains them for a few steps, saves
them and computes their results (tests/reference/own_models.py). Then we read the files and compute
the same, with packed and with latent kernels. Columns:

    file        how Keras saved the model: a whole .h5 file, a .keras archive, or weights and JSON
    classes     how many classes of layers it has
    integers    how many results of binary layers, without bias, are different integers when each
                side runs independently, and of how many
    logits      largest difference of the logits, relative to the largest
    gradient    the same for the gradient of the picture (float32 products)
    latent      the larger of both for latent kernels
    arrays      whether --verify of launch/port_larq.py finds every array of the file

With --folder, Larq's files are kept there and reused.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import flags
from flax import linen as nn

from bnnjax import cli
from bnnjax.binary.backend import using
from bnnjax.models.network import Network
from bnnjax.port import load, verify

FLAGS = flags.FLAGS
flags.DEFINE_list("models", None, "names; default: all in the reference script")
flags.DEFINE_string("folder", None, "folder in which the reference's files are kept and reused")

REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
MODELS = ("face", "sequential", "branches", "quantizers", "nested", "axes", "decoder")
MODELS += ("activations", "windows", "operations")


class Results(NamedTuple):
    """Logits, the gradient of the picture, and sums of binary layers by their names in Larq."""

    logits: np.ndarray
    gradient: np.ndarray
    sums: dict[str, np.ndarray]


def ask_larq(names: list[str], folder: Path) -> None:
    """Makes Larq compute the results that are missing in the folder."""
    if not (missing := [name for name in names if not (folder / f"{name}.npz").exists()]):
        return
    made = subprocess.run([REFERENCE / "make_environment.sh"], check=True, stdout=subprocess.PIPE)
    script = [made.stdout.decode().split()[-1], REFERENCE / "own_models.py", f"--output={folder}"]
    subprocess.run([*script, *missing], check=True, stdout=subprocess.DEVNULL)


def agreement(name: str, folder: Path) -> tuple[str, ...]:
    """A row of the table."""
    larq = dict(np.load(folder / f"{name}.npz"))
    suffixes = [key.removeprefix("file ") for key in larq if key.startswith("file ")]
    path = folder / f"{name}{min(suffixes)}"
    packed, latent = (
        load.port_file(path, frozen=frozen, preprocessing="unit") for frozen in (True, False)
    )
    found = results(name, packed, larq["gradient"].shape[1])
    others = results(name, latent, larq["gradient"].shape[1])
    keys = [key for key in larq if key.startswith("sums/")]
    different = sum(differing(found.sums[key], larq[key]) for key in keys)
    compared = verify.verify_h5(packed, path)
    of_latent = [relative(getattr(others, what), larq[what]) for what in ("logits", "gradient")]
    return (
        name,
        " and ".join(sorted(suffixes)),
        str(len(classes(packed))),
        f"{different} of {sum(larq[key].size for key in keys)}",
        f"{relative(found.logits, larq['logits']):.1e}",
        f"{relative(found.gradient, larq['gradient']):.1e}",
        f"{max(of_latent):.1e}",
        "equal" if compared.agrees else "differ",
    )


def classes(network: Network) -> set[str]:
    """The classes of layers in the file, without those of inputs."""
    text = network.entry.build.description
    found: set[str] = set()

    def collect(model: Any) -> None:
        for layer in model["config"]["layers"]:
            found.add(layer["class_name"])
            if "layers" in layer["config"]:
                collect(layer)

    collect(json.loads(text)["model"])
    return found - {"InputLayer"}


def results(name: str, network: Network, side: int) -> Results:
    """What we compute for Larq's picture, which needs no preprocessing."""
    network = network.with_options(gradient_dtype="float32", backend="packed")
    module, recorded = network.architecture.module, Recorder()

    @jax.jit
    def compute(variables: Any, x: jax.Array, cotangent: jax.Array) -> Any:
        def logits_and_sums(x: jax.Array) -> Any:
            with nn.intercept_methods(recorded):
                return module.apply(variables, x), recorded.sums

        with using(network.architecture.options.arithmetic):
            logits, pull_back, sums = jax.vjp(logits_and_sums, x, has_aux=True)
        return Results(logits, pull_back(cotangent)[0], sums)

    picture = draws().picture(name, side)
    cotangent = draws().cotangent(name, network.architecture.num_classes)
    return jax.tree.map(np.asarray, compute(network.variables, picture, cotangent))


class Recorder:
    """Records the results of quantized layers without bias, by Larq's names and calls."""

    def __init__(self) -> None:
        self.sums: dict[str, jax.Array] = {}
        self.calls: Counter[str] = Counter()

    def __call__(self, call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        layer, result = context.module, call(*args, **kwargs)
        counted = context.method_name == "__call__" and hasattr(layer, "kernel_quantizer")
        if counted and layer.path[-1] != "depthwise":  # which the pointwise half follows
            bias = layer.get_variable("params", "bias") if layer.use_bias else 0
            name = layer.path[0].split(".")[-1]
            self.sums[f"sums/{name}/{self.calls[name]}"] = result - bias
            self.calls[name] += 1
        return result


def differing(ours: np.ndarray, theirs: np.ndarray) -> int:
    # Layers along one axis are computed as maps of one row.
    return int((np.round(ours).reshape(theirs.shape) != theirs).sum())


def draws() -> Any:
    spec = importlib.util.spec_from_file_location("draws", REFERENCE / "draws.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def main() -> int:
    names = FLAGS.models or list(MODELS)
    if unknown := set(names) - set(MODELS):
        raise ValueError(f"no models {sorted(unknown)}; there are {', '.join(MODELS)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(FLAGS.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ask_larq(names, folder)
        heading = ("model", "file", "classes", "integers", "logits", "gradient", "latent", "arrays")
        rows = [heading]
        for name in names:
            print(name, file=sys.stderr)
            rows.append(agreement(name, folder))
    cli.print_table(rows)
    return 0


if __name__ == "__main__":
    cli.run(main)
