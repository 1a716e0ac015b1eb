"""How far our networks are from Larq's: layer by layer, logits, gradients, counts.

    python benchmarks/larq_agreement.py [--networks=quicknet,quicknet_v0] [--side=64]

Makes an environment of Larq on TensorFlow 2.15 (tests/reference/make_environment.sh), lets it build
each network with weights from a seed, save it as .h5 and compute; then reads that file and computes
the same. Columns:

    layers      largest difference of a layer's output given Larq's own input of that layer,
                relative to its largest output
    whole       results of binary convolutions, less their scales, that are not the same whole
                numbers, of how many, same inputs
    flips       values before binary convolutions that are quantized otherwise when each side runs
                on its own
    edges       of these, values where one side's pseudo-gradient is 0 and the other's is not
    logits      largest difference of the logits, relative to the largest
    gradient    the same of the gradient of the picture (float32 products; see networks.py on TIES)
    counts      whether parameters, bytes and multiply-accumulates are those of lq.models.summary

Gradients agree where there are neither flips nor edges. With --folder, what Larq computed is kept
there and used again. AlexNet's kin are asked about pictures of 224 px, whatever --side.
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
from bnnjax.port import from_keras, load
from bnnjax.port.keras_h5 import opened

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", None, "names; by default all that the reference script knows")
flags.DEFINE_integer("side", 64, "of the picture, px")
flags.DEFINE_string("folder", None, "keep the reference's files here, and use those that are there")

TIES = ("xnornet", "dorefanet")  # whose gradients are those of mean-pools, see networks.py
REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
ACTIVATIONS: dict[str, Callable] = {"relu": nn.relu, "sigmoid": nn.sigmoid, "linear": lambda x: x}


class Agreement(NamedTuple):
    """A row of the table."""

    layers: float
    different: int
    whole: int
    flips: int
    edges: int
    logits: float
    gradient: float
    counts: bool


def ask_larq(names: list[str], folder: Path) -> None:
    """Lets Larq compute what is not in the folder yet."""
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
    """Our layers' paths and the reference's names of them, PREFIX:PLACE."""
    with opened(path) as sources:
        prefixes = dict.fromkeys(source.prefix for source in sources)
        keys = {
            source.name: f"{prefix}:{place}"
            for prefix in prefixes
            for place, source in enumerate(s for s in sources if s.prefix == prefix)
        }
        return {target.path: keys[s.name] for target, s in from_keras.fit(sources, entry)[1]}


def agreement(name: str, folder: Path) -> Agreement:
    """Compares one network, frozen, with what Larq computed."""
    path = folder / f"{name}.h5"
    network = load.port_file(path, model=name).with_options(gradient_dtype="float32")
    larq = dict(np.load(folder / f"{name}.npz"))
    keys = keys_by_path(path, network.entry)
    picture = draws().picture(name, side_of(network.entry))
    ours = calls(network, picture, {path: larq[f"{key}/input"] for path, key in keys.items()})
    worst, different, whole = 0.0, 0, 0
    for layer_path, key in keys.items():
        layer, _, output = ours[layer_path]
        expected = larq[f"{key}/output"]
        found = ACTIVATIONS[str(larq[f"{key}/activation"])](output)
        worst = max(worst, relative(found, expected))
        if is_binary(layer):
            unit = unit_of(layer, network.variables["params"][layer_path[-1]])
            different += int((np.round(found / unit) != np.round(expected / unit)).sum())
            whole += output.size
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
        whole,
        flips,
        edges,
        relative(logits, larq["logits"]),
        relative(gradient, larq["gradient"]),
        counts(network) == larq["counts"].tolist(),
    )


def is_binary(layer: nn.Module) -> bool:
    return isinstance(layer, QuantConv) and layer.input_quantizer is not None


def unit_of(layer: QuantConv, params: Mapping[str, jax.Array]) -> np.ndarray:
    """What the results are multiples of: the kernel's scale, of two-bit activations a third."""
    return np.asarray(params.get("scale", 1.0)) / (2 ** quant.precision(layer.input_quantizer) - 1)


def differing(function: Callable, ours: np.ndarray, theirs: np.ndarray) -> int:
    return int((np.asarray(function(ours)) != np.asarray(function(theirs))).sum())


def slope(quantizer: quant.Quantizer, x: np.ndarray) -> jax.Array:
    """Where its pseudo-gradient is not 0."""
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
    """(layer, input, output) of each layer; a layer in ``inputs`` gets that input."""
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
        rows = [("network", "layers", "whole", "flips", "edges", "logits", "gradient", "counts")]
        for name in names:
            row = agreement(name, folder)
            rows.append(
                (
                    name,
                    f"{row.layers:.1e}",
                    f"{row.different} of {row.whole}",
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
