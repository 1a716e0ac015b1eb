"""The arithmetic of binary convolutions: which ones there are, and which one layers use.

Both are exact for ±1:

- ``packed``: xor and popcount over 32-channel words; for CPUs, where it beats float products by
  far (a vector unit counts the bits of 16 words at once).
- ``dense``: a bfloat16 convolution of ±1 values accumulated in float32; for GPUs and TPUs, whose
  matrix units are faster than their integer units.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jax import Array, lax

BACKENDS = ("packed", "dense")
GRADIENT_DTYPES = ("bfloat16", "float32")
CACHE = 20 * 2**20  # bytes that a product's largest operand may have on a CPU


def choose(backend: str = "auto") -> str:
    """The backend itself, or for ``"auto"`` the one that suits JAX's default platform.

    Raises:
      ValueError: ``backend`` is neither ``"auto"`` nor one of `BACKENDS`.
    """
    if backend == "auto":
        return "packed" if jax.default_backend() == "cpu" else "dense"
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, needs one of {('auto', *BACKENDS)}")
    return backend


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """How binary layers multiply.

    Attributes:
      backend: "packed", "dense", or "auto" for the one that suits JAX's default platform.
      gradient_dtype: of the backward products of packed layers, "bfloat16" or "float32".

    Raises:
      ValueError: a choice that does not exist.
    """

    backend: str = "auto"
    gradient_dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        choose(self.backend)
        if self.gradient_dtype not in GRADIENT_DTYPES:
            raise ValueError(
                f"gradient_dtype is {self.gradient_dtype!r}, needs one of {GRADIENT_DTYPES}"
            )

    @property
    def counts_bits(self) -> bool:
        """Whether products are computed by xor and popcount."""
        return choose(self.backend) == "packed"


_DEFAULT = Arithmetic()
_arithmetic: ContextVar[Arithmetic] = ContextVar("arithmetic")


def arithmetic() -> Arithmetic:
    """The arithmetic for layers that are being traced; the default one outside of `using`."""
    return _arithmetic.get(_DEFAULT)


@contextlib.contextmanager
def using(arithmetic: Arithmetic) -> Iterator[None]:
    """Layers called within this context compute by this arithmetic.

    Layers look at it while they are traced, so open it inside a function that is compiled:
    `jax.jit` does not trace again because the context around a call has changed.
    """
    token = _arithmetic.set(arithmetic)
    try:
        yield
    finally:
        _arithmetic.reset(token)


def group_size() -> int:
    """Pictures that one compiled step takes together on JAX's default platform.

    On a CPU the activations of several pictures fall out of the cache, so each goes alone; an
    accelerator wants wide tensors.
    """
    return 1 if jax.default_backend() == "cpu" else 32


def group_of(pictures: int, bytes_each: int) -> int:
    """How many pictures of a batch a layer's gradient takes together: a divisor of their number.

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
