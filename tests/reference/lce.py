"""Converts small networks with Larq Compute Engine and stores its interpreter's results.

Run in the environment of make_lce_environment.sh:

    "${BNNJAX_LCE_ENV:-$HOME/.cache/bnnjax/lce-env}/bin/python" tests/reference/lce.py [NETWORK ...]

Writes lce.npz beside this file, for each network
    NAME file      the bytes of its .tflite file
    NAME y         the interpreter's result for the picture of `draws.picture_for`
    NAME logits    Keras' result, before a softmax at the end
    NAME cotangent, NAME of_x
                   a cotangent of the logits, and TensorFlow's gradient of the Keras model for x;
                   for networks with float tensors between the binary layers

The interpreter uses LCE's reference kernels, which agree with Keras. The optimized kernels differ
for maps that are smaller than a zero-padded kernel (the script prints by how much). All networks
are drawn so that Keras and the interpreter agree within float rounding: no value is so near to 0
that its sign differs.

    python tests/reference/lce.py --zoo FOLDER [NETWORK ...]

writes whole networks of Larq Zoo into the folder instead, each with a .npz of x, y and logits;
benchmarks/lce_agreement.py compares.
"""

import os
import sys
from collections import Counter
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import draws
import larq as lq
import larq_compute_engine as lce
import larq_zoo as lqz
import numpy as np
import tensorflow as tf
from larq_compute_engine.tflite.python.interpreter import Interpreter
from larq_zoo.literature.birealnet import BiRealNetFactory
from larq_zoo.literature.densenet import BinaryDenseNet28Factory
from larq_zoo.literature.resnet_e import BinaryResNetE18Factory
from larq_zoo.sota.quicknet import QuickNetFactory

CLIP = 1.25
SIGN = lq.quantizers.SteSign(clip_value=CLIP)
K = tf.keras.layers


def binary(features, size=3, **options):
    options = {"padding": "same", "use_bias": False, **options}
    return lq.layers.QuantConv2D(
        features, size, input_quantizer=SIGN, kernel_quantizer=SIGN, **options
    )


def one_layer(channels, size=3, features=32, **options):
    """A binary convolution between float tensors."""
    picture = K.Input((16, 14, 3))
    x = K.BatchNormalization()(K.Conv2D(channels, 3, padding="same", use_bias=False)(picture))
    y = K.BatchNormalization()(binary(features, size, **options)(x))
    pooled = K.concatenate([K.GlobalAveragePooling2D()(part) for part in (x, y)])
    return tf.keras.Model(picture, K.Dense(7)(pooled))


def on_picture():
    """11×11 on the three channels of the picture itself."""
    picture = K.Input((31, 27, 3))
    y = binary(12, 11, strides=4, pad_values=1, activation="relu")(picture)
    return tf.keras.Model(picture, K.GlobalAveragePooling2D()(K.BatchNormalization()(y)))


def sequential():
    """Packed tensors, a max-pool of them, and a flattened map, which allows one size only."""
    picture = K.Input((17, 19, 3))
    x = K.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(picture)
    x = K.BatchNormalization()(x)
    x = K.BatchNormalization()(binary(36, pad_values=1, activation="relu")(x))
    x = K.BatchNormalization()(K.MaxPool2D(2)(binary(72, 1)(x)))
    x = K.BatchNormalization()(binary(64, 3, padding="valid")(x))
    x = K.BatchNormalization()(binary(32, 2, padding="valid")(x))
    return tf.keras.Model(picture, K.Softmax()(K.Dense(7)(K.Flatten()(x))))


def packed_pool():
    """A max-pool of signs, in the form that the converter supports."""
    picture = K.Input((15, 18, 3))
    x = K.BatchNormalization()(K.Conv2D(40, 3, padding="same", use_bias=False)(picture))
    x = K.MaxPool2D((2, 3), 2, "same")(K.Activation(SIGN)(x))
    y = K.BatchNormalization()(binary(32, padding="valid")(x))
    return tf.keras.Model(picture, K.Dense(7)(K.GlobalAveragePooling2D()(y)))


def operators():
    """Built-in operators that the zoo's networks do not all have."""
    picture = K.Input((24, 24, 3))
    x = K.ReLU(6.0)(K.Conv2D(16, 3, strides=2, padding="same", dilation_rate=1)(picture))
    x = K.DepthwiseConv2D(3, depth_multiplier=2, padding="same", activation="tanh")(x)
    x = K.Conv2D(32, 3, padding="same", dilation_rate=2)(K.ZeroPadding2D(((0, 1), (1, 0)))(x))
    gate = K.Dense(32, activation="sigmoid")(K.GlobalAveragePooling2D()(x))
    y = K.PReLU(shared_axes=[1, 2])(K.BatchNormalization()(binary(32)(x)))
    y = K.Subtract()([y * K.Reshape((1, 1, 32))(gate), x])
    y = K.concatenate([K.AveragePooling2D(3, 2, "same")(y), K.MaxPool2D((3, 2), 2, "same")(x)])
    return tf.keras.Model(picture, K.Dense(7)(K.GlobalAveragePooling2D()(y)))


def int8():
    picture = K.Input((24, 24, 3))
    x = K.BatchNormalization()(K.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(picture))
    y = K.BatchNormalization()(binary(16, pad_values=1, activation="relu")(x))
    x = K.Add()([x, y])
    x = K.BatchNormalization()(binary(32, 3, strides=2, pad_values=1)(x))
    return tf.keras.Model(picture, K.Dense(7)(K.GlobalAveragePooling2D()(K.ReLU()(x))))


def resnet_e():
    BinaryResNetE18Factory.spec = property(lambda self: ([1, 1, 1, 1], [8, 16, 32, 64]))
    return BinaryResNetE18Factory(initial_filters=8, **SMALL).build()


def densenet():
    BinaryDenseNet28Factory.layers = (2, 2, 2, 2)
    BinaryDenseNet28Factory.reduction = (1.5, 1.5, 1.5)
    return BinaryDenseNet28Factory(initial_filters=24, growth_rate=12, **SMALL).build()


SMALL = {"num_classes": 10, "input_shape": (64, 64, 3), "weights": None}
NETWORKS = {
    "quicknet": lambda: QuickNetFactory(
        section_blocks=(1, 2, 1, 1), section_filters=(32, 32, 64, 64), **SMALL
    ).build(),
    "resnet_e": resnet_e,
    "densenet": densenet,
    "birealnet": lambda: BiRealNetFactory(filters=8, **SMALL).build(),
    "kernel=1": lambda: one_layer(12, 1, 36),
    "kernel=5x2": lambda: one_layer(36, (5, 2), strides=(2, 2)),
    "zeros": lambda: one_layer(72, strides=2),
    "ones": lambda: one_layer(36, strides=2, pad_values=1),
    "valid": lambda: one_layer(40, padding="valid", activation="relu"),
    "dilated": lambda: one_layer(36, dilation_rate=2),
    "dilated_ones": lambda: one_layer(36, dilation_rate=(1, 3), pad_values=1),
    "groups": lambda: one_layer(64, features=64, groups=2, pad_values=1),
    "picture": on_picture,
    "operators": operators,
    "sequential": sequential,
    "packed_pool": packed_pool,
    "int8": int8,
}
ONLY_REFERENCE_KERNELS = ("groups",)
NO_GRADIENT = ("groups", "sequential", "packed_pool", "int8", "birealnet")
ZOO = {
    "quicknet_v1": lqz.sota.QuickNet,
    "binary_resnet_e18": lqz.literature.BinaryResNetE18,
    "bi_real_net": lqz.literature.BiRealNet,
    "binary_densenet28": lqz.literature.BinaryDenseNet28,
    "binary_densenet37_dilated": lqz.literature.BinaryDenseNet37Dilated,
    "real_to_binary_net": lqz.literature.RealToBinaryNet,
    "meliusnet22": lqz.literature.MeliusNet22,
    "binary_alexnet": lqz.literature.BinaryAlexNet,
    "xnornet": lqz.literature.XNORNet,
}
WIDEST_DIFFERENCE = 1e-5
INT8_RANGE = (-8.0, 8.0)


def fill(model, name):
    """Weights from seeds, and norms with statistics as after some training."""
    places = Counter()
    for layer in model.layers:
        kind = type(layer).__name__
        layer.set_weights(
            [
                draws.draw(name, kind, places[kind], w.name.split("/")[-1].split(":")[0], w.shape)
                for w in layer.weights
            ]
        )
        places[kind] += 1


def convert(model, name):
    if name != "int8":
        return lce.convert_keras_model(model)
    types = {"inference_input_type": tf.int8, "inference_output_type": tf.int8}
    return lce.convert_keras_model(model, experimental_default_int8_range=INT8_RANGE, **types)


def asked(model, name):
    """The interpreter's result for a picture, and the gradient, under the names of the archive."""
    file = convert(model, name)
    x = draws.picture_for(name, model.input_shape[1:3])
    interpreter = Interpreter(file, use_reference_bconv=True)
    given = x if name != "int8" else quantized(x, interpreter)
    y = np.asarray(interpreter.predict(given))
    optimized = y
    if name not in ONLY_REFERENCE_KERNELS:
        optimized = np.asarray(Interpreter(file).predict(given)).astype(np.float32)
    print(
        f"{name}: {len(file)} bytes, optimized kernels differ by {abs(optimized - y).max():.1e}",
        end="",
    )
    answers = {"file": np.frombuffer(file, np.uint8), "y": y}
    if name == "int8":
        print()
        return answers
    variable = tf.constant(x)
    ends_in_softmax = isinstance(model.layers[-1], K.Softmax | K.Activation)
    before = model.layers[-2 if ends_in_softmax else -1]
    to_logits = tf.keras.Model(model.input, before.output)
    answers["logits"] = to_logits(variable).numpy()
    cotangent = draws.rng(name, "cotangent").normal(size=y.shape).astype(np.float32)
    difference = abs(model(x).numpy() - y).max() / abs(y).max()
    print(f", Keras by {difference:.1e} of the largest")
    if name in ZOO:  # so deep that some value is always near 0
        return {**answers, "x": x}
    assert difference < WIDEST_DIFFERENCE, "a sign is too near to 0: take another seed"
    if name in NO_GRADIENT:
        return answers
    with tf.GradientTape() as tape:
        tape.watch(variable)
        loss = tf.reduce_sum(to_logits(variable) * cotangent)
    return {**answers, "cotangent": cotangent, "of_x": tape.gradient(loss, variable).numpy()}


def quantized(x, interpreter):
    scale, zero_point = interpreter.input_scales[0], interpreter.input_zero_points[0]
    return np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)


def write_small(names):
    """All networks, or updated ones with these names."""
    path = Path(__file__).with_name("lce.npz")
    archive = dict(np.load(path)) if names and path.exists() else {}
    for name in names or NETWORKS:
        tf.keras.backend.clear_session()
        model = NETWORKS[name]()
        fill(model, name)
        archive |= {f"{name} {key}": value for key, value in asked(model, name).items()}
        np.savez_compressed(path, **archive)
    print(f"{path}: {path.stat().st_size} bytes")


def write_zoo(folder, names):
    for name in names or ZOO:
        side = 224 if name in ("binary_alexnet", "xnornet") else 64
        tf.keras.backend.clear_session()
        model = ZOO[name](input_shape=(side, side, 3), weights=None)
        fill(model, name)
        answers = asked(model, name)
        Path(folder, f"{name}.tflite").write_bytes(answers.pop("file").tobytes())
        np.savez(Path(folder, f"{name}.npz"), **answers)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--zoo"]:
        write_zoo(sys.argv[2], sys.argv[3:])
    else:
        write_small(sys.argv[1:])
