"""Stores results of Larq's and larq_zoo's quantizers, which tests/test_quant.py reads.

Run in the environment of make_environment.sh:

    "${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}/bin/python" \
        tests/reference/quantizers.py

Writes quantizers.npz beside this file. For every input C of `inputs` and quantizer Q of
`quantizers`:
    input C       float32 [2, 3, 4, 8]
    cotangent C   float32 of the same shape
    output C Q    float32, Q of input C
    gradient C Q  float32, gradient of the input for that cotangent
    precisions    bits per value of each quantizer
    versions      those of the packages
"""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import larq as lq
import numpy as np
import tensorflow as tf
from larq_zoo.literature.dorefanet import magnitude_aware_sign_unclipped
from larq_zoo.literature.xnornet import xnor_weight_scale

SHAPE = (2, 3, 4, 8)  # as a kernel: height, width, input channels, output channels


def quantizers() -> dict[str, Callable]:
    q = lq.quantizers
    return {
        "ste_sign": q.SteSign(),
        "ste_sign clip=1.25": q.SteSign(clip_value=1.25),
        "ste_sign clip=None": q.SteSign(clip_value=None),
        "approx_sign": q.ApproxSign(),
        "swish_sign": q.SwishSign(),
        "swish_sign beta=2": q.SwishSign(beta=2.0),
        "ste_heaviside": q.SteHeaviside(),
        "ste_heaviside clip=None": q.SteHeaviside(clip_value=None),
        "magnitude_aware_sign": q.MagnitudeAwareSign(),
        "magnitude_aware_sign clip=None": q.MagnitudeAwareSign(clip_value=None),
        "ste_tern": q.SteTern(),
        "ste_tern threshold=0.5": q.SteTern(threshold_value=0.5),
        "ste_tern twn": q.SteTern(ternary_weight_networks=True),
        "ste_tern clip=None": q.SteTern(clip_value=None),
        "dorefa activations 2": q.DoReFa(k_bit=2, mode="activations"),
        "dorefa activations 3": q.DoReFa(k_bit=3, mode="activations"),
        "dorefa weights 2": q.DoReFa(k_bit=2, mode="weights"),
        "dorefa weights 3": q.DoReFa(k_bit=3, mode="weights"),
        "magnitude_aware_sign_unclipped": magnitude_aware_sign_unclipped,
        "xnor_weight_scale": xnor_weight_scale,
    }


def edges() -> np.ndarray:
    """Values at which a quantizer or its gradient changes, and their float32 neighbours."""
    at = np.float32([0.05, 0.5, 1.0, 1.25])
    around = np.concatenate([np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(9))])
    steps = np.float32([k / 6 for k in range(1, 12)])  # halves of 1/3, where rounding is a tie
    steps = np.concatenate([steps, np.float32([k / 14 for k in range(1, 15)])])  # … and of 1/7
    positive = np.concatenate([around, steps, np.float32([1e-30, 1e-6, 3, 17.5, 18, 100])])
    return np.concatenate([[np.float32(0), np.float32(-0.0)], positive, -positive])


def inputs() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    small = rng.uniform(-2, 2, SHAPE).astype(np.float32)
    with_edges = small.copy()
    with_edges.reshape(-1)[rng.permutation(small.size)[: edges().size]] = edges()
    infinite, nan = small.copy(), small.copy()
    infinite[0, 0, 0, :2] = np.inf, -np.inf
    nan[0, 0, 0, 0] = np.nan
    return {
        "edges": with_edges,
        "below one": rng.uniform(-1, 1, SHAPE).astype(np.float32),
        "wide": (rng.normal(size=SHAPE) * 10).astype(np.float32),
        "zeros": np.zeros(SHAPE, np.float32),
        "infinite": infinite,
        "nan": nan,
    }


def answer(quantizer: Callable, x: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = quantizer(x)
    return y.numpy(), tape.gradient(y, x, output_gradients=tf.constant(g)).numpy()


def main() -> None:
    rng = np.random.default_rng(1)
    packages = ("larq", "larq-zoo", "tensorflow-cpu", "numpy")
    arrays: dict[str, object] = {
        "inputs": list(inputs()),
        "quantizers": list(quantizers()),
        "precisions": [quantizer.precision for quantizer in quantizers().values()],
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
    }
    for case, x in inputs().items():
        g = rng.normal(size=SHAPE).astype(np.float32)
        arrays |= {f"input {case}": x, f"cotangent {case}": g}
        for name, quantizer in quantizers().items():
            arrays[f"output {case} {name}"], arrays[f"gradient {case} {name}"] = answer(
                quantizer, x, g
            )
    target = Path(__file__).with_suffix(".npz")
    np.savez_compressed(target, **arrays)
    print(f"{target}: {target.stat().st_size} bytes, {arrays['versions']}")


if __name__ == "__main__":
    main()
