"""Quantizers with straight-through pseudo-gradients, after Larq (``larq/quantizers.py``).

Every quantizer is a pure function of an array of any float dtype and shape, and returns the same
dtype and shape. A *pseudo-gradient* (`jax.custom_vjp`) replaces its derivative; each docstring
states it for a cotangent ``g``. The clip mask ``M_c(x)`` is 1 where ``|x| <= c`` (inclusive, as in
Larq) and 0 elsewhere; ``c = None`` means 1 everywhere.

NaN stays NaN in every forward pass, and ``sign(0) = sign(-0.0) = +1``. Arrays that are not floats
raise ValueError. `get` finds a quantizer by its Larq name.
"""

import difflib
import operator
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from jax import Array

__all__ = [
    "QUANTIZERS",
    "Quantizer",
    "approx_sign",
    "dorefa",
    "get",
    "magnitude_aware_sign",
    "magnitude_aware_sign_unclipped",
    "needs_whole",
    "no_op",
    "precision",
    "sign",
    "ste_heaviside",
    "ste_sign",
    "ste_tern",
    "swish_sign",
    "values",
    "xnor_weight_scale",
]

Quantizer = Callable[[Array], Array]

# --- forward functions ---------------------------------------------------------------------


def sign(x: Array) -> Array:
    """Returns −1 or +1, with +1 at ±0 and NaN at NaN. It has no pseudo-gradient."""
    return jnp.sign(jnp.sign(x) + jnp.asarray(0.1, x.dtype))


def _heaviside(x: Array) -> Array:
    return jnp.sign(jnp.maximum(x, 0))


def _ternary(x: Array, threshold: Array | float) -> Array:
    return jnp.sign(jnp.sign(x + threshold) + jnp.sign(x - threshold))


def _round_to_levels(x: Array, levels: int) -> Array:
    return jnp.round(x * levels) / levels  # half to even, as tf.round


# --- pseudo-gradients ----------------------------------------------------------------------


def _straight_through(x: Array, forward: Quantizer, pass_gradient: Callable[..., Array]) -> Array:
    """Returns ``forward(x)``, whose backward pass is ``pass_gradient(x, g)``."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"the array to quantize is {x.dtype}, needs a float dtype")

    @jax.custom_vjp
    def quantize(x: Array) -> Array:
        return forward(x)

    quantize.defvjp(lambda x: (forward(x), x), lambda x, g: (pass_gradient(x, g),))
    return quantize(x)


def _clipped(x: Array, g: Array, *, clip: float | None) -> Array:
    return g if clip is None else jnp.where(jnp.abs(x) <= clip, g, jnp.zeros_like(g))


def _triangle(x: Array, g: Array) -> Array:
    return _clipped(x, g * (2 - 2 * jnp.abs(x)), clip=1.0)


def _swish_derivative(x: Array, g: Array, *, beta: float) -> Array:
    # Larq's β (2 − u tanh(u/2)) / (1 + cosh u) overflows at |u| ≈ 89; with e = exp(−|u|),
    # 1 / (1 + cosh u) = 2e / (1 + e)². Beyond |u| = 200 the slope is 0 in every float dtype.
    u = jnp.clip(beta * x, -200.0, 200.0)
    e = jnp.exp(-jnp.abs(u))
    return (g * beta * (2 - u * jnp.tanh(u / 2)) * 2 * e / (1 + e) ** 2).astype(g.dtype)


# --- quantizers ----------------------------------------------------------------------------


def ste_sign(x: Array, *, clip: float | None = 1.0) -> Array:
    """Sign with the straight-through estimator: ``g · M_clip(x)``.

    Courbariaux et al. 2016 (arXiv 1602.02830); Larq ``SteSign``. The result is −1 or +1.

    Examples:
      >>> x = jnp.array([-2.0, -0.5, 0.0, 1.0])
      >>> bnnjax.quant.ste_sign(x)
      Array([-1., -1.,  1.,  1.], dtype=float32)
      >>> jax.grad(lambda x: bnnjax.quant.ste_sign(x).sum())(x)
      Array([0., 1., 1., 1.], dtype=float32)
    """
    return _straight_through(x, sign, partial(_clipped, clip=clip))


def approx_sign(x: Array) -> Array:
    """Sign with a piecewise-linear slope: ``g · (2 − 2|x|) · M_1(x)``.

    Liu et al. 2018, Bi-Real Net (arXiv 1808.00278); Larq ``ApproxSign``.
    """
    return _straight_through(x, sign, _triangle)


def swish_sign(x: Array, *, beta: float = 5.0) -> Array:
    """Sign with the derivative of SignSwish: ``g · β(2 − βx tanh(βx/2)) / (1 + cosh βx)``.

    Darabi et al. 2018, BNN+ (arXiv 1812.11800); Larq ``SwishSign``. This form does not overflow.
    """
    return _straight_through(x, sign, partial(_swish_derivative, beta=beta))


def ste_heaviside(x: Array, *, clip: float | None = 1.0) -> Array:
    """1 where x > 0, else 0; pseudo-gradient ``g · M_clip(x)``. Larq ``SteHeaviside``."""
    return _straight_through(x, _heaviside, partial(_clipped, clip=clip))


def magnitude_aware_sign(x: Array, *, clip: float | None = 1.0) -> Array:
    """``s_o · sign(x)``, s_o = mean |x| over all axes but the last; ``s_o · g · M_clip(x)``.

    The backward pass treats the scale as a constant. Bi-Real Net; Larq ``MagnitudeAwareSign``.
    """
    scale = jnp.mean(jnp.abs(x), axis=tuple(range(x.ndim - 1)), keepdims=True)
    return jax.lax.stop_gradient(scale) * ste_sign(x, clip=clip)


def magnitude_aware_sign_unclipped(x: Array) -> Array:
    """Mean |x| over the *whole* tensor times sign(x); the pseudo-gradient is ``g``, not scaled.

    Source: ``larq_zoo/literature/dorefanet.py``, whose gradient lacks the scale too.
    """
    return _straight_through(x, lambda x: jnp.mean(jnp.abs(x)) * sign(x), lambda x, g: g)


def ste_tern(
    x: Array,
    *,
    threshold: float = 0.05,
    ternary_weight_networks: bool = False,
    clip: float | None = 1.0,
) -> Array:
    """Ternary quantizer: ``sign(sign(x + Δ) + sign(x − Δ))`` in {−1, 0, 1}; ``g · M_clip(x)``.

    Δ is ``threshold``, or 0.7 · mean |x| with ``ternary_weight_networks`` (Li et al. 2016,
    arXiv 1605.04711). At exactly |x| = Δ the result is ±1. Larq ``SteTern``.
    """

    def forward(x: Array) -> Array:
        return _ternary(x, 0.7 * jnp.mean(jnp.abs(x)) if ternary_weight_networks else threshold)

    return _straight_through(x, forward, partial(_clipped, clip=clip))


def dorefa(x: Array, *, k_bit: SupportsIndex = 2, mode: str = "activations") -> Array:
    """k-bit quantizer of DoReFa-Net (Zhou et al. 2016, arXiv 1606.06160); Larq ``DoReFa``.

    With n = 2^k − 1 and rounding half to even:

    - ``mode="activations"``: ``round(n · clip(x, 0, 1)) / n``; ``g`` where 0 ≤ x ≤ 1, else 0.
    - ``mode="weights"``: ``2 round(n u) / n − 1`` with ``u = tanh x / (2 max|tanh x|) + ½``
      (½ if all are 0); the gradient ignores the rounding, passes through tanh and treats the
      maximum as a constant.

    Raises:
      ValueError: ``k_bit`` is less than 1 or ``mode`` is neither of the two.

    Examples:
      >>> bnnjax.quant.dorefa(jnp.array([-1.0, 0.2, 0.9]), k_bit=1)
      Array([0., 0., 1.], dtype=float32)
    """
    levels = 2 ** operator.index(k_bit) - 1
    if levels < 1:
        raise ValueError(f"dorefa: k_bit is {k_bit}, needs at least 1")
    if mode == "activations":
        return _straight_through(
            x,
            lambda x: _round_to_levels(jnp.clip(x, 0, 1), levels),
            lambda x, g: jnp.where((x >= 0) & (x <= 1), g, jnp.zeros_like(g)),
        )
    if mode == "weights":
        t = jnp.tanh(x)
        top = jax.lax.stop_gradient(jnp.max(jnp.abs(t), initial=0))
        u = jnp.where(top == 0, 0.5, t / jnp.where(top == 0, 1, 2 * top) + 0.5).astype(x.dtype)
        rounded = _straight_through(u, lambda u: _round_to_levels(u, levels), lambda u, g: g)
        return 2 * rounded - 1
    raise ValueError(f"dorefa: mode is {mode!r}, needs 'activations' or 'weights'")


def xnor_weight_scale(x: Array) -> Array:
    """``α_o · sign(x)``, α_o = mean |clip(x, −1, 1)| over all axes but the last (XNOR-Net).

    The backward pass does *not* treat α_o as a constant: with m values per output channel, it is
    ``M_1(x) · (α_o g + sign(x) Σ(g · sign(x)) / m)``. Source: ``larq_zoo/literature/xnornet.py``.
    """
    # Not jnp.clip, which halves the gradient at exactly ±1; TensorFlow passes it undiminished.
    clipped = _straight_through(x, lambda x: jnp.clip(x, -1, 1), partial(_clipped, clip=1.0))
    # Not jnp.abs, whose derivative at exactly 0 is 1; TensorFlow's is 0.
    magnitude = clipped * jax.lax.stop_gradient(jnp.sign(clipped))
    alpha = jnp.mean(magnitude, axis=tuple(range(x.ndim - 1)), keepdims=True)
    return alpha * ste_sign(clipped)


def no_op(x: Array) -> Array:
    """The identity, which marks a float variable to be counted with fewer bits (Larq ``NoOp``)."""
    return x


# --- the table -----------------------------------------------------------------------------


class _Row(NamedTuple):
    function: Callable[..., Array]
    precision: int  # bits per value
    values: str  # "signs": ±1; "scaled signs": ± one scale per output channel; "levels": others
    whole: bool = False  # whether a value depends on all output channels


QUANTIZERS: dict[str, _Row] = {
    "ste_sign": _Row(ste_sign, 1, "signs"),
    "approx_sign": _Row(approx_sign, 1, "signs"),
    "swish_sign": _Row(swish_sign, 1, "signs"),
    "ste_heaviside": _Row(ste_heaviside, 1, "levels"),
    "magnitude_aware_sign": _Row(magnitude_aware_sign, 1, "scaled signs"),
    "magnitude_aware_sign_unclipped": _Row(
        magnitude_aware_sign_unclipped, 1, "scaled signs", whole=True
    ),
    "xnor_weight_scale": _Row(xnor_weight_scale, 1, "scaled signs"),
    "ste_tern": _Row(ste_tern, 2, "levels"),
    "dorefa_quantizer": _Row(dorefa, 2, "levels"),
    "no_op": _Row(no_op, 1, "levels"),
}


def get(name: str, **options: object) -> Quantizer:
    """Returns the quantizer with this Larq name and these options: ``get("ste_sign", clip=1.25)``.

    Raises:
      ValueError: there is no such name (the nearest is suggested).

    Examples:
      >>> sign = bnnjax.quant.get("ste_sign", clip=1.25)
      >>> sign(jnp.array([-3.0, 3.0]))
      Array([-1.,  1.], dtype=float32)
      >>> bnnjax.quant.get("ste_sing")
      Traceback (most recent call last):
      ValueError: no quantizer 'ste_sing'; did you mean 'ste_sign'? There are: ste_sign, ...
    """
    function = _row(name).function
    return partial(function, **options) if options else function


def precision(quantizer: str | Quantizer | None) -> int:
    """Returns the bits per value of a Larq name, of a quantizer from `get`, or of None (32).

    Raises:
      ValueError: the quantizer is not in the table.

    Examples:
      >>> bnnjax.quant.precision("ste_tern")
      2
      >>> bnnjax.quant.precision(bnnjax.quant.get("dorefa_quantizer", k_bit=4))
      4
    """
    if quantizer is None:
        return 32
    if isinstance(quantizer, partial) and "k_bit" in quantizer.keywords:
        return quantizer.keywords["k_bit"]
    return _row(quantizer).precision


def values(quantizer: str | Quantizer | None) -> str:
    """Returns which values a quantizer produces.

    "signs" are ±1, "scaled signs" ± one positive scale per output channel, and "levels" any other
    numbers, including those of a user's own function.

    Examples:
      >>> bnnjax.quant.values("approx_sign"), bnnjax.quant.values("magnitude_aware_sign")
      ('signs', 'scaled signs')
    """
    try:
        return "levels" if quantizer is None else _row(quantizer).values
    except ValueError:
        return "levels"


def needs_whole(quantizer: str | Quantizer) -> bool:
    """Tells whether a value depends on all output channels, so that none can be quantized alone.

    Raises:
      ValueError: the quantizer is not in the table.
    """
    return _row(quantizer).whole


def _row(quantizer: str | Quantizer) -> _Row:
    if not isinstance(quantizer, str):
        function = quantizer.func if isinstance(quantizer, partial) else quantizer
        for row in QUANTIZERS.values():
            if row.function is function:
                return row
        raise ValueError(f"{quantizer!r} is not one of the quantizers: {', '.join(QUANTIZERS)}")
    if quantizer not in QUANTIZERS:
        near = difflib.get_close_matches(quantizer, QUANTIZERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"no quantizer {quantizer!r}{hint} There are: {', '.join(QUANTIZERS)}")
    return QUANTIZERS[quantizer]
