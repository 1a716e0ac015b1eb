"""Asks Larq and Keras for their layers; tests/test_layers.py reads the answers.

Run in the environment of make_environment.sh:

    "${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}/bin/python" \
        tests/reference/layers.py

Writes layers.npz beside this file: for each case an entry `CASE NAME` a tensor, among them
    x, cotangent  what went in, forward and backward
    y, of_x       what came out: the result, and the gradient of x
and the weights and their gradients by names of their own. The settings of each case are in its
name, as `NAME=VALUE` separated by spaces.
"""

from importlib.metadata import version
from pathlib import Path

import larq as lq
import numpy as np
import tensorflow as tf

QUANT_CONVS = [  # kernel height and width, stride, padding, value of the padding
    (3, 3, 1, "same", 0),
    (3, 3, 2, "same", 1),
    (2, 4, 2, "same", -1),
    (5, 3, 3, "same", 1),
    (3, 2, 2, "valid", 0),
]
DEPTHWISE = [
    (3, 3, 2, 8),
    (3, 3, 1, 1),
    (5, 2, 2, 3),
]  # kernel height and width, stride, multiplier
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def answer(layer: tf.keras.layers.Layer, x: np.ndarray, **options: bool) -> dict[str, np.ndarray]:
    """Result and gradients for a random cotangent; weights by what Keras calls them."""
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, **options)
    cotangent = np.round(20 * normal(*y.shape))
    weights = {weight.name.split("/")[-1][:-2]: weight for weight in layer.trainable_weights}
    of_x, of_weights = tape.gradient(y, [x, weights], output_gradients=tf.constant(cotangent))
    tensors = {"x": x, "cotangent": cotangent, "y": y, "of_x": of_x}
    for name, weight in weights.items():
        tensors |= {name: weight, f"of_{name}": of_weights[name]}
    return {name: np.asarray(tensor) for name, tensor in tensors.items()}


def quant_conv(kh: int, kw: int, stride: int, padding: str, pad_value: int) -> dict:
    layer = lq.layers.QuantConv2D(
        3,
        (kh, kw),
        strides=stride,
        padding=padding,
        pad_values=float(pad_value),
        input_quantizer=lq.quantizers.SteSign(),
        kernel_quantizer=lq.quantizers.SteSign(clip_value=1.25),
        kernel_initializer=tf.keras.initializers.RandomNormal(seed=0),
        use_bias=False,
    )
    x = normal(2, 7, 6, 5)
    layer.build(x.shape)
    layer.set_weights([normal(*layer.kernel.shape)])
    return answer(layer, x)


def depthwise(kh: int, kw: int, stride: int, multiplier: int) -> dict:
    layer = tf.keras.layers.DepthwiseConv2D(
        (kh, kw), strides=stride, padding="same", depth_multiplier=multiplier, use_bias=False
    )
    return answer(layer, normal(2, 7, 6, 3))


def batch_norm(*, training: bool) -> dict:
    layer = tf.keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    x = 2 * normal(4, 3, 2, 5) + normal(5)
    layer.build(x.shape)
    layer.set_weights([normal(5), normal(5), mean := normal(5), var := normal(5) ** 2])
    tensors = answer(layer, x, training=training)
    after = {"mean_after": layer.moving_mean.numpy(), "var_after": layer.moving_variance.numpy()}
    return {**tensors, "mean": mean, "var": var, **after}


def max_pool(size: tuple[int, int]) -> dict:
    """Of few different values, so that most windows have several maxima."""
    layer = tf.keras.layers.MaxPool2D(2, strides=2, padding="valid")
    return answer(layer, RNG.integers(0, 3, (2, *size, 4)).astype(np.float32))


def main() -> None:
    cases = {
        f"quant_conv kh={kh} kw={kw} stride={s} padding={p} pad_value={v}": quant_conv(
            kh, kw, s, p, v
        )
        for kh, kw, s, p, v in QUANT_CONVS
    }
    for kh, kw, s, m in DEPTHWISE:
        cases[f"depthwise kh={kh} kw={kw} stride={s} multiplier={m}"] = depthwise(kh, kw, s, m)
    for training in (False, True):
        cases[f"batch_norm training={int(training)}"] = batch_norm(training=training)
    for height, width in ((6, 8), (7, 5)):
        cases[f"max_pool height={height} width={width}"] = max_pool((height, width))
    packages = ("larq", "tensorflow-cpu", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    arrays = {f"{case} {name}": a for case, tensors in cases.items() for name, a in tensors.items()}
    target = Path(__file__).with_suffix(".npz")
    np.savez_compressed(target, cases=list(cases), versions=versions, **arrays)
    print(f"{target}: {target.stat().st_size} bytes, {versions}")


if __name__ == "__main__":
    main()
