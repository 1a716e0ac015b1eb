"""Stores models of all layers and quantizers of Larq, as users build them, and their results, which
tests/port/keras/test_own_models.py and benchmarks/larq_own_models.py read.

Run in the environment of make_environment.sh:

    PYTHON="${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}/bin/python"
    "$PYTHON" tests/reference/own_models.py                 # own_models.npz beside this file
    "$PYTHON" tests/reference/own_models.py --output=DIR …  # files and results of the models named

Each model is trained for a few steps on noise and saved in one of the ways that Keras has. For each
there are ``NAME/file SUFFIX`` (bytes) and results for draws.picture: ``logits`` before a softmax,
the ``gradient`` of the picture for draws.cotangent, and ``sums/LAYER/CALL``, the results of binary
layers without bias and activation, which are integers.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import draws
import larq as lq
import numpy as np
import tensorflow as tf

LAYERS = tf.keras.layers
SIDE = 16
CLASSES = 5
SIGNS = (lq.quantizers.SteSign, lq.quantizers.ApproxSign, lq.quantizers.SwishSign)
STEPS = 4
ACTIVATIONS = (
    *("sigmoid", "hard_sigmoid", "tanh", "softplus", "softsign", "elu", "selu", "gelu", "swish"),
    *("mish", "exponential", "softmax", "relu", "hard_tanh", "leaky_tanh"),
)
Tensor = tf.Tensor


def sign(clip: float | None = 1.25) -> lq.quantizers.Quantizer:
    return lq.quantizers.SteSign(clip_value=clip)


def binary(**others: object) -> dict:
    """Arguments of a binary layer."""
    options = {
        "input_quantizer": sign(),
        "kernel_quantizer": sign(),
        "kernel_constraint": lq.constraints.WeightClip(clip_value=1.25),
        "use_bias": False,
    }
    return {**options, **others}


def norm(**others: object) -> LAYERS.Layer:
    return LAYERS.BatchNormalization(momentum=0.5, **others)


def picture(channels: int = 3, side: int = SIDE) -> Tensor:
    return tf.keras.Input((side, side, channels))


def classified(x: Tensor) -> Tensor:
    return LAYERS.Dense(CLASSES, activation="softmax")(LAYERS.GlobalAveragePooling2D()(x))


# --- models --------------------------------------------------------------------------------


def face() -> tf.keras.Model:
    """An embedding of faces: grouped, separable and depthwise binary convolutions."""
    image = picture(side=24)
    x = LAYERS.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(image)
    x = LAYERS.PReLU(shared_axes=[1, 2])(norm()(x))
    y = lq.layers.QuantConv2D(16, 3, padding="same", pad_values=1.0, groups=4, **binary())(x)
    x = LAYERS.Add()([LAYERS.PReLU(shared_axes=[1, 2])(norm()(y)), x])
    depthwise = {"depthwise_quantizer": sign(), "depthwise_constraint": "weight_clip"}
    y = lq.layers.QuantDepthwiseConv2D(
        3, padding="same", input_quantizer=sign(), use_bias=False, **depthwise
    )(x)
    y = LAYERS.PReLU(shared_axes=[1, 2])(norm()(y))
    y = lq.layers.QuantSeparableConv2D(
        32,
        3,
        strides=2,
        padding="same",
        input_quantizer=sign(),
        pointwise_quantizer=sign(),
        pointwise_constraint="weight_clip",
        use_bias=False,
        **depthwise,
    )(y)
    y = LAYERS.PReLU(shared_axes=[1, 2])(norm()(y))
    gate = LAYERS.GlobalAveragePooling2D(keepdims=True)(y)
    gate = LAYERS.Conv2D(8, 1, activation="relu")(gate)
    gate = LAYERS.Conv2D(32, 1, activation="sigmoid")(gate)
    y = LAYERS.Multiply()([y, gate])
    y = lq.layers.QuantDepthwiseConv2D(6, input_quantizer=sign(), use_bias=False, **depthwise)(y)
    y = LAYERS.Dropout(0.4)(LAYERS.Flatten()(norm(scale=False)(y)))
    y = norm(center=False)(LAYERS.Dense(CLASSES, use_bias=False)(y))
    return tf.keras.Model(image, LAYERS.UnitNormalization()(y))


def sequential() -> tf.keras.Model:
    """The network of Larq's tutorials."""
    return tf.keras.Sequential(
        [
            lq.layers.QuantConv2D(
                8,
                3,
                kernel_quantizer="ste_sign",
                kernel_constraint="weight_clip",
                use_bias=False,
                input_shape=(SIDE, SIDE, 1),
            ),
            LAYERS.MaxPooling2D(2),
            norm(scale=False),
            lq.layers.QuantConv2D(12, 3, padding="same", **binary()),
            LAYERS.MaxPooling2D(3, strides=2, padding="same"),
            norm(scale=False),
            LAYERS.Flatten(),
            lq.layers.QuantDense(16, **binary(use_bias=True)),
            norm(scale=False),
            lq.layers.QuantDense(CLASSES, **binary()),
            norm(scale=False),
            LAYERS.Activation("softmax"),
        ]
    )


def branches() -> tf.keras.Model:
    """Layers that combine, pad, cut, enlarge and permute."""
    image = picture()
    x = norm()(LAYERS.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(image))
    x = LAYERS.ZeroPadding2D(((1, 2), (0, 1)))(x)
    left = norm()(lq.layers.QuantConv2D(8, (3, 2), padding="valid", **binary())(x))
    right = norm()(lq.layers.QuantConv2D(8, (2, 3), padding="valid", **binary())(x))
    left = LAYERS.Cropping2D(((0, 1), (1, 0)))(left)
    right = LAYERS.Cropping2D(((1, 1), (0, 0)))(right)
    x = LAYERS.Concatenate()([LAYERS.Maximum()([left, right]), LAYERS.Minimum()([left, right])])
    x = LAYERS.Add()([x, LAYERS.Concatenate(axis=3)([left, right])])
    pooled = LAYERS.AveragePooling2D(3, strides=2, padding="same")(x)
    nearest = LAYERS.UpSampling2D(2)(pooled)
    linear = LAYERS.UpSampling2D(2, interpolation="bilinear")(pooled)
    wide = LAYERS.Subtract()([nearest, linear])
    wide = LAYERS.Cropping2D(((0, 0), (1, 0)))(wide)
    wide = LAYERS.Average()([wide, x, x])
    wide = LAYERS.Permute((2, 1, 3))(wide)
    y = norm()(lq.layers.QuantConv2D(16, 3, padding="same", pad_values=-1.0, **binary())(wide))
    gate = LAYERS.Dense(16, activation="sigmoid")(LAYERS.GlobalMaxPooling2D()(y))
    y = LAYERS.Multiply()([y, LAYERS.Reshape((1, 1, 16))(gate)])
    return tf.keras.Model(image, classified(LAYERS.Add()([y, wide])))


def quantizers() -> tf.keras.Model:
    """Every quantizer, of inputs and of kernels, in layers and in the place of activations."""
    of_inputs = [
        lq.quantizers.ApproxSign(),
        lq.quantizers.SwishSign(beta=3.0),
        lq.quantizers.SteSign(clip_value=None),
        lq.quantizers.SteHeaviside(clip_value=1.5),
        lq.quantizers.SteTern(threshold_value=0.3),
        lq.quantizers.DoReFa(k_bit=3, mode="activations"),
        lq.quantizers.DoReFa(),
        None,
    ]
    of_kernels = [
        lq.quantizers.MagnitudeAwareSign(clip_value=1.3),
        lq.quantizers.SteSign(clip_value=1.0, metrics=["flip_ratio"]),
        lq.quantizers.SteTern(ternary_weight_networks=True),
        lq.quantizers.SteHeaviside(),
        lq.quantizers.DoReFa(k_bit=3, mode="weights"),
        lq.quantizers.ApproxSign(),
        "magnitude_aware_sign",
        lq.quantizers.NoOp(precision=1),
    ]
    image = picture()
    x = norm()(LAYERS.Conv2D(8, 3, padding="same")(image))
    for of_input, of_kernel in zip(of_inputs, of_kernels, strict=True):
        y = lq.layers.QuantConv2D(
            8, 3, padding="same", input_quantizer=of_input, kernel_quantizer=of_kernel
        )(x)
        x = LAYERS.Add()([x, norm()(y)])
    x = LAYERS.Activation(lq.quantizers.SwishSign())(x)
    x = norm()(LAYERS.Conv2D(8, 3, strides=2, activation=sign(1.5))(x))
    return tf.keras.Model(image, classified(lq.quantizers.SteTern()(x)))


def nested() -> tf.keras.Model:
    """Models in models, of which one is called twice."""
    inside = picture(8, SIDE // 2)
    y = lq.layers.QuantConv2D(8, 3, padding="same", name="deep_conv", **binary())(inside)
    deep = tf.keras.Model(inside, norm(name="deep_norm")(y), name="deep")
    inside = picture(8, SIDE // 2)
    y = deep(LAYERS.PReLU(shared_axes=[1, 2], name="block_prelu")(inside))
    y = lq.layers.QuantConv2D(8, 1, name="block_conv", **binary())(y)
    y = LAYERS.Add(name="block_add")([norm(name="block_norm")(y), inside])
    block = tf.keras.Model(inside, y, name="block")
    head = tf.keras.Sequential(
        [
            lq.layers.QuantSeparableConv2D(
                12,
                3,
                depth_multiplier=2,
                input_quantizer=sign(),
                depthwise_quantizer=sign(),
                pointwise_quantizer=lq.quantizers.MagnitudeAwareSign(),
                name="head_separable",
            ),
            norm(name="head_norm"),
            LAYERS.GlobalAveragePooling2D(name="head_mean"),
            LAYERS.Dense(CLASSES, name="head_dense"),
        ],
        name="head",
    )
    image = picture()
    x = norm(name="stem_norm")(LAYERS.Conv2D(8, 3, 2, padding="same", name="stem")(image))
    return tf.keras.Model(image, head(block(block(x))))


def axes() -> tf.keras.Model:
    """Layers along one and three axes."""
    image = picture()
    x = norm()(LAYERS.Conv2D(8, 3, strides=2, padding="same")(image))
    x = LAYERS.Reshape((64, 8))(x)
    x = norm()(lq.layers.QuantConv1D(8, 4, padding="same", groups=2, **binary())(x))
    x = LAYERS.MaxPooling1D(3, strides=2, padding="same")(LAYERS.ZeroPadding1D((1, 2))(x))
    causal = {"padding": "causal", "dilation_rate": 2}
    y = norm()(lq.layers.QuantConv1D(8, 3, **causal, **binary(kernel_quantizer="ste_tern"))(x))
    x = LAYERS.Add()([x, LAYERS.SpatialDropout1D(0.1)(y)])
    parts = {"depthwise_quantizer": sign(), "pointwise_quantizer": sign()}
    x = norm()(lq.layers.QuantSeparableConv1D(8, 3, input_quantizer=sign(), **causal, **parts)(x))
    x = LAYERS.AveragePooling1D(2)(LAYERS.Cropping1D((0, 2))(x))
    x = norm()(LAYERS.SeparableConv1D(8, 3, padding="same", depth_multiplier=2)(x))
    x = norm()(lq.layers.QuantLocallyConnected1D(8, 3, strides=2, **binary(use_bias=True))(x))
    x = LAYERS.UpSampling1D(2)(norm()(LAYERS.Conv1D(8, 2, activation="relu")(x)))
    x = LAYERS.Reshape((2, 2, 3, 8))(LAYERS.Cropping1D((0, 0))(x))
    x = LAYERS.ZeroPadding3D(((1, 1), (0, 1), (1, 0)))(x)
    x = norm()(lq.layers.QuantConv3D(8, 2, padding="same", pad_values=1.0, **binary())(x))
    y = norm()(lq.layers.QuantConv3D(8, (1, 2, 2), padding="same", groups=4, **binary())(x))
    x = LAYERS.MaxPooling3D(2, strides=1, padding="same")(LAYERS.Add()([x, y]))
    x = norm()(lq.layers.QuantConv3DTranspose(8, 2, strides=2, **binary())(x))
    x = LAYERS.AveragePooling3D(2, padding="same")(x)
    x = norm()(LAYERS.Conv3D(8, 2)(LAYERS.UpSampling3D((1, 2, 1))(x)))
    x = LAYERS.Concatenate()([LAYERS.GlobalMaxPooling3D()(x), LAYERS.GlobalAveragePooling3D()(x)])
    return tf.keras.Model(image, lq.layers.QuantDense(CLASSES, **binary())(norm()(x)))


def decoder() -> tf.keras.Model:
    """Transposed and locally connected layers."""
    image = picture()
    x = norm()(LAYERS.Conv2D(8, 3, strides=4, padding="same", activation="elu")(image))
    x = norm()(lq.layers.QuantConv2DTranspose(8, 3, strides=2, padding="same", **binary())(x))
    more = {"output_padding": 1, "kernel_quantizer": lq.quantizers.MagnitudeAwareSign()}
    x = norm()(lq.layers.QuantConv2DTranspose(6, 4, strides=2, padding="same", **binary(**more))(x))
    x = LAYERS.Conv2DTranspose(6, 2, padding="valid", activation="relu")(x)
    x = norm()(LAYERS.MaxPooling2D(3)(x))
    local = lq.layers.QuantLocallyConnected2D
    x = norm()(local(6, (2, 3), strides=(2, 1), **binary(use_bias=True))(x))
    x = norm()(local(6, 2, padding="same", implementation=2, **binary())(x))
    x = norm()(local(4, 2, implementation=3, **binary())(x))
    x = LAYERS.LocallyConnected2D(4, 1, activation="tanh")(x)
    return tf.keras.Model(image, LAYERS.Dense(CLASSES)(LAYERS.Flatten()(x)))


def activations() -> tf.keras.Model:
    """Keras' and Larq's activations, of pictures in greys."""
    image = picture(1)
    x = LAYERS.Rescaling(0.5, offset=0.1)(image)
    x = norm()(LAYERS.Conv2D(4, 3, strides=2, padding="same", activation="swish")(x))
    parts = [LAYERS.Activation(name)(x) for name in ACTIVATIONS]
    layers = [
        LAYERS.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.2),
        LAYERS.ReLU(max_value=6.0),
        LAYERS.ReLU(max_value=1.0),
        LAYERS.LeakyReLU(0.2),
        LAYERS.ELU(0.7),
        LAYERS.ThresholdedReLU(0.4),
        LAYERS.Softmax(axis=-1),
        LAYERS.PReLU(alpha_initializer="uniform"),
        LAYERS.PReLU(alpha_initializer="uniform", shared_axes=[1]),
        LAYERS.LayerNormalization(),
        LAYERS.UnitNormalization(),
    ]
    parts += [layer(x) for layer in layers]
    x = norm()(LAYERS.Concatenate()(parts))
    x = norm(epsilon=1e-7)(lq.layers.QuantConv2D(8, 1, **binary(activation="relu"))(x))
    return tf.keras.Model(image, classified(x))


def windows() -> tf.keras.Model:
    """Strides, dilation, padding values, and layers that act in training alone."""
    image = picture()
    x = norm()(LAYERS.Conv2D(8, (5, 4), strides=(1, 2), padding="same", use_bias=False)(image))
    for options in (
        {"kernel_size": 3, "padding": "same", "pad_values": 1.0, "strides": 2},
        {"kernel_size": (2, 4), "padding": "same", "pad_values": -1.0},
        {"kernel_size": 3, "padding": "same", "dilation_rate": 2},
        {"kernel_size": 3, "padding": "same", "pad_values": 1.0, "dilation_rate": (1, 2)},
        {"kernel_size": (3, 2), "padding": "valid", "dilation_rate": (2, 1)},
    ):
        x = norm()(lq.layers.QuantConv2D(8, **options, **binary())(x))
        x = LAYERS.GaussianNoise(0.1)(LAYERS.SpatialDropout2D(0.1)(x))
    depthwise = {"input_quantizer": sign(), "depthwise_quantizer": sign()}
    x = norm()(
        lq.layers.QuantDepthwiseConv2D(
            3, padding="same", pad_values=1.0, depth_multiplier=2, dilation_rate=2, **depthwise
        )(x)
    )
    x = norm()(
        lq.layers.QuantSeparableConv2D(
            8, (2, 3), padding="same", dilation_rate=2, pointwise_quantizer=sign(), **depthwise
        )(x)
    )
    x = norm()(LAYERS.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(x))
    x = norm()(LAYERS.SeparableConv2D(8, 2, padding="same")(x))
    return tf.keras.Model(image, classified(x))


def operations() -> tf.keras.Model:
    """Functions of TensorFlow between layers."""
    image = picture()
    x = norm()(LAYERS.Conv2D(8, 3, padding="same")(image * 0.5 + 0.1))
    y = norm()(lq.layers.QuantConv2D(8, 3, padding="same", **binary())(x))
    x = tf.nn.relu(x + y) - tf.nn.leaky_relu(1.0 - y, alpha=0.1)
    gate = tf.sigmoid(tf.reduce_mean(x, axis=[1, 2], keepdims=True))
    x = tf.concat([x * gate, tf.maximum(x, y) / 2.0], axis=-1)
    left, right = tf.split(x, 2, axis=-1)
    x = tf.nn.space_to_depth(tf.pad(left - right, [[0, 0], [1, 2], [0, 4], [0, 0]])[:, 1:, ::2], 2)
    x = norm()(lq.layers.QuantConv2D(16, 3, **binary())(tf.clip_by_value(x, -1.5, 2.0)))
    x = tf.nn.depth_to_space(tf.abs(x) + tf.square(-x), 2)
    x = tf.reshape(x, [-1, x.shape[1] * x.shape[2] * x.shape[3]])
    x = tf.math.l2_normalize(x, axis=-1)
    return tf.keras.Model(image, tf.nn.softmax(LAYERS.Dense(CLASSES)(x)))


MODELS: dict[str, tuple[Callable[[], tf.keras.Model], str]] = {
    "face": (face, ".h5"),
    "sequential": (sequential, ".h5"),
    "branches": (branches, ".h5"),
    "quantizers": (quantizers, ".h5"),
    "nested": (nested, ".h5"),
    "axes": (axes, ".h5"),
    "decoder": (decoder, ".h5"),
    "activations": (activations, ".keras"),
    "windows": (windows, ".keras"),
    "operations": (operations, ".json"),
}


# --- results -------------------------------------------------------------------------------


def train(model: tf.keras.Model, name: str) -> None:
    """A few steps on noise, after which weights and statistics differ from their initial values."""
    random = draws.rng(name, "noise")
    size = (8, *model.input_shape[1:])
    wanted = random.normal(size=(8, CLASSES)).astype(np.float32)
    # Adam's state in a file must not be taken for weights, and SGD has none.
    optimizers = tf.keras.optimizers
    model.compile(optimizers.Adam(0.01) if name == "sequential" else optimizers.SGD(0.05), "mse")
    for _ in range(STEPS):
        model.train_on_batch(random.normal(size=size).astype(np.float32), wanted)
    for weight in model.weights:
        if "alpha" in weight.name:  # PReLU starts as ReLU
            weight.assign(random.uniform(-0.2, 0.5, weight.shape))
        if weight.dtype == tf.float32:  # bfloat16, so that the files can be compressed
            weight.assign(tf.cast(tf.cast(weight, tf.bfloat16), tf.float32))


def flat(model: tf.keras.Model) -> list:
    """All layers, also those of inner models."""
    layers = []
    for layer in model.layers:
        layers += flat(layer) if isinstance(layer, tf.keras.Model) else [layer]
    return layers


def save(model: tf.keras.Model, folder: Path, name: str, suffix: str) -> list[Path]:
    """Saves the model in the way that the suffix stands for; ".json" is that beside its weights."""
    if suffix == ".json":
        model.save_weights(folder / f"{name}.h5")
        (folder / f"{name}.json").write_text(model.to_json())
        return [folder / f"{name}.h5", folder / f"{name}.json"]
    path = folder / f"{name}{suffix}"
    model.save(path)
    return [path]


def is_binary(layer: LAYERS.Layer) -> bool:
    names = ("input_quantizer", "kernel_quantizer", "depthwise_quantizer", "pointwise_quantizer")
    found = [getattr(layer, name) for name in names if hasattr(layer, name)]
    return len(found) > 1 and all(isinstance(quantizer, SIGNS) for quantizer in found)


class Sums:
    """Records the results of binary layers without bias and activation."""

    def __init__(self, model: tf.keras.Model) -> None:
        self.found: dict[str, np.ndarray] = {}
        self.calls: Counter[str] = Counter()
        for layer in flat(model):
            if is_binary(layer):
                layer.call = self.recording(layer, layer.call)

    def recording(self, layer: LAYERS.Layer, call: Callable) -> Callable:
        def recorded(inputs: Tensor) -> Tensor:
            activation, use_bias = layer.activation, layer.use_bias
            layer.activation, layer.use_bias = tf.keras.activations.linear, False
            sums = call(inputs).numpy()
            layer.activation, layer.use_bias = activation, use_bias
            np.testing.assert_array_equal(sums, np.round(sums))
            self.found[f"sums/{layer.name}/{self.calls[layer.name]}"] = sums.astype(np.int16)
            self.calls[layer.name] += 1
            return call(inputs)

        return recorded


def answers(model: tf.keras.Model, name: str) -> dict[str, np.ndarray]:
    """The results for a picture in colours; a model of greys gets those that it is converted to."""
    _, height, _, channels = model.input_shape
    x = tf.constant(draws.picture(name, height))
    model = without_softmax(model)
    sums = Sums(model)
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model(tf.image.rgb_to_grayscale(x) if channels == 1 else x, training=False)
    gradient = tape.gradient(logits, x, tf.constant(draws.cotangent(name, CLASSES)))
    return {"logits": logits.numpy(), "gradient": gradient.numpy(), **sums.found}


def without_softmax(model: tf.keras.Model) -> tf.keras.Model:
    """The model up to its logits."""
    last = model.layers[-1]
    if getattr(last, "activation", None) is tf.keras.activations.softmax:
        last.activation = tf.keras.activations.linear
    if last.name == "tf.nn.softmax":
        return tf.keras.Model(model.input, last.input)
    return model


def make(name: str, folder: Path) -> dict[str, np.ndarray]:
    """Trains and saves a model, and asks for its results."""
    build, suffix = MODELS[name]
    tf.keras.backend.clear_session()
    tf.keras.utils.set_random_seed(1)
    model = build()
    train(model, name)
    files = save(model, folder, name, suffix)
    contents = {f"file {p.suffix}": np.frombuffer(p.read_bytes(), np.uint8) for p in files}
    return {**contents, **answers(model, name)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(MODELS))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.output or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for name in given.names:
            made = make(name, folder)
            if given.output:
                np.savez_compressed(folder / f"{name}.npz", **made)
            arrays |= {f"{name}/{entry}": array for entry, array in made.items()}
            print(name, {entry: array.nbytes for entry, array in made.items() if "file" in entry})
    if not given.output:
        target = Path(__file__).with_suffix(".npz")
        np.savez_compressed(target, **arrays)
        print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
