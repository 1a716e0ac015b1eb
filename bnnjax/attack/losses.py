"""Losses of an attack, for the logits [C] of one picture; all are minimised.

Untargeted attacks lead away from the label, targeted ones towards the target.
"""

import jax
import jax.numpy as jnp
from jax import Array


def margin(logits: Array, index: Array) -> Array:
    """How far the class leads all others, a scalar; negative if it is not the decision."""
    others = jnp.where(jnp.arange(logits.shape[0]) == index, -jnp.inf, logits)
    return logits[index] - jnp.max(others)


def cross_entropy(logits: Array, index: Array) -> Array:
    """−log of the class's probability, a scalar."""
    return -jax.nn.log_softmax(logits)[index]


def dlr(logits: Array, label: Array) -> Array:
    """The class's lead over all others, relative to the range of the three largest logits.

    This is −DLR of Croce & Hein (ICML 2020, arXiv 2003.01690), eq. 6: (z_y − max z_i) / (z_π1 −
    z_π3). Neither a shift nor a factor of the logits changes it.
    """
    ordered = _largest(logits, 3)
    return margin(logits, label) / (ordered[0] - ordered[2] + _TINY)


def targeted_dlr(logits: Array, label: Array, target: Array) -> Array:
    """The same towards a target, eq. 7: (z_y − z_t) / (z_π1 − (z_π3 + z_π4) / 2)."""
    ordered = _largest(logits, 4)
    scale = ordered[0] - (ordered[2] + ordered[3]) / 2
    return (logits[label] - logits[target]) / (scale + _TINY)


_TINY = 1e-12  # as in AutoAttack


def _largest(logits: Array, count: int) -> Array:
    if logits.shape[0] < count:
        raise ValueError(f"dlr needs at least {count} classes, the network has {logits.shape[0]}")
    return jax.lax.top_k(logits, count)[0]
