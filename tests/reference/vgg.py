"""Stores results of Keras' VGG-16 and VGG-19, which tests/models/test_vgg.py reads.

Run in the environment of make_environment.sh:

    PYTHON="${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}/bin/python"
    "$PYTHON" tests/reference/vgg.py

For each network NAME, vgg.npz holds ``NAME layers``, the convolutions in their order; ``NAME
LAYER``, values of the layer's result at ``draws.positions`` for a picture of `SIDE` px and weights
of `draws.float_kernel`; ``NAME parameters``, with the classifier; and ``NAME h5`` and ``NAME
h5_notop``, what a file of its weights holds: lines ``LAYER WEIGHT SHAPE…``.
"""

import tempfile
from pathlib import Path

import draws
import h5py
import numpy as np
import tensorflow as tf

SIDE = 32
APPLICATIONS = tf.keras.applications
NETWORKS = {
    "vgg16": (APPLICATIONS.VGG16, APPLICATIONS.vgg16.preprocess_input),
    "vgg19": (APPLICATIONS.VGG19, APPLICATIONS.vgg19.preprocess_input),
}


def convolutions(model: tf.keras.Model) -> list[tf.keras.layers.Layer]:
    return [layer for layer in model.layers if layer.weights]


def samples(name: str) -> dict[str, np.ndarray]:
    build, preprocess = NETWORKS[name]
    model = build(weights=None, include_top=False, input_shape=(SIDE, SIDE, 3))
    layers = convolutions(model)
    for layer in layers:
        kernel, bias = (weight.shape for weight in layer.weights)
        layer.set_weights(
            [draws.float_kernel(name, layer.name, kernel), draws.float_bias(name, layer.name, bias)]
        )
    outputs = tf.keras.Model(model.input, [layer.output for layer in layers])
    picture = draws.rng(name, "picture").uniform(size=(1, SIDE, SIDE, 3)).astype(np.float32)
    results = outputs(preprocess(255 * picture))
    answers = {"layers": np.array([layer.name for layer in layers])}
    for layer, result in zip(layers, results, strict=True):
        flat = result.numpy().reshape(-1)
        answers[layer.name] = flat[draws.positions(layer.name, flat.size, 400)]
    return answers


def layout(model: tf.keras.Model) -> np.ndarray:
    """The contents of the file: Keras' list of its layers and their weights."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.h5")
        model.save_weights(path)
        lines = []
        with h5py.File(path) as file:
            for layer in file.attrs["layer_names"]:
                for weight in file[layer].attrs["weight_names"]:
                    lines.append(" ".join(map(str, (layer, weight, *file[layer][weight].shape))))
    return np.array(lines)


def main() -> None:
    arrays = {}
    for name, (build, _) in NETWORKS.items():
        arrays |= {f"{name} {key}": value for key, value in samples(name).items()}
        model = build(weights=None)
        arrays[f"{name} parameters"] = np.array(model.count_params())
        arrays[f"{name} h5"] = layout(model)
        arrays[f"{name} h5_notop"] = layout(build(weights=None, include_top=False))
    target = Path(__file__).with_suffix(".npz")
    np.savez_compressed(target, versions=f"tensorflow {tf.__version__}", **arrays)
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
