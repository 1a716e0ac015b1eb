"""VGG-16 and VGG-19, the classic float networks for style transfer.

Simonyan & Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*
(ICLR 2015, arXiv:1409.1556), table 1, columns D and E. A second VGG-19 ends at conv5_1, the deepest
layer used by Gatys et al., *Image Style Transfer Using Convolutional Neural Networks* (CVPR 2016),
who also proposed the average pooling offered here.

Taps are the convolutions after ReLU: ``relu1_1`` follows the layer ``conv1_1``, and so on.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.layers import Options, blur_pool
from bnnjax.models.entry import Card, Entry, KerasFile, Sizes, Style, Weights
from bnnjax.models.imagenet import CLASSES, bgr
from bnnjax.models.tapped import Tapped

Blocks = tuple[tuple[int, int], ...]  # (channels, convolutions) of each block

VGG16: Blocks = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
VGG19: Blocks = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
TO_CONV5_1: Blocks = (*VGG19[:4], (512, 1))

# The mean of ImageNet's blue, green and red in 0..255 that the authors subtracted.
BGR_MEAN = (103.939, 116.779, 123.68)

CELLS = 7  # rows and columns of the classifier's input
HIDDEN = 4096  # width of the classifier


def _blur_pool(
    x: jax.Array, size: tuple[int, int], *, strides: tuple[int, int], padding: str
) -> jax.Array:
    return blur_pool(x, size=size, stride=strides, padding=padding)


POOLINGS: dict[str, Callable[..., jax.Array]] = {
    "max": nn.max_pool,
    "avg": nn.avg_pool,
    "blur": _blur_pool,
}

# The method of Gatys et al. (CVPR 2016): pixels, starting from the photograph, Gram, L-BFGS.
GATYS = {
    "parametrization": "pixels",
    "optimizer": "lbfgs",
    "statistics": "gram",
    "init": "content",
    "jitter": 0,
    "steps": 200,
    "content_weight": 0.6,
    "tv_weight": 0.1,
    "color_weight": 0,
}

normalize = partial(bgr, mean=BGR_MEAN)


def layer_names(blocks: Blocks) -> tuple[str, ...]:
    """The names of the convolutions from input to output: `conv1_1` …"""
    return tuple(
        f"conv{block}_{index}"
        for block, (_, convolutions) in enumerate(blocks, start=1)
        for index in range(1, convolutions + 1)
    )


def kernel_shapes(blocks: Blocks) -> dict[str, tuple[int, int, int, int]]:
    """The shape [3, 3, in, out] of every convolution's kernel."""
    outputs = [channels for channels, convolutions in blocks for _ in range(convolutions)]
    inputs = [3, *outputs[:-1]]
    return {n: (3, 3, i, o) for n, i, o in zip(layer_names(blocks), inputs, outputs, strict=True)}


class VGG(Tapped):
    """[N, H, W, 3] pictures from `normalize` → logits [N, num_classes], or None without
    ``num_classes``.

    Convolutions are 3×3 with zero padding (SAME), pools 2×2 with stride 2 (VALID).
    """

    blocks: Blocks
    num_classes: int | None = None
    options: Options = Options()

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array | None:
        """Logits.

        Raises:
          ValueError: the wrong rank or number of channels, or sides below `smallest`.
        """
        self._check(images)
        pool, x = POOLINGS[self.options.pooling], images
        for block, (channels, convolutions) in enumerate(self.blocks, start=1):
            if block > 1:
                x = pool(x, (2, 2), strides=(2, 2), padding="VALID")
            for index in range(1, convolutions + 1):
                layer = nn.Conv(channels, (3, 3), padding="SAME", name=f"conv{block}_{index}")
                x = self.tap(f"relu{block}_{index}", nn.relu(layer(x)))
        if self.num_classes is None:
            return None
        x = pool(x, (2, 2), strides=(2, 2), padding="VALID")
        return self._classify(x, self.num_classes)

    def _classify(self, x: jax.Array, num_classes: int) -> jax.Array:
        x = to_cells(x).reshape(x.shape[0], -1)
        for name in ("fc1", "fc2"):
            x = nn.relu(nn.Dense(HIDDEN, name=name)(x))
        return nn.Dense(num_classes, name="predictions")(x)

    def _check(self, images: jax.Array) -> None:
        least = smallest(self.blocks, top=self.num_classes is not None)
        if images.ndim != 4 or images.shape[-1] != 3 or min(images.shape[1:3]) < least:
            raise ValueError(
                f"images have shape {images.shape}, need [N, height, width, 3] "
                f"with sides of at least {least} px"
            )


def smallest(blocks: Blocks, *, top: bool) -> int:
    """The smallest side of a picture in pixels; a pool separates blocks and classifier."""
    return 2 ** (len(blocks) - 1 + top)


def to_cells(x: jax.Array) -> jax.Array:
    """Means over 7×7 cells of about the same size: [N, h, w, C] → [N, 7, 7, C].

    Features of 224 px pictures, the only size that the authors' classifier takes, are unchanged.
    Others get the cells of torch's adaptive average pooling: rows ⌊i·h/7⌋ to ⌈(i+1)·h/7⌉ − 1.
    """
    rows, columns = (_cells(size) for size in x.shape[1:3])
    return jnp.einsum("nhwc,yh,xw->nyxc", x, rows, columns)


def _cells(size: int) -> np.ndarray:
    edges = np.arange(CELLS + 1) * size
    first, end = edges[:-1] // CELLS, -(-edges[1:] // CELLS)
    places = np.arange(size)
    inside = (first[:, None] <= places) & (places < end[:, None])
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def keras_name(name: str) -> str:
    """The name in `keras.applications`: `block3_conv2` for `conv3_2`; dense layers are the same."""
    return re.sub(r"conv(\d+)_(\d+)", r"block\1_conv\2", name)


def _files(folder: str, md5: str, md5_notop: str) -> tuple[KerasFile, KerasFile]:
    """The files of Keras with and without the classifier."""
    name = f"{folder}_weights_tf_dim_ordering_tf_kernels"
    return (
        KerasFile(folder, f"{name}.h5", md5, True),
        KerasFile(folder, f"{name}_notop.h5", md5_notop, False),
    )


def _entry(
    name: str, blocks: Blocks, files: tuple[KerasFile, ...], *, top: bool, **published: Any
) -> Entry:
    least, num_classes = smallest(blocks, top=top), CLASSES if top else None
    return Entry(
        name=name,
        build=partial(VGG, blocks, num_classes=num_classes),
        normalize=normalize,
        sizes=Sizes(least.__le__, stride=least),
        card=Card("Simonyan & Zisserman, arXiv 1409.1556", num_classes, **published),
        weights=Weights(files, keras_name=keras_name),
        style=Style(
            style_taps=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
            content_taps=("relu4_2",),
            preset=GATYS,
        ),
    )


# Single-crop accuracies of the authors' weights in Keras. The truncated network has none and is
# listed with the figures of the whole one.
_OF_19 = {"top1": 71.3, "top5": 90.0, "parameters": 143_667_240, "mebibytes": 548.05}
# The md5 hashes are those in keras/src/applications/vgg16.py and vgg19.py.
_FILES_16 = _files("vgg16", "64373286793e3c8b2b4e3219cbf3544b", "6d6bbae143d832006294945121d1f1fc")
_FILES_19 = _files("vgg19", "cbe5617147190e668d6c5d5026f83318", "253f8cb515780f3b799900260a226db6")
ENTRIES = (
    _entry(
        "vgg16",
        VGG16,
        _FILES_16,
        top=True,
        top1=71.3,
        top5=90.1,
        parameters=138_357_544,
        mebibytes=527.79,
    ),
    _entry("vgg19", VGG19, _FILES_19, top=True, **_OF_19),
    _entry("vgg19_conv5_1", TO_CONV5_1, _FILES_19[1:], top=False, **_OF_19),
)
