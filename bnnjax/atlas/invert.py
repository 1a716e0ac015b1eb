"""Inversion: a picture for each direction in the space of a tap's channels, all side by side."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax import optimize
from bnnjax.atlas.config import VisualizeConfig
from bnnjax.atlas.objective import Direction, mean_activation
from bnnjax.models.network import Architecture, Network
from bnnjax.options import nearest


def configured(network: Network, config: VisualizeConfig) -> Network:
    """The network with the pseudo-gradient of the config.

    Raises:
      ValueError: the network does not take pictures of the config's size.
    """
    check_size(network, "size", config.size)
    own = network.architecture.options.pseudo_gradient
    clip = None if np.isinf(config.clip) else float(config.clip)
    return network.with_options(pseudo_gradient=config.pseudo_gradient or own, clip=clip)


def check_size(network: Network, name: str, side: int) -> None:
    """Raises ValueError if the network does not take squares of ``side`` px."""
    sizes = network.entry.sizes
    if not sizes.fit(side, side):
        raise ValueError(f"{name} is {side}, which {network.name} does not take; {sizes}")


def channels_of(network: Network, tap: str, *, size: int) -> int:
    """The number of channels of a tap.

    Raises:
      ValueError: an unknown tap (the nearest is suggested).
    """
    return extent(network, tap, size=size)[2]


def extent(network: Network, tap: str, *, size: int) -> tuple[int, int, int]:
    """Height, width and number of channels of a tap for squares of ``size`` px.

    Raises:
      ValueError: an unknown tap (the nearest is suggested), or one that is not a map.
    """
    if tap not in network.taps:
        raise ValueError(f"{network.name} has no tap {tap!r}{nearest(tap, network.taps)}")
    pictures = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    _, taps = jax.eval_shape(network.apply, network.variables, pictures)
    if len(taps[tap].shape) != 4:
        raise ValueError(f"tap {tap} has shape {taps[tap].shape}, needs [N, height, width, C]")
    height, width, channels = taps[tap].shape[1:]
    return height, width, channels


def invert(
    network: Network,
    directions: np.ndarray,
    *,
    tap: str,
    power: int,
    config: VisualizeConfig,
    noise: float = 0.0,
    progress: bool = True,
    snapshots: str | Path | None = None,
) -> optimize.Minimized:
    """A picture for each direction [N, C], optimised in Fourier coefficients from grey.

    Args:
      network: see `configured`.
      directions: in the space of the tap's channels; their lengths do not matter.
      tap: the name of the tap.
      power: of the cosine, see `Direction`.
      config: size, steps, learning rate, jitter, zoom and seed.
      noise: the amplitude of uniform noise that is added to the grey, the same for all pictures.
      progress: whether to show a progress bar with the time left.
      snapshots: a folder for snapshots; after a kill, the same call resumes from there.
    """
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    unit = (directions / np.maximum(lengths, 1e-12)).astype(np.float32)
    rng = np.random.default_rng(config.seed)
    first = 0.5 + noise * rng.uniform(-1, 1, (config.size, config.size, 3))
    return optimize.minimize(
        Direction(network.architecture, tap, power, config.jitter, float(config.zoom)),
        network.laid_out(),
        np.broadcast_to(first.astype(np.float32), (len(unit), *first.shape)),
        {"direction": unit},
        parametrization=optimize.fourier(),
        learning_rate=config.learning_rate,
        steps=config.steps,
        key=jax.random.key(config.seed),
        progress=progress,
        snapshots=snapshots,
    )


def responses(network: Network, pictures: list[np.ndarray], *, tap: str) -> np.ndarray:
    """The mean activations of pictures [H, W, 3] at a tap, without any transform, [N, C]."""
    return np.stack([_response(network.architecture, network.variables, p, tap) for p in pictures])


@partial(jax.jit, static_argnums=(0, 3))
def _response(architecture: Architecture, variables: object, picture: Array, tap: str) -> Array:
    return mean_activation(architecture, variables, picture, tap=tap)
