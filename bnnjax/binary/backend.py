"""Which arithmetic a platform computes binary convolutions with. All are exact for ±1.

- ``packed``: xor and popcount over 32-channel words; for CPUs, where it beats float products by
  far (a vector unit counts the bits of 16 words at once).
- ``dense``: a bfloat16 convolution of ±1 values accumulated in float32; for GPUs and TPUs, whose
  matrix units are faster than their integer units.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

BACKENDS = ("packed", "dense")
CACHE = 20 * 2**20  # bytes that a product's largest operand may have on a CPU


def choose(backend: str = "auto") -> str:
    """The backend itself, or for ``"auto"`` the one of JAX's default platform.

    Raises:
      ValueError: ``backend`` is neither ``"auto"`` nor one of `BACKENDS`.
    """
    if backend == "auto":
        return "packed" if jax.default_backend() == "cpu" else "dense"
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, needs 'auto' or one of {BACKENDS}")
    return backend


def group_size() -> int:
    """Pictures that one compiled step takes together on JAX's default platform.

    On a CPU the activations of several pictures fall out of the cache, so each goes alone; an
    accelerator wants wide tensors.
    """
    return 1 if jax.default_backend() == "cpu" else 32


def group_of(pictures: int, bytes_each: int) -> int:
    """How many of a batch's pictures a layer's gradient takes together: a divisor of their number.

    On a CPU, what the cache holds, at least one; elsewhere all.
    """
    if jax.default_backend() != "cpu":
        return pictures
    fit = [n for n in range(1, pictures + 1) if pictures % n == 0 and n * bytes_each <= CACHE]
    return max(fit, default=1)


@jax.custom_vjp
def materialize(x: Array) -> Array:
    """``x`` itself, which XLA then computes once and keeps, instead of once for every reader.

    On a CPU XLA fuses whatever looks cheap into each of its consumers, and a binary convolution is
    nothing but bit operations: without this, a network's layers are computed several times over,
    whole chains of them at once, and a step takes more than twice as long. The gradient is treated
    alike. Elsewhere this does nothing.
    """
    return _keep(x) if x.size and jax.default_backend() == "cpu" else x


materialize.defvjp(lambda x: (materialize(x), None), lambda _, g: (materialize(g),))


@jax.custom_batching.custom_vmap
def _keep(x: Array) -> Array:
    # lax.optimization_barrier is gone by the time XLA:CPU fuses; a branch that depends on a value
    # known only at run time is not. Both branches are the identity, but XLA cannot know it.
    witness = jnp.isnan(x[(0,) * x.ndim])
    return lax.cond(witness, lambda x: jnp.where(jnp.isnan(x), jnp.nan, x), lambda x: x, x)


@_keep.def_vmap
def _keep_batch(axis_size: int, in_batched: list[bool], x: Array) -> tuple[Array, bool]:
    # By itself vmap would turn the branch into a select, which holds nothing back.
    return _keep(x), in_batched[0]
