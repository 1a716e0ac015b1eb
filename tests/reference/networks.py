"""Stores results of Larq Zoo's networks, which tests/port/keras/test_importer.py reads.

Run in the environment of make_environment.sh:

    PYTHON="${BNNJAX_REFERENCE_ENV:-$HOME/.cache/bnnjax/reference-env}/bin/python"
    "$PYTHON" tests/reference/networks.py                      # the small answers beside this file
    "$PYTHON" tests/reference/networks.py --output=DIR NAME …  # all tensors and .h5 files, to DIR

Weights are those of draws.py. For each layer with weights, NAME/PREFIX:PLACE is its class' prefix
and its place among those (of layers with names of their own, that name and 0); entries below it are
``input``, ``output`` and the ``activation`` that the output includes.
The small results of AlexNet's relatives are for classifiers with 128 channels instead of 4096, and
for pictures of 224 px, because their classifiers do not accept other sides.
Further entries: ``logits``, ``gradient`` of the picture for draws.cotangent, and ``counts`` of
lq.models.summary: parameters, memory in bits, 1-bit and other multiply-accumulates at 224 px.
The gradient of a max-pool goes to one of the largest values. Where scaled sums of signs are pooled,
many are equal except for Larq's rounding, which then decides. For these networks (TIES), the
gradient is therefore computed with mean-pools.
"""

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import draws
import larq as lq
import larq_zoo as lqz
import numpy as np
import tensorflow as tf
from larq.models import ModelProfile

SIDE = 64
HIDDEN = 128  # instead of 4096
FILTERS = (64, 128, 256, 512)
LAYERS = tf.keras.layers
CONV = {"use_bias": False}
BINARY = {
    "input_quantizer": lq.quantizers.SteSign(clip_value=1.25),
    "kernel_quantizer": lq.quantizers.SteSign(clip_value=1.25),
    "kernel_constraint": lq.constraints.WeightClip(clip_value=1.25),
    "padding": "same",
    "pad_values": 1.0,
    "activation": "relu",
    "use_bias": False,
}


# --- QuickNet of zoo 1.0.5, which larq_zoo no longer has -------------------------------------


def norm(x: tf.Tensor) -> tf.Tensor:
    return LAYERS.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def gate(x: tf.Tensor, filters: int) -> tf.Tensor:
    squeezed = LAYERS.GlobalAveragePooling2D()(x)
    hidden = LAYERS.Dense(x.shape[-1] // 16, activation="relu", use_bias=False)(squeezed)
    weights = LAYERS.Dense(filters, activation="sigmoid", use_bias=False)(hidden)
    return LAYERS.Reshape((1, 1, filters))(weights)


def conv_block(x: tf.Tensor, filters: int, strides: int, excited: bool) -> tf.Tensor:
    weights = gate(x, filters) if excited else None
    y = norm(lq.layers.QuantConv2D(filters, 3, strides=strides, **BINARY)(x))
    return LAYERS.Multiply()([y, weights]) if excited else y


def quicknet_v0(
    side: int, *, blocks: tuple[int, ...], pointwise: bool, excited: tuple[int, ...]
) -> tf.keras.Model:
    picture = tf.keras.Input((side, side, 3))
    x = LAYERS.Conv2D(8, 3, strides=2, padding="same", **CONV)(picture)
    x = LAYERS.DepthwiseConv2D(
        3, strides=2, padding="same", depth_multiplier=8, activation="relu", **CONV
    )(x)
    x = norm(x)
    for section, (count, filters) in enumerate(
        zip(blocks, (64, 128, 256, 512), strict=True), start=1
    ):
        for block in range(count):
            with_gate = section in excited
            if section == 1 or block > 0:
                x = conv_block(x, x.shape[-1], 1, with_gate) + x
                continue
            pooled = LAYERS.MaxPool2D(2, strides=2)(x)
            if pointwise:
                shortcut = norm(LAYERS.Conv2D(filters, 1, **CONV)(pooled))
                x = conv_block(x, filters, 2, with_gate) + shortcut
            else:
                shortcut = norm(pooled)
                y = conv_block(x, x.shape[-1], 2, with_gate) + shortcut
                x = LAYERS.Concatenate()([shortcut, y])
    x = LAYERS.GlobalAveragePooling2D()(LAYERS.Activation("relu")(x))
    x = LAYERS.Dense(1000)(x)
    return tf.keras.Model(picture, LAYERS.Activation("softmax")(x))


def of_zoo(build: Callable[..., tf.keras.Model]) -> Callable[[int], tf.keras.Model]:
    return lambda side: build(input_shape=(side, side, 3), weights=None)


def of_v0(**options: object) -> Callable[[int], tf.keras.Model]:
    return lambda side: quicknet_v0(side, **options)


LITERATURE = {
    "binary_alexnet": lqz.literature.BinaryAlexNet,
    "xnornet": lqz.literature.XNORNet,
    "dorefanet": lqz.literature.DoReFaNet,
    "birealnet": lqz.literature.BiRealNet,
    "binary_resnet_e18": lqz.literature.BinaryResNetE18,
    "binary_densenet28": lqz.literature.BinaryDenseNet28,
    "binary_densenet37": lqz.literature.BinaryDenseNet37,
    "binary_densenet37_dilated": lqz.literature.BinaryDenseNet37Dilated,
    "binary_densenet45": lqz.literature.BinaryDenseNet45,
    "meliusnet22": lqz.literature.MeliusNet22,
    "real_to_binary_net": lqz.literature.RealToBinaryNet,
}
ALEXNETS = ("binary_alexnet", "xnornet", "dorefanet")
TIES = ("xnornet", "dorefanet")
NETWORKS = {
    "quicknet_small": of_zoo(lqz.sota.QuickNetSmall),
    "quicknet": of_zoo(lqz.sota.QuickNet),
    "quicknet_large": of_zoo(lqz.sota.QuickNetLarge),
    "quicknet_v0": of_v0(blocks=(2, 3, 4, 4), pointwise=False, excited=()),
    "quicknet_large_v0": of_v0(blocks=(4, 4, 4, 4), pointwise=True, excited=(3, 4)),
    "quicknet_xl_v0": of_v0(blocks=(6, 8, 12, 6), pointwise=True, excited=(3, 4)),
    **{name: of_zoo(build) for name, build in LITERATURE.items()},
}


def narrow(network: str, side: int) -> tf.keras.Model:
    """A network whose layers of 4096 channels have fewer."""

    def narrower(layer: type) -> Callable[..., tf.keras.layers.Layer]:
        def make(*features: int, **options: object) -> tf.keras.layers.Layer:
            first, *others = features or (options.pop("filters"),)
            return layer(HIDDEN if first == 4096 else first, *others, **options)

        return make

    conv, dense = narrower(lq.layers.QuantConv2D), narrower(lq.layers.QuantDense)
    with mock.patch.multiple(lq.layers, QuantConv2D=conv, QuantDense=dense):
        return NETWORKS[network](side)


# --- results ---------------------------------------------------------------------------------


def weighted_layers(model: tf.keras.Model) -> dict[str, tf.keras.layers.Layer]:
    """Layers with weights by PREFIX:PLACE, their place counted in the order of creation."""
    by_prefix: dict[str, list[tuple[int, tf.keras.layers.Layer]]] = {}
    for layer in model.layers:
        if layer.weights:
            prefix, counter = re.fullmatch(r"(.*?)(?:_(\d+))?", layer.name).groups()
            by_prefix.setdefault(prefix, []).append((int(counter or 0), layer))
    return {
        f"{prefix}:{place}": layer
        for prefix, found in by_prefix.items()
        for place, (_, layer) in enumerate(sorted(found, key=lambda pair: pair[0]))
    }


def set_weights(network: str, layers: dict[str, tf.keras.layers.Layer]) -> None:
    for key, layer in layers.items():
        prefix, place = key.split(":")
        names = [weight.name.split("/")[-1].removesuffix(":0") for weight in layer.weights]
        shapes = [tuple(weight.shape) for weight in layer.weights]
        layer.set_weights(
            [
                draws.draw(network, prefix, int(place), n, s)
                for n, s in zip(names, shapes, strict=True)
            ]
        )


def answers(network: str, side: int | None, folder: Path | None) -> dict[str, np.ndarray]:
    tf.keras.backend.clear_session()
    side = side or (224 if network in ALEXNETS else SIDE)
    if network != "quicknet_small":
        NETWORKS["quicknet_small"](64)  # counters that do not start at 0
    build = NETWORKS[network] if folder else partial(narrow, network)
    model = build(side)
    layers = weighted_layers(model)
    set_weights(network, layers)
    if folder is not None:
        model.save_weights(folder / f"{network}.h5")
    softmax = model.layers[-1]
    tensors = [tensor for layer in layers.values() for tensor in (layer.input, layer.output)]
    probe = tf.keras.Model(model.input, [softmax.input, *tensors])
    picture = tf.constant(draws.picture(network, side))
    logits, *values = probe(picture, training=False)
    if network in TIES:
        with mock.patch.object(LAYERS, "MaxPool2D", LAYERS.AveragePooling2D):
            model = build(side)
        set_weights(network, weighted_layers(model))
    found = {"logits": logits, "gradient": gradient(network, model, picture)}
    for key, before, after in zip(layers, values[::2], values[1::2], strict=True):
        found |= {f"{key}/input": before, f"{key}/output": after}
        activation = getattr(layers[key], "activation", None)
        found[f"{key}/activation"] = activation.__name__ if activation else "linear"
    return {name: np.asarray(value) for name, value in found.items()} | {"counts": counts(network)}


def gradient(network: str, model: tf.keras.Model, picture: tf.Tensor) -> tf.Tensor:
    probe = tf.keras.Model(model.input, model.layers[-1].input)
    with tf.GradientTape() as tape:
        tape.watch(picture)
        logits = probe(picture, training=False)
    return tape.gradient(logits, picture, tf.constant(draws.cotangent(network, logits.shape[-1])))


def counts(network: str) -> np.ndarray:
    profile = ModelProfile(NETWORKS[network](224))
    binary = profile.op_count("mac", 1)
    return np.asarray(
        [profile.weight_count(), profile.memory, binary, profile.op_count("mac") - binary]
    )


def samples(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A few values of each output, all logits, and a part of the gradient."""
    few = {"logits": found["logits"], "counts": found["counts"]}
    for name, value in found.items():
        if name.endswith("/activation"):
            few[name] = value
        elif name.endswith("/output") or name == "gradient":
            count = 256 if name == "gradient" else 24
            few[name] = value.reshape(-1)[draws.positions(name, value.size, count)]
    return few


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="folder for whole tensors and .h5 files")
    parser.add_argument("--side", type=int, help="of the picture, px; by default 64, or 224")
    parser.add_argument("networks", nargs="*", help="names; all without")
    arguments = parser.parse_args()
    stored: dict[str, np.ndarray] = {}
    for network in arguments.networks or NETWORKS:
        found = answers(network, arguments.side, arguments.output)
        if arguments.output:
            np.savez(arguments.output / f"{network}.npz", **found)
        stored |= {f"{network}/{name}": value for name, value in samples(found).items()}
        print(network, flush=True)
    if not arguments.output:
        path = Path(__file__).with_name("networks.npz")
        np.savez_compressed(path, **(dict(np.load(path)) if arguments.networks else {}) | stored)


if __name__ == "__main__":
    main()
