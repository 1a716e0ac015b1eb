"""Stores a model of Keras 3 in all of its file formats, for tests/port/keras/test_own_models.py.

Larq exists for Keras 2 only. This model has layers of the same names and arguments, as somebody who
moves Larq to Keras 3 would write them. Run in an environment with Keras 3 on JAX:

    python3.11 -m venv keras3 && keras3/bin/pip install "keras==3.*" jax h5py
    keras3/bin/python tests/reference/keras3.py

Writes keras3.npz beside this file: ``file NAME`` (bytes), a picture ``x`` and its probabilities
``y``.
"""

import os
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np

LAYERS = keras.layers
registered = keras.saving.register_keras_serializable("Larq")


@registered
class SteSign(LAYERS.Layer):
    def __init__(self, clip_value: float = 1.0, **others: object) -> None:
        super().__init__(**others)
        self.clip_value = clip_value

    def call(self, x: object) -> object:
        return keras.ops.where(x >= 0, 1.0, -1.0)

    def get_config(self) -> dict:
        return {**super().get_config(), "clip_value": self.clip_value}


@registered
class QuantConv2D(LAYERS.Conv2D):
    def __init__(self, *args: object, **others: object) -> None:
        self.input_quantizer = others.pop("input_quantizer")
        self.kernel_quantizer = others.pop("kernel_quantizer")
        super().__init__(*args, **others)

    def call(self, x: object) -> object:
        kernel = self.kernel_quantizer(self.kernel)
        return keras.ops.conv(self.input_quantizer(x), kernel, list(self.strides), self.padding)

    def get_config(self) -> dict:
        names = ("input_quantizer", "kernel_quantizer")
        quantizers = {name: getattr(self, name) for name in names}
        serialized = {n: keras.saving.serialize_keras_object(q) for n, q in quantizers.items()}
        return {**super().get_config(), **serialized}


def model() -> keras.Model:
    inside = keras.Input((12, 12, 8))
    signs = {"input_quantizer": SteSign(1.25), "kernel_quantizer": SteSign()}
    y = QuantConv2D(8, 3, padding="same", use_bias=False, name="conv", **signs)(inside)
    block = keras.Model(inside, LAYERS.BatchNormalization(name="norm")(y), name="block")
    tail = keras.Sequential(
        [
            LAYERS.SeparableConv2D(8, 3),
            LAYERS.LeakyReLU(0.1),
            LAYERS.PReLU(shared_axes=[1, 2]),
            LAYERS.DepthwiseConv2D(3),
        ],
        name="tail",
    )
    image = keras.Input((12, 12, 3))
    x = LAYERS.Rescaling(2.0, -1.0)(image)
    x = LAYERS.Conv2D(8, 3, padding="same", activation="relu", name="stem")(x)
    x = x + block(x)
    x = LAYERS.Add()([x, block(x)])
    x = LAYERS.Activation("hard_sigmoid")(tail(keras.ops.relu(1.0 - x) * 0.5))
    x = LAYERS.GlobalAveragePooling2D()(x)
    return keras.Model(image, LAYERS.Dense(5, activation="softmax")(x))


def main() -> None:
    keras.utils.set_random_seed(0)
    random, made = np.random.default_rng(0), model()
    for weight in made.weights:
        if "variance" not in weight.path:
            weight.assign(weight.numpy() + 0.1 * random.normal(size=weight.shape))
    x = random.random((1, 12, 12, 3)).astype(np.float32)
    arrays = {"x": x, "y": np.asarray(made(x))}
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder, "own.keras"))
        made.save(Path(folder, "whole.h5"))
        made.save_weights(Path(folder, "own.weights.h5"))
        Path(folder, "own.json").write_text(made.to_json())
        for path in Path(folder).iterdir():
            arrays[f"file {path.name}"] = np.frombuffer(path.read_bytes(), np.uint8)
    target = Path(__file__).with_suffix(".npz")
    np.savez_compressed(target, **arrays)
    print(f"{target}: {target.stat().st_size} bytes, Keras {keras.__version__}")


if __name__ == "__main__":
    main()
