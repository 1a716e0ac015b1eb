"""How good a picture is, measured by a float network that it was not made through.

| measure | what | 0 or 1 means |
|---|---|---|
| style | relative Gram distance to the painting, mean over taps | 0: the painting's statistics |
| strokes | the same on luma, matched to the painting's in mean and deviation | 0, as above |
| content | LPIPS-like distance to the photograph, mean over taps | 0: the photograph's features |
| checker | spectral power at periods 2, 4, 8 px over that nearby | 1: no trace of a grid |

Lower is better, but style and content pull against each other. Pictures are float32
[H,W,3], sRGB in [0,1]; feature maps [h,w,C]. A judge is any function `Features`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.models import registry
from bnnjax.models.network import Architecture
from bnnjax.nst.statistics import gram
from bnnjax.port.vgg.npz import read_vgg_npz

Maps = Mapping[str, jax.Array]
Picture = jax.Array | np.ndarray

# Images [N,H,W,3] in [0,1] → feature maps [N,h,w,C] by name.
Features = Callable[[jax.Array], Maps]

# The last layer before a pool, as in LPIPS, at strides 2 to 16. relu1_2 is left out: at stride 1
# it sees 5×5 pixels, colour and contrast, and calls any picture of the right palette finished.
VGG_TAPS = ("relu2_2", "relu3_4", "relu4_4", "relu5_1")

# Rec. 601, made for gamma-encoded values: the Y of the YIQ that Gatys et al. (2017) use.
LUMA = (0.299, 0.587, 0.114)

PERIODS = (2, 4, 8)
# Bins next to a period's: outside a Hann window's main lobe, which reaches 2 bins, yet so near
# that the falling spectrum of a picture without a grid is level on average.
NEARBY = np.array([-6, -5, -4, -3, 3, 4, 5, 6])
SMALLEST_SIDE = 64


def judge(
    picture: Picture, content: Picture, style: Picture, features: Features
) -> dict[str, float]:
    """All four measures of `picture` [H,W,3] made from `content` [H,W,3] and `style` [h,w,3].

    The painting should have about the picture's scale: Gram matrices depend on it. `features` is
    called on batches of the picture's and of the painting's shape.

    Raises ValueError unless all are [H,W,3] with sides of at least 64 and `picture` and `content`
    have the same shape.
    """
    for name, image in (("picture", picture), ("content", content), ("style", style)):
        _check_image(image, name)
    if picture.shape != content.shape:
        raise ValueError(
            f"picture has shape {picture.shape} and content {content.shape}; need the same"
        )
    found, found_grey, photograph = _maps(features, [picture, match_luma(picture, style), content])
    painting, painting_grey = _maps(features, [style, match_luma(style, style)])
    measures = {
        "style": style_distance(found, painting),
        "strokes": style_distance(found_grey, painting_grey),
        "content": content_distance(found, photograph),
        "checker": checker(picture),
    }
    return {name: float(value) for name, value in measures.items()}


def vgg_features(path: str | os.PathLike[str]) -> Features:
    """VGG-19's activations at `VGG_TAPS`, its weights from the file that `read_vgg_npz` reads.

    Raises ValueError as `read_vgg_npz` does.
    """
    return partial(_vgg_maps, read_vgg_npz(path))


@jax.jit
def _vgg_maps(variables: dict[str, Any], images: jax.Array) -> Maps:
    _, taps = Architecture.published(registry.find("vgg19_conv5_1")).apply(variables, images)
    return {name: taps[name] for name in VGG_TAPS}


def style_distance(found: Maps, painting: Maps) -> jax.Array:
    """‖G − Ĝ‖ / ‖Ĝ‖ (Frobenius), mean over taps; a scalar.

    G = FᵀF / positions is the Gram matrix of Gatys et al. (CVPR 2016), so the two may differ in
    height and width. Not squared: one bad tap or picture would outweigh the rest of a mean.
    """
    return jnp.mean(jnp.stack([_relative(gram(found[tap]), gram(painting[tap])) for tap in found]))


def content_distance(found: Maps, photograph: Maps) -> jax.Array:
    """Squared distance of the channel vectors at unit length, mean over positions and taps.

    Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual Metric* (CVPR
    2018), eq. 1, without its learned channel weights. A scalar, 2 − 2 cos: 0 to 4.
    """

    def distance(tap: str) -> jax.Array:
        difference = _unit(found[tap]) - _unit(photograph[tap])
        return jnp.mean(jnp.sum(difference**2, axis=-1))

    return jnp.mean(jnp.stack([distance(tap) for tap in found]))


def match_luma(image: Picture, reference: Picture) -> jax.Array:
    """Luma [H,W,3], channels equal, of `image` with mean and deviation of that of `reference`.

    Gatys et al., *Controlling Perceptual Factors in Neural Style Transfer* (CVPR 2017,
    arXiv:1611.07865), luminance-only transfer: σ̂/σ (Y − μ) + μ̂. May leave [0,1].
    """
    luma, target = _luma(image), _luma(reference)
    # A flat picture has no deviation to scale; it takes the reference's mean.
    scale = jnp.std(target) / jnp.maximum(jnp.std(luma), 1e-6)
    matched = scale * (luma - jnp.mean(luma)) + jnp.mean(target)
    return jnp.repeat(matched[..., None], 3, axis=-1)


def checker(image: Picture) -> jax.Array:
    """Power of the luma at periods 2, 4 and 8 px over its power 3 to 6 bins beside; a scalar.

    The mean of `grid_peaks`. Measure a picture at the size it was made in: resizing hides or moves
    the grid.

    Raises ValueError unless the image is [H,W,3] with sides of at least 64.
    """
    return jnp.mean(grid_peaks(image))


def grid_peaks(image: Picture, *, periods: Sequence[int] = PERIODS) -> jax.Array:
    """The same for each of the periods, powers of 2 in pixels: [periods].

    Mean over both directions of an image [H,W,3] under a Hann window; the power spectra of each
    direction are averaged across the other. Sides are cut to multiples of the longest period, so
    that the periods fall on bins.

    Raises ValueError as `checker` does.
    """
    _check_image(image, "image")
    longest = max(periods)
    height, width = (side // longest * longest for side in image.shape[:2])
    luma = _luma(image)[:height, :width]
    window = np.outer(_hann(height), _hann(width))
    # Power of what rounding to 8 bits adds, one pixel's: less than that counts for nothing, and
    # a smooth picture is not divided by its float errors.
    rounding = np.mean(window**2) / (12 * 255**2)
    faded = (luma - jnp.mean(luma)) * window
    each = [_peaks(way, rounding, np.asarray(periods)) for way in (faded, faded.T)]
    return jnp.mean(jnp.stack(each), axis=0)


def _peaks(faded: jax.Array, rounding: float, periods: np.ndarray) -> jax.Array:
    """The ratio for each period along the second axis."""
    length = faded.shape[1]
    power = jnp.mean(jnp.abs(jnp.fft.rfft(faded, axis=1)) ** 2, axis=0) + length * rounding
    bins = length // periods
    nearby = bins[:, None] + NEARBY
    nearby = np.minimum(nearby, length - nearby)  # a real signal's spectrum mirrors at period 2
    return power[bins] / jnp.mean(power[nearby], axis=1)


def _hann(length: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def _maps(features: Features, images: Sequence[Picture]) -> list[Maps]:
    taps = features(jnp.stack([jnp.asarray(image) for image in images]))
    return [{name: maps[i] for name, maps in taps.items()} for i in range(len(images))]


def _relative(found: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.linalg.norm(found - target) / jnp.maximum(jnp.linalg.norm(target), 1e-12)


def _unit(features: jax.Array) -> jax.Array:
    # Where no channel responds the vector stays zero.
    norm = jnp.linalg.norm(features, axis=-1, keepdims=True)
    return features / jnp.maximum(norm, 1e-10)


def _luma(image: Picture) -> jax.Array:
    return jnp.asarray(image) @ jnp.asarray(LUMA)


def _check_image(image: Picture, name: str) -> None:
    shape = np.shape(image)
    if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"{name} has shape {shape}; need [H,W,3] with sides of at least {SMALLEST_SIDE}"
        )
