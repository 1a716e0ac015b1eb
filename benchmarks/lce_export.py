"""Exports networks to .tflite files and runs these with Larq Compute Engine's own interpreter.

    python benchmarks/lce_export.py [--networks=quicknet,inknet] [--zoo=FOLDER] [--own=FOLDER]

This creates an environment with LCE 0.16 (tests/reference/make_lce_environment.sh), in which
tests/reference/lce_run.py runs the files. Networks are all of the registry with random weights
(InkNet with its own), and those of Larq's released QuickNet v0.2, if its file is there. With --zoo,
also the networks that LCE's converter has written into that folder (tests/reference/lce.py --zoo),
read and exported again. With --own, also models that Keras has saved into that folder
(benchmarks/larq_own_models.py --folder). Columns:

    MiB        size of the file
    logits     largest difference of the interpreter's result from ours, relative to the largest
    optimized  the same with LCE's optimized kernels, which are wrong where a map is smaller than a
               kernel that is padded with zeros (lce.py prints it for the converter's own files)
    channels   how many channels of binary convolutions have other integer sums when we read the
               file again, and of how many; "-" where we cannot read it
    size       size of the file relative to the converter's
    latency    time of a run relative to the converter's file, in alternation

Both sides round float32 differently. In a deep network with random weights, some value may be so
near to 0 that its sign differs, which --seed shows: then all layers after it differ.
"""

import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

import bnnjax
from bnnjax import cli, quant
from bnnjax.binary.backend import Arithmetic, using
from bnnjax.layers import QuantConv, QuantDense
from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network
from bnnjax.port.tflite.export import export

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", None, "names; default: all")
flags.DEFINE_integer("side", 64, "side of the picture, px, where the network accepts it")
flags.DEFINE_integer("seed", 0, "of random weights and the picture")
flags.DEFINE_string("zoo", None, "folder of networks by LCE's converter, NAME.tflite")
flags.DEFINE_string("own", None, "folder of models that Keras saved, NAME.h5 or NAME.keras")
flags.DEFINE_string("folder", None, "folder in which the exported files are kept")

REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
RELEASED = Path(os.environ.get("BNNJAX_DATA", "../shared"), "weights/quicknet_v0.2_lce.tflite")


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(FLAGS.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        ours = {}
        for name, network, converted in networks():
            ours[name] = written(name, network, converted, folder)
        made = subprocess.run(
            [REFERENCE / "make_lce_environment.sh"], check=True, stdout=subprocess.PIPE
        )
        python = made.stdout.decode().split()[-1]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run(
            [python, REFERENCE / "lce_run.py", folder],
            check=True,
            stdout=subprocess.DEVNULL,
            env=environment,
        )
        print(
            f"{'network':<30}{'MiB':>8}{'logits':>10}{'optimized':>11}{'channels':>11}{'size':>8}{'latency':>9}"
        )
        for name, (logits, channels) in ours.items():
            print(row(name, logits, channels, folder), flush=True)
    return 0


def networks() -> Iterator[tuple[str, Network, Path | None]]:
    """Names, networks, and the converter's files where there are any."""
    for name in registry.REGISTRY:
        if wanted(name):
            yield name, bnnjax.load_model() if name == "inknet" else drawn(name), None
    if RELEASED.exists() and wanted("quicknet_v0.2"):
        yield "quicknet_v0.2", bnnjax.load_model(RELEASED), None
    for path in sorted(Path(FLAGS.zoo).glob("*.tflite")) if FLAGS.zoo else ():
        yield f"zoo/{path.stem}", bnnjax.load_model(path), path
    for path in sorted(Path(FLAGS.own).iterdir()) if FLAGS.own else ():
        if path.suffix in (".h5", ".keras"):
            yield f"own/{path.stem}", bnnjax.load_model(path, preprocessing="unit"), None


def wanted(name: str) -> bool:
    return FLAGS.networks is None or name in FLAGS.networks


def drawn(name: str) -> Network:
    """A network with random weights such that activations stay near 1."""
    architecture = Architecture.published(registry.find(name))
    rng = np.random.default_rng(FLAGS.seed)
    shapes = flatten_dict(architecture.frozen_shapes()["params"])
    params = {path: jnp.asarray(draw(rng, path, leaf, shapes)) for path, leaf in shapes.items()}
    return Network(architecture, {"params": unflatten_dict(params)}, {"source": "random"})


def draw(rng: np.random.Generator, path: tuple[str, ...], leaf: Any, shapes: Any) -> np.ndarray:
    shape = leaf.shape
    if path[-1] == "words":
        return rng.integers(0, 2**32, shape, dtype=np.uint32)
    if path[-1] in ("bias", "alpha"):
        return rng.normal(0, 0.2, shape).astype(np.float32)
    if path[-1] in ("multiplier", "scale"):
        words = shapes.get((path[0].replace("_norm", "_conv"), "words"))
        inputs = 1 if words is None else 32 * np.prod(words.shape[:3])
        return (rng.uniform(0.5, 1.5, shape) * inputs**-0.5).astype(np.float32)
    inputs = np.prod(shape[:2] if shape[2:3] == (1,) else shape[:-1])
    return rng.normal(0, (2 / inputs) ** 0.5, shape).astype(np.float32)


def written(
    name: str, network: Network, converted: Path | None, folder: Path
) -> tuple[np.ndarray, str]:
    """Writes the file and its picture; returns our logits, and the column "channels"."""
    side, sizes = FLAGS.side, network.entry.sizes
    fits = sizes.fit(side, side) and network.architecture.has_logits(side)
    size = (side, side) if fits else sizes.smallest
    path = folder / f"{name.replace('/', '_')}.tflite"
    export(network, path, size=size, overwrite=True)
    if converted is not None:
        path.with_suffix(".converter.tflite").write_bytes(converted.read_bytes())
    images = np.random.default_rng(FLAGS.seed).random((1, *size, 3), np.float32)
    x = np.asarray(network.entry.normalize(images))
    np.savez(path.with_suffix(".npz"), x=x)
    logits, sums = looked(network, x)
    try:
        again = bnnjax.load_model(path)
    except ValueError:
        return logits, "-"
    missing = sums - looked(again, x)[1]
    return logits, f"{missing.total()}/{sums.total()}"


def looked(network: Network, x: np.ndarray) -> tuple[np.ndarray, Counter[bytes]]:
    """The logits, or the last tap, and the sums of each channel of the binary convolutions without
    their signs, which the exporter may invert."""
    module = network.architecture.module

    def apply(variables: Any, x: Any) -> Any:
        found = []

        def record(call: Any, args: Any, keywords: Any, context: Any) -> Any:
            result, layer = call(*args, **keywords), context.module
            if context.method_name == "__call__" and is_binary(layer):
                scale = layer.variables["params"].get("scale", 1)
                found.append(jnp.rint(abs(result / scale)).astype(jnp.int32))
            return result

        with nn.intercept_methods(record), using(Arithmetic("dense")):
            logits, state = module.apply(variables, x, mutable=["taps"])
        return [*state["taps"].values()][-1] if logits is None else logits, found

    logits, found = jax.jit(apply)(network.variables, x)
    channels = (channel for each in found for channel in np.moveaxis(np.asarray(each), -1, 0))
    return np.asarray(logits), Counter(channel.tobytes() for channel in channels)


def is_binary(layer: nn.Module) -> bool:
    """Whether it multiplies signs by signs."""
    if not isinstance(layer, QuantConv | QuantDense):
        return False
    return quant.values(layer.input_quantizer) == "signs" and "words" in layer.variables["params"]


def row(name: str, logits: np.ndarray, channels: str, folder: Path) -> str:
    path = folder / f"{name.replace('/', '_')}.tflite"
    found = np.load(path.with_suffix(".lce.npz"))
    largest = abs(logits).max()
    differences = [abs(found[key] - logits).max() / largest for key in ("y", "optimized")]
    size = path.stat().st_size
    line = (
        f"{name:<30}{size / 2**20:8.2f}{differences[0]:10.1e}{differences[1]:11.1e}{channels:>11}"
    )
    if "seconds_converter" not in found:
        return line
    of_size = size / path.with_suffix(".converter.tflite").stat().st_size
    return f"{line}{of_size:8.3f}{found['seconds'] / found['seconds_converter']:9.2f}"


if __name__ == "__main__":
    cli.run(main)
