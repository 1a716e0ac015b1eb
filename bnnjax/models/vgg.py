"""VGG-19's convolutions, the float network style transfer grew up with.

Simonyan & Zisserman, *Very Deep Convolutional Networks for Large-Scale Image Recognition*
(ICLR 2015, arXiv:1409.1556), table 1, column E, up to conv5_1: the deepest layer of
Gatys et al., *Image Style Transfer Using Convolutional Neural Networks* (CVPR 2016), who also
proposed the average pooling offered here.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from bnnjax.layers import Options
from bnnjax.models.entry import Entry

# (channels, convolutions) of blocks 1 to 5.
BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 1))

# Mean of ImageNet's blue, green and red in 0..255, as the authors subtracted it.
BGR_MEAN = (103.939, 116.779, 123.68)

SMALLEST = 2 ** (len(BLOCKS) - 1)  # px

POOLINGS = {"max": nn.max_pool, "avg": nn.avg_pool}


def layer_names() -> tuple[str, ...]:
    """Names of the convolutions from input to output: `conv1_1` … `conv5_1`."""
    return tuple(
        f"conv{block}_{index}"
        for block, (_, convolutions) in enumerate(BLOCKS, start=1)
        for index in range(1, convolutions + 1)
    )


def kernel_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Shape [3,3,in,out] of every convolution's kernel."""
    outputs = [channels for channels, convolutions in BLOCKS for _ in range(convolutions)]
    inputs = [3, *outputs[:-1]]
    return {n: (3, 3, i, o) for n, i, o in zip(layer_names(), inputs, outputs, strict=True)}


def normalize(images: jax.Array) -> jax.Array:
    """sRGB images in [0,1], [...,3], to what the weights expect: 0..255, BGR, mean subtracted.

    Raises ValueError unless the last axis holds three channels.
    """
    if images.ndim == 0 or images.shape[-1] != 3:
        raise ValueError(f"got images of shape {images.shape}; need three channels last (RGB)")
    return 255.0 * images[..., ::-1] - jnp.asarray(BGR_MEAN, images.dtype)


def tap_names() -> tuple[str, ...]:
    """Names of the activations from input to output: `relu1_1` … `relu5_1`."""
    return tuple(name.replace("conv", "relu") for name in layer_names())


def takes(side: int) -> bool:
    """Whether a picture may have a side of so many pixels: four pools must leave one."""
    return side >= SMALLEST


class VGG19(nn.Module):
    """VGG-19 up to conv5_1.

    `pooling` is "max" (the trained network) or "avg" (Gatys et al.); anything else is a
    ValueError. Convolutions are 3×3 with zero padding SAME, pools 2×2 with stride 2, VALID.
    """

    pooling: str = "max"

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[None, dict[str, jax.Array]]:
        """Activations of images [N,H,W,3] that went through `normalize`; H and W at least 16.

        Returns (None, taps): there is no head, hence no logits; `taps` holds each convolution's
        output after its ReLU, [N,H/2^(B-1),W/2^(B-1),C], as `relu1_1` … `relu5_1`.
        Raises ValueError when `pooling` is unknown or `images` has another shape.
        """
        _check_images(images)
        pool = _pooling(self.pooling)
        x, taps = images, {}
        for block, (channels, convolutions) in enumerate(BLOCKS, start=1):
            if block > 1:
                x = pool(x, (2, 2), strides=(2, 2), padding="VALID")
            for index in range(1, convolutions + 1):
                layer = nn.Conv(channels, (3, 3), padding="SAME", name=f"conv{block}_{index}")
                x = taps[f"relu{block}_{index}"] = nn.relu(layer(x))
        return None, taps


def _pooling(name: str) -> Callable[..., jax.Array]:
    if name not in POOLINGS:
        raise ValueError(f"got pooling={name!r}; need one of {sorted(POOLINGS)}")
    return POOLINGS[name]


def _check_images(images: jax.Array) -> None:
    if images.ndim != 4 or images.shape[-1] != 3 or min(images.shape[1:3]) < SMALLEST:
        raise ValueError(
            f"got images of shape {images.shape}; need [N,H,W,3] with H and W at least {SMALLEST}"
        )


def build(*, frozen: bool, options: Options, classes: int | None) -> VGG19:
    """The module for the registry; a float network is the same frozen or not, and has no head."""
    del frozen, classes
    return VGG19(pooling=options.pooling)


ENTRIES = (
    Entry(
        name="vgg19",
        build=build,
        normalize=normalize,
        options=Options(),
        taps=tap_names(),
        style_taps=("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        content_taps=("relu4_2",),
        takes=takes,
        stride=16,
        classes=None,
        top1=71.3,
        top5=90.0,
        parameters=143_667_240,
        mebibytes=548.05,
        paper="Simonyan & Zisserman, arXiv 1409.1556",
    ),
)
