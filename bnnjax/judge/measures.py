"""Measures of a stylized picture, by a float network that did not make it.

| measure | definition | ideal |
|---|---|---|
| style | relative distance of Gram matrices to the painting's, averaged over taps | 0 |
| strokes | the same on luma, matched to the painting's in mean and deviation | 0 |
| content | LPIPS-like distance to the photograph, averaged over taps | 0 |
| checker | spectral power at periods of 2, 4 and 8 px relative to nearby periods | 1: no grid |

Lower is better, but style and content are in conflict. Pictures are float32 [H, W, 3], sRGB in
[0, 1]; feature maps are [h, w, C]. A judge is any function of the type `Features`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bnnjax.models.network import Architecture, Variables
from bnnjax.nst.statistics import gram
from bnnjax.port.load import load_model
from bnnjax.port.storage.network_file import with_suffix

Maps = Mapping[str, jax.Array]
Picture = jax.Array | np.ndarray

# Images [N, H, W, 3] in [0, 1] → feature maps [N, h, w, C] by name.
Features = Callable[[jax.Array], Maps]

# The last layer before each pool, as in LPIPS, at strides 2 to 16. relu1_2 is omitted: at stride 1
# it sees only 5×5 pixels and is satisfied by any picture with the right palette and contrast.
VGG_TAPS = ("relu2_2", "relu3_4", "relu4_4", "relu5_1")

# Rec. 601, for gamma-encoded values: the Y of YIQ, which Gatys et al. (2017) use.
LUMA = (0.299, 0.587, 0.114)

PERIODS = (2, 4, 8)
# Offsets from a period's bin: outside the main lobe of a Hann window, which extends 2 bins, but so
# near that the falling spectrum of a picture without a grid is level on average.
NEARBY = np.array([-6, -5, -4, -3, 3, 4, 5, 6])
SMALLEST_SIDE = 64


def judge(
    picture: Picture, content: Picture, style: Picture, features: Features
) -> dict[str, float]:
    """All four measures of a picture.

    Args:
      picture: float32 [H, W, 3], sRGB in [0, 1].
      content: the photograph, likewise [H, W, 3].
      style: the painting, likewise [h, w, 3]. It should have about the picture's scale, on which
        Gram matrices depend.
      features: the judge; called on batches of the picture's shape and of the painting's.

    Raises:
      ValueError: a shape is not [H, W, 3] with sides of at least 64, or those of ``picture`` and
        ``content`` differ.
    """
    for name, image in (("picture", picture), ("content", content), ("style", style)):
        _check_image(image, name)
    if picture.shape != content.shape:
        raise ValueError(
            f"picture has shape {picture.shape} and content {content.shape}, need the same"
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


def vgg_features(model: str | os.PathLike[str]) -> Features:
    """VGG-19's activations at `VGG_TAPS`.

    `model` is anything that `load_model` takes, such as the .npz file of `bnnjax.port.vgg.npz`. The
    name "vgg19" stands for "vgg19_conv5_1", a download of 80 MB instead of 575: judges need no
    more of it.

    Raises ValueError as `load_model` does, or if the network is not VGG-19.
    """
    model = os.fspath(model)
    if model == "vgg19" and not with_suffix(model).is_file():
        model = "vgg19_conv5_1"
    network = load_model(model)
    if missing := {*VGG_TAPS} - {*network.taps}:
        raise ValueError(f"{model} is {network.name}, which lacks {', '.join(sorted(missing))}")
    return partial(_vgg_maps, network.architecture, network.variables)


@partial(jax.jit, static_argnums=0)
def _vgg_maps(architecture: Architecture, variables: Variables, images: jax.Array) -> Maps:
    _, taps = architecture.apply(variables, images)
    return {name: taps[name] for name in VGG_TAPS}


def style_distance(found: Maps, painting: Maps) -> jax.Array:
    """‖G − Ĝ‖ / ‖Ĝ‖ (Frobenius), averaged over taps; a scalar.

    G = FᵀF / positions is the Gram matrix of Gatys et al. (CVPR 2016). The two pictures may differ
    in height and width. The norms are not squared, so that one bad tap or picture does not dominate
    a mean.
    """
    return jnp.mean(jnp.stack([_relative(gram(found[tap]), gram(painting[tap])) for tap in found]))


def content_distance(found: Maps, photograph: Maps) -> jax.Array:
    """Squared distance of the channel vectors, scaled to unit length, averaged over positions and
    taps: a scalar from 0 to 4.

    This is eq. 1 of Zhang et al., *The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric* (CVPR 2018), without its learned weights of channels.
    """

    def distance(tap: str) -> jax.Array:
        difference = _unit(found[tap]) - _unit(photograph[tap])
        return jnp.mean(jnp.sum(difference**2, axis=-1))

    return jnp.mean(jnp.stack([distance(tap) for tap in found]))


def match_luma(image: Picture, reference: Picture) -> jax.Array:
    """The luma of ``image``, with the mean and deviation of that of ``reference``.

    This is σ̂/σ (Y − μ) + μ̂, the luminance-only transfer of Gatys et al., *Controlling Perceptual
    Factors in Neural Style Transfer* (CVPR 2017, arXiv:1611.07865).

    Returns:
      A grey picture [H, W, 3]; its values may lie outside [0, 1].
    """
    luma, target = _luma(image), _luma(reference)
    # A flat picture has no deviation to scale and gets the reference's mean.
    scale = jnp.std(target) / jnp.maximum(jnp.std(luma), 1e-6)
    matched = scale * (luma - jnp.mean(luma)) + jnp.mean(target)
    return jnp.repeat(matched[..., None], 3, axis=-1)


def checker(image: Picture) -> jax.Array:
    """The power of the luma at periods of 2, 4 and 8 px over that 3 to 6 bins away; a scalar.

    The mean of `grid_peaks`. Measure a picture at the size at which it was made, because resizing
    hides or moves the grid.

    Raises:
      ValueError: the shape is not [H, W, 3] with sides of at least 64.
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
    # The power per pixel of rounding to 8 bits. Less than that is negligible; without it, a smooth
    # picture would be divided by its float errors.
    rounding = np.mean(window**2) / (12 * 255**2)
    faded = (luma - jnp.mean(luma)) * window
    each = [_peaks(way, rounding, np.asarray(periods)) for way in (faded, faded.T)]
    return jnp.mean(jnp.stack(each), axis=0)


def _peaks(faded: jax.Array, rounding: float, periods: np.ndarray) -> jax.Array:
    """The ratio at each of the periods, along the second axis."""
    length = faded.shape[1]
    power = jnp.mean(jnp.abs(jnp.fft.rfft(faded, axis=1)) ** 2, axis=0) + length * rounding
    bins = length // periods
    nearby = bins[:, None] + NEARBY
    nearby = np.minimum(nearby, length - nearby)  # the spectrum is mirrored at period 2
    return power[bins] / jnp.mean(power[nearby], axis=1)


def _hann(length: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


def _maps(features: Features, images: Sequence[Picture]) -> list[Maps]:
    taps = features(jnp.stack([jnp.asarray(image) for image in images]))
    return [{name: maps[i] for name, maps in taps.items()} for i in range(len(images))]


def _relative(found: jax.Array, target: jax.Array) -> jax.Array:
    return jnp.linalg.norm(found - target) / jnp.maximum(jnp.linalg.norm(target), 1e-12)


def _unit(features: jax.Array) -> jax.Array:
    # If no channel responds, the vector remains zero.
    norm = jnp.linalg.norm(features, axis=-1, keepdims=True)
    return features / jnp.maximum(norm, 1e-10)


def _luma(image: Picture) -> jax.Array:
    return jnp.asarray(image) @ jnp.asarray(LUMA)


def _check_image(image: Picture, name: str) -> None:
    shape = np.shape(image)
    if len(shape) != 3 or shape[2] != 3 or min(shape[:2]) < SMALLEST_SIDE:
        raise ValueError(
            f"{name} has shape {shape}, needs [H, W, 3] with sides of at least {SMALLEST_SIDE}"
        )
