"""What activations at a tap contribute to the logits, to first order."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from bnnjax.models.network import Architecture
from bnnjax.models.tapped import REPLACED


@partial(jax.jit, static_argnums=(0, 4))
def measure(
    architecture: Architecture, variables: Any, squares: Array, places: Array, tap: str
) -> tuple[Array, Array, Array]:
    """Activations at positions of pictures, and what they contribute to the logits.

    Args:
      architecture: the network's, with C channels at the tap and K classes.
      variables: the network's.
      squares: pictures float32 [B, H, W, 3] in [0, 1].
      places: the positions int [B, P, 2] in the tap's map.
      tap: the name of the tap.

    Returns:
      Activations [B, P, C]; attributions [B, P, K], the derivatives of the logits along them
      (Carter et al. 2019); and the probabilities of the whole pictures, [B, P, K].
    """
    logits, taps = architecture.apply(variables, squares)
    batch = jnp.arange(len(squares))
    where = [(batch, places[:, p, 0], places[:, p, 1]) for p in range(places.shape[1])]
    found = [taps[tap][index] for index in where]
    if logits is None:
        nothing = jnp.zeros((*places.shape[:2], 0))
        return jnp.stack(found, axis=1), nothing, nothing

    def rest(value: Array) -> Array:
        replaced = {**variables, REPLACED: {tap: value}}
        return architecture.apply(replaced, squares)[0]

    # The derivative along a tangent is the transpose of the gradient. JAX's forward mode would not
    # take pseudo-gradients, which are defined for reverse mode only.
    _, gradient = jax.vjp(rest, taps[tap])
    _, forward = jax.vjp(lambda cotangent: gradient(cotangent)[0], jnp.zeros_like(logits))
    tangents = [
        jnp.zeros_like(taps[tap]).at[index].set(value)
        for index, value in zip(where, found, strict=True)
    ]
    attributions = jnp.stack([forward(tangent)[0] for tangent in tangents], axis=1)
    chances = jnp.repeat(jax.nn.softmax(logits)[:, None], places.shape[1], axis=1)
    return jnp.stack(found, axis=1), attributions, chances
