"""How closely our networks agree with Larq's in layers, logits, gradients and counts.

    python benchmarks/larq_agreement.py [--networks=quicknet,quicknet_v0] [--side=64]

This creates an environment with Larq on TensorFlow 2.15 (tests/reference/make_environment.sh), in
which Larq builds each network with weights from a seed, saves it as .h5 and computes its results.
Then we read that file and compute the same. Columns:

    layers      largest difference of a layer's output, given the layer's input from Larq, relative
                to its largest output
    integers    how many results of binary convolutions, divided by their scales, are different
                integers for the same inputs, and of how many
    flips       inputs of binary convolutions that are quantized differently when each side runs
                independently
    edges       inputs where the pseudo-gradient of one side is 0 and that of the other is not
    logits      largest difference of the logits, relative to the largest
    gradient    the same for the gradient of the picture (float32 products; TIES: see networks.py)
    counts      whether parameters, bytes and multiply-accumulates are those of lq.models.summary

Gradients agree where there are neither flips nor edges. With --folder, Larq's results are kept
there and reused. AlexNet and its relatives always get pictures of 224 px.
"""

import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax import linen as nn

from bnnjax import cli, quant
from bnnjax.binary.backend import using
from bnnjax.layers import QuantConv
from bnnjax.models import registry, summary
from bnnjax.models.network import Network
from bnnjax.port import load
from bnnjax.port.keras import importer
from bnnjax.port.keras.h5 import opened

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", None, "names; default: all in the reference script")
flags.DEFINE_integer("side", 64, "side of the picture, px")
flags.DEFINE_string("folder", None, "folder in which the reference's files are kept and reused")

TIES = ("xnornet", "dorefanet")  # compared through mean-pools, see networks.py
REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
ACTIVATIONS: dict[str, Callable] = {"relu": nn.relu, "sigmoid": nn.sigmoid, "linear": lambda x: x}


class Agreement(NamedTuple):
    """A row of the table."""

    layers: float
    different: int
    integers: int
    flips: int
    edges: int
    logits: float
    gradient: float
    counts: bool


def ask_larq(names: list[str], folder: Path) -> None:
    """Makes Larq compute the results that are missing in the folder."""
    if not (missing := [name for name in names if not (folder / f"{name}.npz").exists()]):
        return
    made = subprocess.run([REFERENCE / "make_environment.sh"], check=True, stdout=subprocess.PIPE)
    python = made.stdout.decode().split()[-1]
    for name in missing:
        script = [python, REFERENCE / "networks.py", f"--output={folder}"]
        script.append(f"--side={side_of(registry.find(name))}")
        subprocess.run([*script, name], check=True, stdout=subprocess.DEVNULL)


def side_of(entry: registry.Entry) -> int:
    return max(FLAGS.side, entry.sizes.smallest[0])


def keys_by_path(path: Path, entry: registry.Entry) -> dict[tuple[str, ...], str]:
    """The paths of our layers and their names in the reference, PREFIX:PLACE."""
    with opened(path) as sources:
        prefixes = dict.fromkeys(source.prefix for source in sources)
        keys = {
            source.name: f"{prefix}:{place}"
            for prefix in prefixes
            for place, source in enumerate(s for s in sources if s.prefix == prefix)
        }
        return {target.path: keys[s.name] for target, s in importer.fit(sources, entry)[1]}


def agreement(name: str, folder: Path) -> Agreement:
    """Compares one packed network with Larq's results."""
    path = folder / f"{name}.h5"
    network = load.port_file(path, model=name).with_options(gradient_dtype="float32")
    larq = dict(np.load(folder / f"{name}.npz"))
    keys = keys_by_path(path, network.entry)
    picture = draws().picture(name, side_of(network.entry))
    ours = calls(network, picture, {path: larq[f"{key}/input"] for path, key in keys.items()})
    worst, different, integers = 0.0, 0, 0
    for layer_path, key in keys.items():
        layer, _, output = ours[layer_path]
        expected = larq[f"{key}/output"]
        found = ACTIVATIONS[str(larq[f"{key}/activation"])](output)
        worst = max(worst, relative(found, expected))
        if is_binary(layer):
            unit = unit_of(layer, network.variables["params"][layer_path[-1]])
            different += int((np.round(found / unit) != np.round(expected / unit)).sum())
            integers += output.size
    flips, edges = 0, 0
    for path, (layer, x, _) in calls(network, picture, {}).items():
        if is_binary(layer):
            theirs = larq[f"{keys[path]}/input"]
            flips += differing(layer.input_quantizer, x, theirs)
            edges += differing(partial(slope, layer.input_quantizer), x, theirs)
    classes = network.architecture.num_classes
    logits, gradient = with_gradient(network, picture, draws().cotangent(name, classes))
    if name in TIES:
        pooled = network.with_options(pooling="avg")
        _, gradient = with_gradient(pooled, picture, draws().cotangent(name, classes))
    return Agreement(
        worst,
        different,
        integers,
        flips,
        edges,
        relative(logits, larq["logits"]),
        relative(gradient, larq["gradient"]),
        counts(network) == larq["counts"].tolist(),
    )


def is_binary(layer: nn.Module) -> bool:
    return isinstance(layer, QuantConv) and layer.input_quantizer is not None


def unit_of(layer: QuantConv, params: Mapping[str, jax.Array]) -> np.ndarray:
    """The unit of the results: the kernel's scale, or a third of it for 2-bit activations."""
    return np.asarray(params.get("scale", 1.0)) / (2 ** quant.precision(layer.input_quantizer) - 1)


def differing(function: Callable, ours: np.ndarray, theirs: np.ndarray) -> int:
    return int((np.asarray(function(ours)) != np.asarray(function(theirs))).sum())


def slope(quantizer: quant.Quantizer, x: np.ndarray) -> jax.Array:
    """Whether the pseudo-gradient is not 0."""
    return jax.grad(lambda x: quantizer(x).sum())(jnp.asarray(x)) != 0


def draws():
    import importlib.util

    spec = importlib.util.spec_from_file_location("draws", REFERENCE / "draws.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def calls(
    network: Network, picture: np.ndarray, inputs: Mapping[tuple[str, ...], np.ndarray]
) -> dict[tuple[str, ...], tuple[nn.Module, np.ndarray, np.ndarray]]:
    """(layer, input, output) of every layer. A layer in ``inputs`` gets that input."""
    found = {}

    def record(call, args, kwargs, context):
        path = context.module.path
        if context.method_name != "__call__":
            return call(*args, **kwargs)
        if path in inputs:
            args = (jnp.asarray(inputs[path]), *args[1:])
        output = call(*args, **kwargs)
        if path:
            found[path] = (context.module, np.asarray(args[0]), np.asarray(output))
        return output

    with nn.intercept_methods(record), using(network.architecture.options.arithmetic):
        network.architecture.module.apply(network.variables, jnp.asarray(picture))
    return found


def with_gradient(network: Network, picture: np.ndarray, cotangent: np.ndarray) -> tuple:
    module = network.architecture.module

    @jax.jit
    def both(variables, x):
        with using(network.architecture.options.arithmetic):
            logits, pull_back = jax.vjp(lambda x: module.apply(variables, x), x)
        return logits, pull_back(jnp.asarray(cotangent))[0]

    return both(network.variables, picture)


def counts(network: Network) -> list[int]:
    found = summary.summarize(network.architecture)
    binary = found.macs_of(1)
    return [found.parameters, round(8 * found.bytes), binary, found.macs - binary]


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def main() -> int:
    published = [name for name, entry in registry.REGISTRY.items() if entry.weights.files]
    names = FLAGS.networks or published
    for name in names:
        registry.find(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(FLAGS.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ask_larq(names, folder)
        rows = [("network", "layers", "integers", "flips", "edges", "logits", "gradient", "counts")]
        for name in names:
            row = agreement(name, folder)
            rows.append(
                (
                    name,
                    f"{row.layers:.1e}",
                    f"{row.different} of {row.integers}",
                    str(row.flips),
                    str(row.edges),
                    f"{row.logits:.1e}",
                    f"{row.gradient:.1e}",
                    "equal" if row.counts else "differ",
                )
            )
    cli.print_table(rows)
    return 0


if __name__ == "__main__":
    cli.run(main)
