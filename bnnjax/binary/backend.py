"""The arithmetic of binary convolutions: the available backends, and the one that layers use.

Both backends are exact for ±1:

- ``packed``: xor and popcount over 32-channel words; for CPUs, where it is much faster than float
  products (a vector unit counts the bits of 16 words at once).
- ``dense``: a bfloat16 convolution of ±1 values accumulated in float32; for GPUs and TPUs, whose
  matrix units are faster than their integer units.
"""

import contextlib
import dataclasses
import platform
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import Array, lax

BACKENDS = ("packed", "dense")
GRADIENT_DTYPES = ("bfloat16", "float32")
_CPU_FLAGS = Path("/proc/cpuinfo")  # Linux
CACHE = 20 * 2**20  # maximum size in bytes of a product's largest operand on a CPU


def choose(backend: str = "auto") -> str:
    """Resolves ``"auto"`` to the backend that suits JAX's default platform.

    Raises:
      ValueError: ``backend`` is neither ``"auto"`` nor one of `BACKENDS`.
    """
    if backend == "auto":
        return "packed" if jax.default_backend() == "cpu" else "dense"
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}, needs one of {('auto', *BACKENDS)}")
    return backend


def gradient_dtype(dtype: str = "auto") -> jnp.dtype:
    """Resolves ``"auto"`` to the dtype of backward products that is fast on JAX's default platform.

    bfloat16 holds ±1 exactly, and matrix units multiply it several times as fast as float32. On a
    CPU without instructions for it, XLA converts every operand, which is slower than float32.

    Raises:
      ValueError: ``dtype`` is neither ``"auto"`` nor one of `GRADIENT_DTYPES`.
    """
    if dtype not in ("auto", *GRADIENT_DTYPES):
        raise ValueError(f"gradient_dtype is {dtype!r}, needs one of {('auto', *GRADIENT_DTYPES)}")
    if dtype == "auto":
        slow = jax.default_backend() == "cpu" and not _cpu_multiplies_bfloat16()
        dtype = "float32" if slow else "bfloat16"
    return jnp.dtype(dtype)


@cache
def _cpu_multiplies_bfloat16() -> bool:
    """Whether this is an x86 CPU with AVX-512 BF16 or AMX; unknown, and so False, off Linux."""
    if platform.machine() != "x86_64" or not _CPU_FLAGS.exists():
        return False
    flags = _CPU_FLAGS.read_text().split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """How binary layers multiply.

    Attributes:
      backend: "packed", "dense", or "auto" for the one that suits JAX's default platform.
      gradient_dtype: the dtype of packed layers' backward products, "bfloat16", "float32", or
        "auto" for the one that is fast on JAX's default platform.

    Raises:
      ValueError: an invalid value.
    """

    backend: str = "auto"
    gradient_dtype: str = "auto"

    def __post_init__(self) -> None:
        choose(self.backend)
        gradient_dtype(self.gradient_dtype)

    @property
    def counts_bits(self) -> bool:
        """Whether products are computed with xor and popcount."""
        return choose(self.backend) == "packed"

    @property
    def backward(self) -> jnp.dtype:
        """The dtype of the backward products."""
        return gradient_dtype(self.gradient_dtype)


_DEFAULT = Arithmetic()
_arithmetic: ContextVar[Arithmetic] = ContextVar("arithmetic")


def arithmetic() -> Arithmetic:
    """The arithmetic for layers that are being traced; the default outside of `using`."""
    return _arithmetic.get(_DEFAULT)


@contextlib.contextmanager
def using(arithmetic: Arithmetic) -> Iterator[None]:
    """A context in which layers use this arithmetic.

    Layers read it while they are traced, so enter it inside the function that is compiled:
    `jax.jit` does not retrace when only the context around a call has changed.
    """
    token = _arithmetic.set(arithmetic)
    try:
        yield
    finally:
        _arithmetic.reset(token)


def group_size() -> int:
    """The number of pictures per compiled step on JAX's default platform.

    On a CPU, the activations of several pictures overflow the cache, so it is one; an accelerator
    prefers wide tensors.
    """
    return 1 if jax.default_backend() == "cpu" else 32


def group_of(pictures: int, bytes_each: int) -> int:
    """Pictures of a batch that a layer's gradient processes together: a divisor of their number.

    On a CPU, it is as many as fit into the cache, but at least one; elsewhere, all.
    """
    if jax.default_backend() != "cpu":
        return pictures
    fit = [n for n in range(1, pictures + 1) if pictures % n == 0 and n * bytes_each <= CACHE]
    return max(fit, default=1)


@jax.custom_vjp
def materialize(x: Array) -> Array:
    """Returns ``x`` and makes XLA compute it once and keep it, instead of once per consumer.

    On CPUs, XLA fuses whatever looks cheap into each of its consumers, and a binary convolution
    consists of nothing but bit operations. Without this function, whole chains of layers are
    computed several times over, and a step takes more than twice as long. The gradient is treated
    in the same way. On other platforms, this does nothing.
    """
    return _keep(x) if x.size and jax.default_backend() == "cpu" else x


materialize.defvjp(lambda x: (materialize(x), None), lambda _, g: (materialize(g),))


@jax.custom_batching.custom_vmap
def _keep(x: Array) -> Array:
    # XLA:CPU removes lax.optimization_barrier before it fuses, but not a branch that depends on a
    # run-time value. Both branches are the identity, which XLA cannot know.
    witness = jnp.isnan(x[(0,) * x.ndim])
    return lax.cond(witness, lambda x: jnp.where(jnp.isnan(x), jnp.nan, x), lambda x: x, x)


@_keep.def_vmap
def _keep_batch(axis_size: int, in_batched: list[bool], x: Array) -> tuple[Array, bool]:
    # The default rule of vmap would turn the branch into a select, which does not prevent fusion.
    return _keep(x), in_batched[0]
