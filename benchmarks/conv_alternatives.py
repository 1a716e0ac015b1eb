"""Alternative computations of a 3×3 binary convolution and of its input gradient, by shape.

    python benchmarks/conv_alternatives.py [--pictures=1] [--rounds=15] [--json]

Each alternative is checked against XLA's float32 convolution before it is timed: the forward pass
exactly, the backward pass within the rounding of bfloat16 and int8. The alternatives take turns and
the fastest round counts, so that a machine whose speed varies treats them alike. The package uses
"packed" and "shifted adds". Kernels are laid out beforehand, like frozen weights.
"""

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from jax import Array, lax

from bnnjax import cli
from bnnjax.binary import bits, conv
from bnnjax.binary.windows import Geometry, geometry, shifted, spread

FLAGS = flags.FLAGS
flags.DEFINE_integer("pictures", 1, "pictures per batch")
flags.DEFINE_integer("rounds", 15, "how often each alternative is timed")
if __name__ == "__main__":
    cli.define_json()

SHAPES = ((56, 64), (28, 128), (14, 256), (7, 512))  # side and channels at 224 px
POSITIONS = [(i, j) for i in range(3) for j in range(3)]


def dot(a: Array, b: Array) -> Array:
    """Products in the operands' dtype, summed in float32 (int8: in int32)."""
    wide = jnp.int32 if a.dtype == jnp.int8 else jnp.float32
    return lax.dot_general(a, b, (((a.ndim - 1,), (0,)), ((), ())), preferred_element_type=wide)


def padded(where: Geometry, x: Array, value: float = 0) -> Array:
    return jnp.pad(x, ((0, 0), *where.pads, (0, 0)), constant_values=value)


def windows(where: Geometry, x: Array) -> Array:
    """im2col of a padded tensor: [N, H, W, 9 · C]."""
    return jnp.concatenate([shifted(where, x, i, j) for i, j in POSITIONS], axis=3)


# --- forward: ±1 activations [N, H, W, C] and a kernel in its layout ----------------------------


def xla_convolution(where: Geometry, x: Array, kernel: Array) -> Array:
    return conv.dense_conv(x, kernel, where)


def packed(where: Geometry, x: Array, words: Array) -> Array:
    return conv.count(where, bits.pack(x), words)


def packed_unrolled(where: Geometry, x: Array, words: Array) -> Array:
    """Like `packed`, with words of the kernel's width: more words per pixel and per vector."""
    pixels = lax.bitcast_convert_type(conv.pad_words(where, bits.pack(x)), words.dtype)
    pixels = pixels.reshape(*pixels.shape[:3], -1)
    differ = jnp.zeros((), jnp.uint32)
    for i, j in POSITIONS:
        window = shifted(where, pixels, i, j)
        for w in range(words.shape[2]):
            counts = lax.population_count(window[..., w : w + 1] ^ words[i, j, w])
            differ += counts.astype(jnp.uint32)
    return (9 * where.channels - 2 * differ.astype(jnp.int32)).astype(jnp.float32)


def packed_reduced(where: Geometry, x: Array, words: Array) -> Array:
    """With the words on the last axis, summed by one reduction instead of an unrolled chain."""
    columns = windows(where, conv.pad_words(where, bits.pack(x)))
    differ = lax.population_count(columns[..., None, :] ^ words).astype(jnp.int32).sum(-1)
    return (9 * where.channels - 2 * differ).astype(jnp.float32)


def bfloat16_product(where: Geometry, x: Array, columns: Array) -> Array:
    met = windows(where, padded(where, to_bits(x), 0x3F80))
    return dot(to_bfloat16(met), columns)


def int8_product(where: Geometry, x: Array, columns: Array) -> Array:
    met = windows(where, padded(where, x.astype(jnp.int8), 1))
    return dot(met, columns).astype(jnp.float32)


# --- backward: cotangent [N, H, W, O] ------------------------------------------------------------


def xla_transposed(where: Geometry, g: Array, kernel: Array) -> Array:
    nothing = jnp.zeros((g.shape[0], *where.input_size, where.channels))
    return jax.vjp(lambda x: conv.dense_conv(x, kernel, where), nothing)[1](g)[0]


def shifted_adds(where: Geometry, g: Array, rows: Array) -> Array:
    return conv.input_gradient(g, rows, where)


def nine_products(where: Geometry, g: Array, rows: Array) -> Array:
    flat = g.astype(rows.dtype)
    return spread(where, [dot(flat, part) for part in jnp.split(rows, 9, axis=1)])


def im2col(where: Geometry, g: Array, turned: Array) -> Array:
    return dot(windows(where, padded(where, g.astype(turned.dtype))), turned)


def im2col_of_bits(where: Geometry, g: Array, turned: Array) -> Array:
    """XLA:CPU copies bfloat16 as float32; as integers the values stay 16 bits wide."""
    return dot(to_bfloat16(windows(where, padded(where, to_bits(g)))), turned)


def int8_scaled(where: Geometry, g: Array, rows: Array) -> Array:
    """With the cotangent as int8 times one scale per pixel, which is coarser than bfloat16."""
    scale = jnp.abs(g).max(3, keepdims=True) / 127 + 1e-30
    products = dot(jnp.round(g / scale).astype(jnp.int8), rows).astype(jnp.float32) * scale
    return spread(where, jnp.split(products, 9, axis=3))


def to_bits(x: Array) -> Array:
    return lax.bitcast_convert_type(x.astype(jnp.bfloat16), jnp.uint16)


def to_bfloat16(x: Array) -> Array:
    return lax.bitcast_convert_type(x, jnp.bfloat16)


# --- layouts of the kernel [3, 3, C, O], which are not timed -------------------------------------


def narrow_words(kernel: Array, word: type) -> Array:
    words = lax.bitcast_convert_type(conv.pack_kernel(kernel), word)
    return jnp.moveaxis(words, 4, 3).reshape(3, 3, -1, kernel.shape[3])


def as_columns(kernel: Array, dtype: type) -> Array:
    return kernel.reshape(-1, kernel.shape[3]).astype(dtype)


def as_rows(kernel: Array, dtype: type) -> Array:
    return jnp.moveaxis(kernel, 3, 0).reshape(kernel.shape[3], -1).astype(dtype)


def turned(kernel: Array) -> Array:
    return as_columns(jnp.flip(kernel, (0, 1)).swapaxes(2, 3), jnp.bfloat16)


# Name → layout of the kernel, and computation; the first of each is the reference for the others.
FORWARD = {
    "xla convolution, float32": (lambda k: k, xla_convolution),
    "packed": (conv.pack_kernel, packed),
    "packed, 16-bit words": (lambda k: narrow_words(k, jnp.uint16), packed_unrolled),
    "packed, 8-bit words": (lambda k: narrow_words(k, jnp.uint8), packed_unrolled),
    "packed, words innermost": (
        lambda k: as_columns(conv.pack_kernel(k), jnp.uint32).T,
        packed_reduced,
    ),
    "product, bfloat16": (lambda k: as_columns(k, jnp.bfloat16), bfloat16_product),
    "product, int8": (lambda k: as_columns(k, jnp.int8), int8_product),
}
BACKWARD = {
    "xla convolution, transposed": (lambda k: k, xla_transposed),
    "shifted adds": (lambda k: as_rows(k, jnp.bfloat16), shifted_adds),
    "shifted adds, float32": (lambda k: as_rows(k, jnp.float32), shifted_adds),
    "nine products": (lambda k: as_rows(k, jnp.bfloat16), nine_products),
    "im2col": (turned, im2col),
    "im2col, moved as bits": (turned, im2col_of_bits),
    "int8, scaled": (lambda k: as_rows(k, jnp.int8), int8_scaled),
}
Alternatives = dict[str, tuple[Callable[[Array], Array], Callable[..., Array]]]


def main() -> int:
    figures: dict[str, dict[str, float]] = {}
    for side, channels in SHAPES:
        rng = np.random.default_rng(0)
        where = geometry((FLAGS.pictures, side, side, channels), (3, 3), pad_value=1)
        shape = (FLAGS.pictures, side, side, channels)
        x = jnp.asarray(rng.choice([-1.0, 1.0], shape), jnp.float32)
        kernel = jnp.asarray(rng.choice([-1.0, 1.0], (3, 3, channels, channels)), jnp.float32)
        g = jnp.asarray(rng.normal(size=x.shape), jnp.float32)
        name = f"{side}²×{channels}"
        figures[name] = {
            **compare(FORWARD, where, x, kernel, tolerance=0),
            **compare(BACKWARD, where, g, kernel, tolerance=0.02),
        }
    names = list(figures[name])
    rows = [
        ["ms", *figures],
        *([name, *(f"{f[name]:.2f}" for f in figures.values())] for name in names),
    ]
    cli.print_table(rows)
    cli.print_json(figures)
    return 0


def compare(
    alternatives: Alternatives, where: Geometry, tensor: Array, kernel: Array, *, tolerance: float
) -> dict[str, float]:
    """The milliseconds of each alternative's fastest round."""
    ready = {}
    for name, (lay_out, compute) in alternatives.items():
        ready[name] = jax.jit(partial(compute, where)), jax.jit(lay_out)(kernel)
    results = {name: run(tensor, laid) for name, (run, laid) in ready.items()}
    expected = next(iter(results.values()))
    for name, result in results.items():
        off = jnp.abs(result - expected).max() / jnp.abs(expected).max()
        if not off <= tolerance:
            raise ValueError(f"{name} differs by {off:.2g} of the largest value")
    spent: dict[str, list[float]] = {name: [] for name in ready}
    for _ in range(FLAGS.rounds):
        for name, (run, laid) in ready.items():
            begun = time.perf_counter()
            jax.block_until_ready(run(tensor, laid))
            spent[name].append(time.perf_counter() - begun)
    return {name: 1000 * min(seconds) for name, seconds in spent.items()}


if __name__ == "__main__":
    cli.run(main)
