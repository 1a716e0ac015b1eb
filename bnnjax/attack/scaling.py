"""Factors of the logits under which a cross entropy has useful gradients.

Gupta & Ajanthan, *Improved Gradient-Based Adversarial Attacks for Quantized Networks* (AAAI 2022,
arXiv 2003.13511), and their code ``attack-bnn``. A factor never changes a decision, but binary
networks often have logits so large that the softmax saturates and its gradient vanishes.

We deviate in one point: Jacobians are those of the ten largest logits, because each logit costs a
backward pass, and the paper's networks have 10 classes, ImageNet's 1000.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.models.network import Architecture, Network, Variables

LOGITS = 10
_GRID = 100
_SATURATED = 1e-2


def hns(network: Network, pictures: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """Hessian norm scaling: each picture's factor that maximises ‖∂²loss/∂picture²‖, float32 [N].

    The factor is 1 for pictures that are misclassified, or whose maximum is at an end of the grid.

    Args:
      network: the network under attack.
      pictures: float32 [H, W, 3] each, in [0, 1].
      labels: int [N].
    """
    factors = []
    for picture, label in zip(pictures, labels, strict=True):
        found = _logits_and_gram(network.architecture, network.variables, picture)
        logits, gram, decision = (np.asarray(value, np.float64) for value in found)
        factors.append(best_factor(logits, gram) if decision == label else 1.0)
    return np.asarray(factors, np.float32)


def best_factor(logits: np.ndarray, gram: np.ndarray) -> float:
    """The factor β of the grid at which ‖β² Jᵀ (diag p − p pᵀ) J‖ is largest, p = softmax(β z).

    Args:
      logits: z, the largest logits in descending order, float64 [d].
      gram: J Jᵀ of their Jacobian J, float64 [d, d].
    """
    gap = logits[0] - logits[1]
    if gap <= 0:
        return 1.0
    count = len(logits)
    first, last = (_threshold(gap, share, count) for share in (1 - 1 / count - 1e-2, 1e-72))
    grid = np.linspace(first, last, _GRID)
    norms = [beta**4 * _squared_norm(beta * logits, gram) for beta in grid]
    best = int(np.argmax(norms))
    return 1.0 if best in (0, _GRID - 1) else float(grid[best])


def njs(network: Network, pictures: Sequence[np.ndarray]) -> float:
    """Network Jacobian scaling: 1 / the mean singular value of the Jacobian over these pictures.

    `rescue` is the method's second half.
    """
    means = []
    for picture in pictures:
        _, gram, _ = _logits_and_gram(network.architecture, network.variables, picture)
        eigenvalues = np.linalg.eigvalsh(np.asarray(gram, np.float64))
        means.append(np.sqrt(np.maximum(eigenvalues, 0)).mean())
    mean = float(np.mean(means))
    return 1 / mean if mean > 0 else 1.0


def rescue(logits: Array, label: Array) -> Array:
    """The factor that lowers the label's probability from above 99 % to where gradients flow.

    β = −log(ε / ((1 − ε)(d − 1))) / (max z − min z) with ε = 1 %; 1 where nothing saturates.
    """
    saturated = jax.nn.softmax(logits)[label] > 1 - _SATURATED
    gap = jnp.maximum(jnp.max(logits) - jnp.min(logits), 1e-12)
    factor = _threshold(1.0, _SATURATED, logits.shape[0]) / gap
    return jax.lax.stop_gradient(jnp.where(saturated, factor, 1.0))


def _threshold(gap: float, share: float, count: int) -> float:
    return float(-np.log(share / ((1 - share) * (count - 1))) / gap)


def _squared_norm(scaled: np.ndarray, gram: np.ndarray) -> float:
    """‖Jᵀ A J‖² = tr(A G A G) with A = diag p − p pᵀ and G = J Jᵀ."""
    weights = np.exp(scaled - scaled.max())
    p = weights / weights.sum()
    product = (np.diag(p) - np.outer(p, p)) @ gram
    return float(np.sum(product * product.T))


@partial(jax.jit, static_argnums=0)
def _logits_and_gram(
    architecture: Architecture, variables: Variables, picture: Array
) -> tuple[Array, Array, Array]:
    """The largest logits, the Gram matrix of their Jacobian's rows, and the decision."""

    def logits_of(picture: Array) -> Array:
        return architecture.apply(variables, picture[None])[0][0]

    logits, pull = jax.vjp(logits_of, picture)
    values, classes = jax.lax.top_k(logits, min(LOGITS, logits.shape[0]))
    rows = jax.lax.map(
        lambda k: jnp.ravel(pull(jax.nn.one_hot(k, logits.shape[0], dtype=logits.dtype))[0]),
        classes,
    )
    return values, rows @ rows.T, classes[0]
