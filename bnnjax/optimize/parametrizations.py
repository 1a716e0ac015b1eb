"""Parametrizations: how a picture is represented by the parameters that an optimiser updates.

Gradients through binary networks are noisy, and the parametrization decides how much of that noise
is visible. Each function here returns the same `Parametrization` whenever it is called with the
same arguments, so that compiled steps are reused.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.optimize import laplacian

Params = Any  # a pytree of arrays
Data = Any

# Columns are the principal axes of ImageNet's colours, scaled by their standard deviations (a
# square root of the pixel covariance; Lucid, ``lucid/optvis/param/color.py``); the longest is 1.
_COLOR_AXES = np.array(
    [[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], dtype=np.float32
)
_COLOR_AXES /= np.linalg.norm(_COLOR_AXES, axis=0).max()


class Parametrization(NamedTuple):
    """A triple of pure functions, much like the pair in an optax transformation.

    ``data`` is the picture's own data, the same pytree that the objective receives.

    Attributes:
      encode: (picture [H, W, 3] in [0, 1], data) → params, a pytree of float32 arrays.
      decode: (params, data) → picture float32 [H, W, 3] in [0, 1].
      project: (params, data) → params projected onto the feasible set, after each step.
    """

    encode: Callable[[Array, Data], Params]
    decode: Callable[[Params, Data], Array]
    project: Callable[[Params, Data], Params]


def _unchanged(value: Any, data: Data) -> Any:
    del data
    return value


@cache
def pixels() -> Parametrization:
    """The picture itself, clipped to [0, 1] after each step.

    Examples:
      >>> encode, decode, project = bnnjax.optimize.pixels()
      >>> project(jnp.array([-0.5, 0.5, 1.5]), None)
      Array([0. , 0.5, 1. ], dtype=float32)
    """
    return Parametrization(_unchanged, _unchanged, lambda picture, _: jnp.clip(picture, 0, 1))


@cache
def pyramid(*, around: bool = False) -> Parametrization:
    """The Laplacian pyramid of the picture's logits; with ``around``, opposite edges meet.

    An update of a given size changes all octaves equally, so coarse errors vanish quickly and high
    frequencies are not favoured. Values are clipped to [0.02, 0.98] before the logit, which is
    infinite at 0 and 1.
    """

    def encode(picture: Array, data: Data) -> list[Array]:
        del data
        return laplacian.split(_logit(picture), around=around)

    def decode(levels: list[Array], data: Data) -> Array:
        del data
        return jax.nn.sigmoid(laplacian.merge(levels, around=around))

    return Parametrization(encode, decode, _unchanged)


@cache
def fourier(*, decay: float = 1.0) -> Parametrization:
    """Fourier coefficients of the picture's logits in decorrelated colours.

    Coefficients are divided by their frequency to the power of ``decay``, so that a step changes
    low frequencies more. Colours lie along the principal axes of natural pictures (Olah et al.,
    *Feature Visualization*, Distill 2017; Lucid's ``fft_image`` and ``to_valid_rgb``).
    """

    def encode(picture: Array, data: Data) -> Array:
        del data
        if picture.shape[1] % 2:
            raise ValueError(f"the picture is {picture.shape[1]} px wide, needs an even width")
        axes = _logit(picture) @ jnp.linalg.inv(jnp.asarray(_COLOR_AXES).T)
        spectrum = jnp.fft.rfft2(axes, axes=(0, 1), norm="ortho")
        parts = jnp.stack([spectrum.real, spectrum.imag])
        return parts / _spectrum_scale(picture.shape[0], picture.shape[1], decay)[None]

    def decode(params: Array, data: Data) -> Array:
        del data
        height, width = params.shape[1], 2 * (params.shape[2] - 1)
        real, imaginary = params * _spectrum_scale(height, width, decay)[None]
        spectrum = jax.lax.complex(real, imaginary)
        axes = jnp.fft.irfft2(spectrum, s=(height, width), axes=(0, 1), norm="ortho")
        return jax.nn.sigmoid(axes @ jnp.asarray(_COLOR_AXES).T)

    return Parametrization(encode, decode, _unchanged)


@cache
def ball(norm: Literal["linf", "l2"]) -> Parametrization:
    """Pixels within a ball around a picture, as in adversarial attacks.

    The data must contain ``center`` [H, W, 3] in [0, 1] and a scalar ``radius``: the largest change
    of any value for "linf", the norm of the whole change for "l2". Both are traced, so all radii
    share one compiled step.

    Raises:
      ValueError: an unknown norm.
    """
    if norm not in ("linf", "l2"):
        raise ValueError(f"norm is {norm!r}, needs 'linf' or 'l2'")

    def project(picture: Array, data: Data) -> Array:
        center, radius = (jnp.asarray(data[name], jnp.float32) for name in ("center", "radius"))
        change = picture - center
        if norm == "linf":
            change = jnp.clip(change, -radius, radius)
        else:
            length = jnp.sqrt(jnp.sum(change**2))
            change = change * jnp.minimum(1.0, radius / jnp.maximum(length, 1e-12))
        # Clipping to [0, 1] moves towards the centre, so the picture stays in the ball.
        return jnp.clip(center + change, 0, 1)

    return Parametrization(project, _unchanged, project)


def _logit(picture: Array) -> Array:
    clipped = jnp.clip(picture, 0.02, 0.98)
    return jnp.log(clipped / (1 - clipped))


def _spectrum_scale(height: int, width: int, decay: float) -> Array:
    """1 / frequency^decay [H, W // 2 + 1, 1]; the lowest frequency's period is the longer side."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)
    frequency = np.maximum(np.sqrt(rows**2 + columns**2), 1 / max(height, width))
    return jnp.asarray((frequency**-decay)[..., None], jnp.float32)
