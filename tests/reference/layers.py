"""Stores results of Larq's and Keras' layers, which tests/layers reads.

Run in the environment of make_environment.sh:

    "${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}/bin/python" \
        tests/reference/layers.py

Writes layers.npz beside this file: for each case an entry `CASE NAME` a tensor, among them
    x, cotangent  what went in, forward and backward
    y, of_x       what came out: the result, and the gradient of x
and the weights and their gradients by names of their own. A case is called by its layer and its
settings, as `NAME=VALUE` separated by spaces.
"""

from importlib.metadata import version
from pathlib import Path

import larq as lq
import numpy as np
import tensorflow as tf
from larq_zoo.literature.xnornet import xnor_weight_scale
from larq_zoo.sota.quicknet import blurpool_initializer

QUANTIZERS = {
    "none": None,
    "sign": lq.quantizers.SteSign(),
    "wide_sign": lq.quantizers.SteSign(clip_value=1.25),
    "magnitude": lq.quantizers.MagnitudeAwareSign(),
    "xnor": xnor_weight_scale,
    "tern": lq.quantizers.SteTern(threshold_value=0.5),
    "dorefa": lq.quantizers.DoReFa(k_bit=2, mode="activations"),
}
CASES = """
dense input=sign kernel=sign bias=1
dense input=sign kernel=magnitude bias=1
dense input=none kernel=sign bias=0
dense input=dorefa kernel=none bias=1
conv kh=3 kw=3 stride=1 padding=same pad_value=0 input=sign kernel=wide_sign bias=0
conv kh=3 kw=3 stride=2 padding=same pad_value=1 input=sign kernel=wide_sign bias=0
conv kh=2 kw=4 stride=2 padding=same pad_value=-1 input=sign kernel=wide_sign bias=0
conv kh=5 kw=3 stride=3 padding=same pad_value=1 input=sign kernel=wide_sign bias=0
conv kh=3 kw=2 stride=2 padding=valid pad_value=0 input=sign kernel=wide_sign bias=0
conv kh=3 kw=3 stride=2 padding=same pad_value=1 input=sign kernel=magnitude bias=1
conv kh=2 kw=3 stride=1 padding=same pad_value=0 input=sign kernel=xnor bias=0
conv kh=1 kw=1 stride=1 padding=same pad_value=0 input=sign kernel=sign bias=1
conv kh=1 kw=1 stride=2 padding=valid pad_value=0 input=none kernel=magnitude bias=0
conv kh=3 kw=3 stride=1 padding=same pad_value=1 input=none kernel=sign bias=1
conv kh=3 kw=3 stride=2 padding=same pad_value=-1 input=dorefa kernel=tern bias=0
conv kh=3 kw=2 stride=1 padding=valid pad_value=0 input=none kernel=none bias=1
depthwise kh=3 kw=3 stride=2 padding=same pad_value=0 multiplier=8 input=none kernel=none bias=0
depthwise kh=3 kw=3 stride=1 padding=same pad_value=0 multiplier=1 input=none kernel=none bias=0
depthwise kh=5 kw=2 stride=2 padding=same pad_value=0 multiplier=3 input=none kernel=none bias=0
depthwise kh=3 kw=3 stride=1 padding=same pad_value=0 multiplier=1 input=sign kernel=sign bias=0
depthwise kh=3 kw=3 stride=2 padding=same pad_value=1 multiplier=2 input=sign kernel=sign bias=1
depthwise kh=4 kw=3 stride=3 padding=same pad_value=-1 multiplier=3 input=sign kernel=wide_sign bias=0
depthwise kh=2 kw=3 stride=1 padding=valid pad_value=0 multiplier=2 input=sign kernel=magnitude bias=0
depthwise kh=3 kw=3 stride=2 padding=valid pad_value=0 multiplier=1 input=none kernel=xnor bias=1
separable stride=1 padding=same pad_value=0 multiplier=1 input=sign depthwise=sign pointwise=sign bias=0
separable stride=2 padding=same pad_value=1 multiplier=2 input=sign depthwise=sign pointwise=magnitude bias=1
separable stride=1 padding=valid pad_value=0 multiplier=3 input=none depthwise=xnor pointwise=sign bias=1
separable stride=2 padding=same pad_value=-1 multiplier=2 input=dorefa depthwise=none pointwise=tern bias=0
blur_pool height=6 width=7
batch_norm training=0 scale=1 center=1
batch_norm training=1 scale=1 center=1
batch_norm training=0 scale=0 center=1
batch_norm training=1 scale=0 center=1
batch_norm training=1 scale=1 center=0
batch_norm training=0 scale=0 center=0
max_pool height=6 width=8 size=2 stride=2 padding=valid
max_pool height=7 width=5 size=2 stride=2 padding=valid
max_pool height=5 width=6 size=2 stride=1 padding=valid
max_pool height=7 width=6 size=3 stride=2 padding=same
max_pool height=7 width=6 size=3 stride=2 padding=valid
avg_pool height=7 width=5 size=2 stride=2 padding=same
avg_pool height=5 width=4 size=3 stride=1 padding=same
avg_pool height=7 width=6 size=3 stride=2 padding=valid
""".strip().splitlines()  # noqa: E501
RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


class Settings(dict):
    """Settings of a case: names of quantizers and paddings, and integers for everything else."""

    def number(self, name: str) -> int:
        return int(self[name])

    def quantizer(self, name: str) -> object:
        return QUANTIZERS[self[name]]

    def window(self) -> dict:
        """What convolutions have in common."""
        return {
            "strides": self.number("stride"),
            "padding": self["padding"],
            "pad_values": self.number("pad_value") * 1.0,
            "use_bias": bool(self.number("bias")),
            "input_quantizer": self.quantizer("input"),
        }


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


def with_random_weights(layer: tf.keras.layers.Layer, x: np.ndarray) -> dict[str, np.ndarray]:
    """Values inside and outside the quantizers' clips."""
    layer.build(x.shape)
    layer.set_weights([normal(*weight.shape) for weight in layer.weights])
    return answer(layer, x)


def dense(settings: Settings) -> dict:
    layer = lq.layers.QuantDense(
        4,
        use_bias=bool(settings.number("bias")),
        input_quantizer=settings.quantizer("input"),
        kernel_quantizer=settings.quantizer("kernel"),
    )
    return with_random_weights(layer, normal(5, 37))


def conv(settings: Settings) -> dict:
    layer = lq.layers.QuantConv2D(
        3,
        (settings.number("kh"), settings.number("kw")),
        kernel_quantizer=settings.quantizer("kernel"),
        **settings.window(),
    )
    return with_random_weights(layer, normal(2, 7, 6, 5))


def depthwise(settings: Settings) -> dict:
    layer = lq.layers.QuantDepthwiseConv2D(
        (settings.number("kh"), settings.number("kw")),
        depth_multiplier=settings.number("multiplier"),
        depthwise_quantizer=settings.quantizer("kernel"),
        **settings.window(),
    )
    return with_random_weights(layer, normal(2, 7, 6, 3))


def separable(settings: Settings) -> dict:
    layer = lq.layers.QuantSeparableConv2D(
        4,
        (3, 3),
        depth_multiplier=settings.number("multiplier"),
        depthwise_quantizer=settings.quantizer("depthwise"),
        pointwise_quantizer=settings.quantizer("pointwise"),
        **settings.window(),
    )
    return with_random_weights(layer, normal(2, 6, 5, 3))


def blur_pool(settings: Settings) -> dict:
    """As in larq_zoo's QuickNet."""
    layer = tf.keras.layers.DepthwiseConv2D(
        (3, 3),
        depthwise_initializer=blurpool_initializer,
        padding="same",
        strides=2,
        trainable=False,
        use_bias=False,
    )
    tensors = answer(layer, normal(2, settings.number("height"), settings.number("width"), 3))
    return {**tensors, "depthwise_kernel": layer.depthwise_kernel.numpy()}


def batch_norm(settings: Settings) -> dict:
    scale, center = (bool(settings.number(name)) for name in ("scale", "center"))
    layer = tf.keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-3, scale=scale, center=center
    )
    x = 2 * normal(4, 3, 2, 5) + normal(5)
    layer.build(x.shape)
    mean, var = normal(5), normal(5) ** 2
    layer.set_weights([*(normal(5) for _ in range(scale + center)), mean, var])
    tensors = answer(layer, x, training=bool(settings.number("training")))
    after = {"mean_after": layer.moving_mean.numpy(), "var_after": layer.moving_variance.numpy()}
    return {**tensors, "mean": mean, "var": var, **after}


def pool(layer: type[tf.keras.layers.Layer], settings: Settings, x: np.ndarray) -> dict:
    window = {"strides": settings.number("stride"), "padding": settings["padding"]}
    return answer(layer(settings.number("size"), **window), x)


def max_pool(settings: Settings) -> dict:
    """Values that often repeat, so that most windows have several maxima."""
    shape = (2, settings.number("height"), settings.number("width"), 4)
    x = RNG.integers(-3, 0, shape).astype(np.float32)
    return pool(tf.keras.layers.MaxPool2D, settings, x)


def avg_pool(settings: Settings) -> dict:
    x = normal(2, settings.number("height"), settings.number("width"), 3)
    return pool(tf.keras.layers.AvgPool2D, settings, x)


LAYERS = (dense, conv, depthwise, separable, blur_pool, batch_norm, max_pool, avg_pool)


def main() -> None:
    layers = {layer.__name__: layer for layer in LAYERS}
    arrays = {}
    for case in CASES:
        name, *settings = case.split()
        tensors = layers[name](Settings(part.split("=") for part in settings))
        arrays |= {f"{case} {tensor}": array for tensor, array in tensors.items()}
    packages = ("larq", "larq-zoo", "tensorflow-cpu", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    target = Path(__file__).with_suffix(".npz")
    np.savez_compressed(target, cases=CASES, versions=versions, **arrays)
    print(f"{target}: {target.stat().st_size} bytes, {versions}")


if __name__ == "__main__":
    main()
