"""Weights and pictures from seeds, for both sides of a comparison; needs only NumPy.

A weight depends on the network's name, the Keras class prefix of its layer, the layer's place among
those of that class, and its own name and shape. Keras and bnnjax thus draw the same weights,
although they create layers in different orders.
"""

import zlib

import numpy as np


def rng(*words: object) -> np.random.Generator:
    """A generator that depends only on the words."""
    return np.random.default_rng([zlib.crc32(str(word).encode()) for word in words])


def draw(network: str, prefix: str, place: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight, float32, such that activations stay near 1 through networks of any depth."""
    random = rng(network, prefix, place, name)
    channels = shape[-1]
    if name == "gamma":
        value = random.choice([-1, 1], shape, p=[0.1, 0.9]) * random.uniform(0.5, 1.5, shape)
    elif name in ("beta", "bias"):
        value = random.normal(0, 0.3, shape)
    elif name == "moving_mean":
        value = random.normal(0, 0.3 * np.sqrt(9 * channels), shape)
    elif name == "moving_variance":
        value = 9 * channels * random.uniform(0.5, 2, shape)
    elif name == "alpha":
        value = random.uniform(0, 0.5, shape)
    else:
        # Convolutions of floats come out as large as binary 3×3 ones, which the norms expect.
        depthwise = name == "depthwise_kernel"
        fan_in = np.prod(shape[:2]) if depthwise else np.prod(shape[:-1])
        gain = 3 * np.sqrt(np.prod(shape[2:]) if depthwise else channels) if len(shape) == 4 else 1
        value = random.normal(0, gain * fan_in**-0.5, shape)
        value[random.random(shape) < 0.01] = random.choice([0.0, -0.0])  # whose signs are +1
    return value.astype(np.float32)


def picture(network: str, side: int) -> np.ndarray:
    """A normalised picture [1, side, side, 3]: smooth, with grain."""
    random = rng(network, "picture", side)
    y, x = np.mgrid[:side, :side][..., None] / side
    waves = np.sin(random.uniform(2, 9, 3) * x + random.uniform(2, 9, 3) * y)
    return (waves + random.normal(0, 0.3, (side, side, 3)))[None].astype(np.float32)


def picture_for(network: str, size: tuple[int, int]) -> np.ndarray:
    """A normalised picture [1, height, width, 3] of this size."""
    return picture(network, max(size))[:, : size[0], : size[1]]


def cotangent(network: str, classes: int) -> np.ndarray:
    """A cotangent of the logits [1, classes]."""
    return rng(network, "cotangent").normal(size=(1, classes)).astype(np.float32)


def positions(layer: str, size: int, count: int) -> np.ndarray:
    """Where to sample a flattened tensor of ``size`` values."""
    return rng(layer, "positions").integers(0, size, min(count, size))


def float_kernel(network: str, layer: str, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel [..., in, out] that preserves the size of activations after ReLU."""
    deviation = np.sqrt(2 / np.prod(shape[:-1]))
    return rng(network, layer, "kernel").normal(0, deviation, shape).astype(np.float32)


def float_bias(network: str, layer: str, shape: tuple[int, ...]) -> np.ndarray:
    """Its bias."""
    return rng(network, layer, "bias").normal(0, 0.3, shape).astype(np.float32)
