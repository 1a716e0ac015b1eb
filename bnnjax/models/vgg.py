"""VGG-16 and VGG-19, the float networks that style transfer grew up with.

Simonyan & Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*
(ICLR 2015, arXiv:1409.1556), table 1, columns D and E. VGG-19 is there a second time up to conv5_1
alone: the deepest layer of Gatys et al., *Image Style Transfer Using Convolutional Neural Networks*
(CVPR 2016), who also proposed the average pooling offered here.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.layers import Options
from bnnjax.models.entry import Entry
from bnnjax.models.imagenet import CLASSES, bgr

Blocks = tuple[tuple[int, int], ...]  # (channels, convolutions) of each block

VGG16: Blocks = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
VGG19: Blocks = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
TO_CONV5_1: Blocks = (*VGG19[:4], (512, 1))

# Mean of ImageNet's blue, green and red in 0..255, as the authors subtracted it.
BGR_MEAN = (103.939, 116.779, 123.68)

CELLS = 7  # rows and columns that the classifier sees
HIDDEN = 4096  # values between its layers

POOLINGS = {"max": nn.max_pool, "avg": nn.avg_pool}

normalize = partial(bgr, mean=BGR_MEAN)


def layer_names(blocks: Blocks) -> tuple[str, ...]:
    """Names of the convolutions from input to output: `conv1_1` …"""
    return tuple(
        f"conv{block}_{index}"
        for block, (_, convolutions) in enumerate(blocks, start=1)
        for index in range(1, convolutions + 1)
    )


def kernel_shapes(blocks: Blocks) -> dict[str, tuple[int, int, int, int]]:
    """Shape [3,3,in,out] of every convolution's kernel."""
    outputs = [channels for channels, convolutions in blocks for _ in range(convolutions)]
    inputs = [3, *outputs[:-1]]
    return {n: (3, 3, i, o) for n, i, o in zip(layer_names(blocks), inputs, outputs, strict=True)}


def tap_names(blocks: Blocks) -> tuple[str, ...]:
    """Names of the activations from input to output: `relu1_1` …"""
    return tuple(name.replace("conv", "relu") for name in layer_names(blocks))


class VGG(nn.Module):
    """A VGG of these blocks, without ``classes`` only its convolutions.

    `pooling` is "max" (the trained network) or "avg" (Gatys et al.); anything else is a
    ValueError. Convolutions are 3×3 with zero padding SAME, pools 2×2 with stride 2, VALID.
    """

    blocks: Blocks
    classes: int | None = None
    pooling: str = "max"

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array | None, dict[str, jax.Array]]:
        """Logits and activations of images [N,H,W,3] that went through `normalize`; H and W at
        least 16, and with a classifier 32.

        Returns:
          (logits [N,classes], or None without; taps): `taps` holds each convolution's output after
          its ReLU, [N,H/2^(B-1),W/2^(B-1),C], as `relu1_1` ….

        Raises:
          ValueError: `pooling` is unknown or `images` has another shape.
        """
        self._check(images)
        pool = _pooling(self.pooling)
        x, taps = images, {}
        for block, (channels, convolutions) in enumerate(self.blocks, start=1):
            if block > 1:
                x = pool(x, (2, 2), strides=(2, 2), padding="VALID")
            for index in range(1, convolutions + 1):
                layer = nn.Conv(channels, (3, 3), padding="SAME", name=f"conv{block}_{index}")
                x = taps[f"relu{block}_{index}"] = nn.relu(layer(x))
        if self.classes is None:
            return None, taps
        x = pool(x, (2, 2), strides=(2, 2), padding="VALID")
        return self._classify(x, self.classes), taps

    def _classify(self, x: jax.Array, classes: int) -> jax.Array:
        x = to_cells(x).reshape(x.shape[0], -1)
        for name in ("fc1", "fc2"):
            x = nn.relu(nn.Dense(HIDDEN, name=name)(x))
        return nn.Dense(classes, name="predictions")(x)

    def _check(self, images: jax.Array) -> None:
        least = smallest(self.blocks, top=self.classes is not None)
        if images.ndim != 4 or images.shape[-1] != 3 or min(images.shape[1:3]) < least:
            raise ValueError(
                f"got images of shape {images.shape}; need [N,H,W,3] with H and W at least {least}"
            )


def smallest(blocks: Blocks, *, top: bool) -> int:
    """Side in px of the smallest picture: a pool between blocks and one before the classifier."""
    return 2 ** (len(blocks) - 1 + top)


def to_cells(x: jax.Array) -> jax.Array:
    """Means over 7×7 cells, as even as may be: [N,h,w,C] → [N,7,7,C].

    Pictures of 224 px are left as they are. The authors' classifier takes no others; so that it
    may, cells are those of torch's adaptive average pooling, from ⌊i·h/7⌋ to before ⌈(i+1)·h/7⌉.
    """
    rows, columns = (_cells(size) for size in x.shape[1:3])
    return jnp.einsum("nhwc,yh,xw->nyxc", x, rows, columns)


def _cells(size: int) -> np.ndarray:
    edges = np.arange(CELLS + 1) * size
    first, end = edges[:-1] // CELLS, -(-edges[1:] // CELLS)
    places = np.arange(size)
    inside = (first[:, None] <= places) & (places < end[:, None])
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def _pooling(name: str) -> Callable[..., jax.Array]:
    if name not in POOLINGS:
        raise ValueError(f"got pooling={name!r}; need one of {sorted(POOLINGS)}")
    return POOLINGS[name]


def build(blocks: Blocks, *, frozen: bool, options: Options, classes: int | None) -> VGG:
    """The module for the registry; a float network is the same frozen or not."""
    del frozen
    return VGG(blocks, classes, options.pooling)


def keras_name(name: str) -> str:
    """What `conv3_2` is in `keras.applications`: `block3_conv2`; dense layers have its names."""
    return re.sub(r"conv(\d+)_(\d+)", r"block\1_conv\2", name)


def _entry(name: str, blocks: Blocks, *, top: bool, **published: Any) -> Entry:
    least = smallest(blocks, top=top)
    return Entry(
        name=name,
        build=partial(build, blocks),
        normalize=normalize,
        options=Options(),
        taps=tap_names(blocks),
        style_taps=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        content_taps=("relu4_2",),
        takes=least.__le__,
        stride=least,
        classes=CLASSES if top else None,
        paper="Simonyan & Zisserman, arXiv 1409.1556",
        keras_name=keras_name,
        **published,
    )


# Accuracies of Keras' ports of the authors' weights, of one crop; the convolutions alone have none,
# and stand for their network.
_OF_19 = {"top1": 71.3, "top5": 90.0, "parameters": 143_667_240, "mebibytes": 548.05}
ENTRIES = (
    _entry(
        "vgg16", VGG16, top=True, top1=71.3, top5=90.1, parameters=138_357_544, mebibytes=527.79
    ),
    _entry("vgg19", VGG19, top=True, **_OF_19),
    _entry("vgg19_conv5_1", TO_CONV5_1, top=False, **_OF_19),
)
