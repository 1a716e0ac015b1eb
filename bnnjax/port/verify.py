"""Compares a ported network with its source: with a ``.tflite`` file by evaluating both, operator
by operator, and with an ``.h5`` file by its arrays."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax import quant
from bnnjax.layers import BatchNorm
from bnnjax.models.network import Network
from bnnjax.port.keras import archive, importer
from bnnjax.port.keras.entry import KerasBuild
from bnnjax.port.keras.h5 import Source, opened
from bnnjax.port.keras.network import matched
from bnnjax.port.tflite.evaluate import evaluate
from bnnjax.port.tflite.graph import read_graph

TOLERANCE = 1e-5  # for probabilities; integers must be equal
ROUNDING = 1e-6  # for float32 values after a multiplication and a subtraction


class Comparison(NamedTuple):
    """The result of `verify_tflite`.

    Attributes:
      sums: the number of integers compared, over all binary convolutions.
      differing: the number of them that differ.
      probability: the largest difference between probabilities.
    """

    sums: int
    differing: int
    probability: float

    @property
    def agrees(self) -> bool:
        """Whether all integers are equal and the probabilities are within `TOLERANCE`."""
        return self.differing == 0 and self.probability <= TOLERANCE

    def __str__(self) -> str:
        return (
            f"{self.differing} of {self.sums} integers differ, "
            f"probabilities by {self.probability:.1e} at most"
        )


class ArrayComparison(NamedTuple):
    """The result of `verify_h5`.

    Attributes:
      arrays: the number of arrays in the source that were compared.
      bits: the number of binary weights compared.
      differing: the number of them that differ.
      floats: the largest difference between other weights, relative to the largest in the array.
        Folded batch norms are rounded once more; everything else is identical.
    """

    arrays: int
    bits: int
    differing: int
    floats: float

    @property
    def agrees(self) -> bool:
        """Whether all bits are equal and the floats are within `ROUNDING`."""
        return self.differing == 0 and self.floats <= ROUNDING

    def __str__(self) -> str:
        return (
            f"{self.arrays} arrays, {self.differing} of {self.bits} bits differ, "
            f"other weights by {self.floats:.1e} at most"
        )


def verify(network: Network, source: str | Path) -> Comparison | ArrayComparison | None:
    """Compares a network with its source; returns None for formats that cannot be compared.

    Raises:
      ValueError: the source cannot be read.
    """
    suffix = Path(source).suffix.lower()
    if suffix == ".tflite":
        return verify_tflite(network, source, fixed_pictures())
    return verify_h5(network, source) if suffix in archive.SUFFIXES else None


def fixed_pictures(count: int = 2, *, side: int = 224) -> Array:
    """Fixed pictures [count, side, side, 3] in [0, 1]: smooth fields with fine noise."""
    generator = np.random.default_rng(0)
    coarse = jnp.asarray(generator.random((count, 7, 7, 3)), jnp.float32)
    smooth = jax.image.resize(coarse, (count, side, side, 3), "linear")
    noise = jnp.asarray(generator.normal(0, 0.05, smooth.shape), jnp.float32)
    return jnp.clip(smooth + noise, 0, 1)


def verify_tflite(network: Network, source: str | Path, pictures: Array) -> Comparison:
    """Compares the integer sums of all binary convolutions, and the probabilities.

    Both run operator by operator. Nothing is fused and no float sum is reassociated, so the
    integers must be equal from the first layer to the last.

    Args:
      network: the ported network, packed or latent.
      source: the ``.tflite`` file that it came from.
      pictures: float32 [N, 224, 224, 3], sRGB in [0, 1].

    Raises:
      ValueError: the source is not a ``.tflite`` file.
    """
    graph = read_graph(source)
    sums = differing = 0
    worst = 0.0
    for picture in pictures:
        expected, expected_sums = evaluate(graph, network.entry.normalize(picture[None]))
        with jax.disable_jit():
            logits, taps = network.apply(network.variables, picture[None])
        names = [name for name in taps if name.endswith("_conv") and name != "stem_conv"]
        for name, value in zip(names, expected_sums.values(), strict=True):
            sums += value.size
            differing += int(jnp.sum(taps[name] != value))
        distance = jnp.max(jnp.abs(jax.nn.softmax(logits) - expected))
        worst = float(np.maximum(worst, distance))  # NaN if any is
    return Comparison(sums, differing, worst)


def verify_h5(network: Network, source: str | Path) -> ArrayComparison:
    """Compares every array of a Keras file with a packed network, in NumPy and float64.

    Raises:
      ValueError: the file cannot be read or belongs to another network.
    """
    arrays = bits = differing = 0
    worst = 0.0
    with _matched(network, source) as pairs:
        for target, layer in pairs:
            params = network.variables["params"]
            for name in target.path:
                params = params[name]
            arrays += len(layer.arrays)
            expected = _expected(target, layer)
            for name, value in params.items():
                if name == "words":
                    positive = expected["positive"]
                    found = target.layer.thaw({name: value}, positive.shape)["kernel"]
                    bits += positive.size
                    differing += int(np.sum((np.asarray(found) > 0) != positive))
                else:
                    wanted = np.resize(expected[name], value.shape)
                    distance = np.abs(np.asarray(value, np.float64) - wanted).max()
                    distance /= max(np.abs(wanted).max(), 1e-30)
                    worst = float(np.maximum(worst, distance))  # NaN if any is
    return ArrayComparison(arrays, bits, differing, worst)


@contextmanager
def _matched(
    network: Network, source: str | Path
) -> Iterator[Sequence[tuple[importer.Target, Source]]]:
    """The layers of a network and what the file holds of them."""
    if isinstance(network.entry.build, KerasBuild):
        with archive.opened(source) as saved:
            yield matched(network, saved)
    else:
        with opened(source) as sources:
            yield importer.fit(sources, network.entry)[1]


def _expected(target: importer.Target, source: Source) -> dict[str, Any]:
    """The expected arrays of a packed layer; for a binary kernel, its positive signs and scale."""
    latent = {name: value[()] for name, value in source.arrays.items()}
    if isinstance(target.layer, BatchNorm):
        latent = {name: value.astype(np.float64) for name, value in latent.items()}
        spread = np.sqrt(latent["moving_variance"] + target.layer.epsilon)
        multiplier = latent.get("gamma", 1.0) / spread
        bias = latent.get("beta", 0.0) - latent["moving_mean"] * multiplier
        return {"multiplier": multiplier, "bias": bias}
    arrays = {target.arrays[name][1]: value for name, value in latent.items()}
    quantizer = getattr(target.layer, "kernel_quantizer", None)
    if quantizer is not None:
        scale = _SCALES.get(getattr(quantizer, "func", quantizer))
        arrays["positive"] = arrays["kernel"] >= 0
        arrays["scale"] = scale(np.abs(arrays["kernel"])) if scale else None
        arrays["levels"] = _levels(quantizer, arrays["kernel"])
    return arrays


def _levels(quantizer: quant.Quantizer, kernel: np.ndarray) -> np.ndarray:
    """The values of a kernel that is not binary, by the definitions in `bnnjax.quant`."""
    options = getattr(quantizer, "keywords", {})
    function = getattr(quantizer, "func", quantizer)
    if function is quant.ste_heaviside:
        return (kernel > 0).astype(np.float64)
    if function is quant.ste_tern:
        mean = 0.7 * np.abs(kernel).mean(dtype=np.float64)
        adaptive = options.get("ternary_weight_networks", False)
        threshold = mean if adaptive else options.get("threshold", 0.05)
        return np.sign(kernel) * (np.abs(kernel) >= threshold)
    if function is quant.dorefa:
        levels = 2 ** options.get("k_bit", 2) - 1
        if options.get("mode") != "weights":
            return np.round(levels * np.clip(kernel, 0, 1)) / levels
        t = np.tanh(kernel)
        return 2 * np.round(levels * (t / (2 * np.abs(t).max()) + 0.5)) / levels - 1
    return kernel


def _mean(magnitude: np.ndarray) -> np.ndarray:
    rows = magnitude.reshape(-1, magnitude.shape[-1])
    return rows.mean(axis=0, dtype=np.float64)


# |kernel| → the scale of a packed kernel's signs, per output.
_SCALES: dict[Any, Callable[[np.ndarray], np.ndarray]] = {
    quant.magnitude_aware_sign: _mean,
    quant.magnitude_aware_sign_unclipped: lambda kernel: _mean(kernel).mean(),
    quant.xnor_weight_scale: lambda kernel: _mean(np.minimum(kernel, 1)),
}
