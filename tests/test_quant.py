"""bnnjax.quant against Larq's stored results and against formulas in NumPy."""

from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bnnjax import quant

LARQ = np.load(Path(__file__).parent / "reference" / "quantizers.npz")
CASES = LARQ["inputs"].tolist()

# Our quantizers, by the names that tests/reference/quantizers.py gives to Larq's.
OURS = {
    "ste_sign": quant.ste_sign,
    "ste_sign clip=1.25": partial(quant.ste_sign, clip=1.25),
    "ste_sign clip=None": partial(quant.ste_sign, clip=None),
    "approx_sign": quant.approx_sign,
    "swish_sign": quant.swish_sign,
    "swish_sign beta=2": partial(quant.swish_sign, beta=2.0),
    "ste_heaviside": quant.ste_heaviside,
    "ste_heaviside clip=None": partial(quant.ste_heaviside, clip=None),
    "magnitude_aware_sign": quant.magnitude_aware_sign,
    "magnitude_aware_sign clip=None": partial(quant.magnitude_aware_sign, clip=None),
    "ste_tern": quant.ste_tern,
    "ste_tern threshold=0.5": partial(quant.ste_tern, threshold=0.5),
    "ste_tern twn": partial(quant.ste_tern, ternary_weight_networks=True),
    "ste_tern clip=None": partial(quant.ste_tern, clip=None),
    "dorefa activations 2": quant.dorefa,
    "dorefa activations 3": partial(quant.dorefa, k_bit=3),
    "dorefa weights 2": partial(quant.dorefa, mode="weights"),
    "dorefa weights 3": partial(quant.dorefa, k_bit=3, mode="weights"),
    "magnitude_aware_sign_unclipped": quant.magnitude_aware_sign_unclipped,
    "xnor_weight_scale": quant.xnor_weight_scale,
}
INTEGERS = ("ste_sign", "approx_sign", "swish_sign", "ste_heaviside", "ste_tern")
PASSING = ("ste_sign", "ste_heaviside", "ste_tern", "dorefa activations")  # The gradient is g or 0.
# Differences of almost equal numbers near 1: 2 − u tanh(u/2), 1 − tanh², α g + a mean.
CANCELLING = ("swish_sign", "dorefa weights", "xnor_weight_scale")

UP, BELOW_ONE = np.float32(1.0000001), np.float32(0.99999994)  # the neighbours of 1
EDGES = (0.0, -0.0, 1.0, -1.0, 1.25, -1.25, UP, -UP, BELOW_ONE, 0.5, 0.05, -0.05, 100.0, -100.0)
# On CPUs, XLA flushes subnormal numbers to 0 and NumPy does not, so products must not be so small.
FLOATS = st.floats(-4, 4, width=32).map(lambda x: x if abs(x) > 1e-30 else 0.0) | st.sampled_from(
    [float(np.float32(edge)) for edge in EDGES]
)
SHAPES = ((5,), (3, 4), (2, 3, 2, 4), (1, 1, 5, 3))
PROPERTY = settings(max_examples=20)


@partial(jax.jit, static_argnums=0)
def compiled(quantizer, x, g):
    y, pull_back = jax.vjp(quantizer, x)
    return y, pull_back(g)[0]


def with_gradient(quantizer, x, g):
    """The quantizer's value and its input's gradient, as NumPy arrays."""
    y, gradient = compiled(quantizer, jnp.asarray(x), jnp.asarray(g))
    return np.asarray(y), np.asarray(gradient)


def random_pair(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-2, 2, shape).astype(np.float32), rng.normal(size=shape).astype(np.float32)


def np_sign(x):
    return np.where(x >= 0, 1.0, -1.0)


# --- Larq ------------------------------------------------------------------------------------


def test_every_stored_quantizer_is_compared():
    assert list(OURS) == LARQ["quantizers"].tolist()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", OURS)
def test_forward_is_larqs(name, case):
    output = np.asarray(OURS[name](jnp.asarray(LARQ[f"input {case}"])))
    expected = LARQ[f"output {case} {name}"]
    if name.startswith(INTEGERS):
        np.testing.assert_array_equal(output, expected)
    else:
        np.testing.assert_allclose(output, expected, rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", OURS)
def test_gradient_is_larqs(name, case):
    x, expected = LARQ[f"input {case}"], LARQ[f"gradient {case} {name}"]
    gradient = with_gradient(OURS[name], x, LARQ[f"cotangent {case}"])[1]
    if name.startswith("swish_sign"):
        # Larq's slope is −∞ / ∞ = NaN at infinity; ours is the limit.
        assert np.isnan(expected[np.isinf(x)]).all()
        expected = np.where(np.isinf(x), 0, expected)
    if name.startswith(PASSING):
        np.testing.assert_array_equal(gradient, expected)
    else:
        atol = 1e-6 if name.startswith(CANCELLING) else 0
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=atol)


def test_precisions_are_larqs():
    larqs = dict(zip(LARQ["quantizers"].tolist(), LARQ["precisions"].tolist(), strict=True))
    larqs["dorefa_quantizer"] = larqs["dorefa activations 2"]
    for name in quant.QUANTIZERS.keys() - {"no_op"}:  # whose precision is an argument in Larq
        assert quant.precision(name) == larqs[name], name


# --- formulas --------------------------------------------------------------------------------

# Quantizer → its value and slope at x, both in float64.
FORMULAS = {
    "ste_sign clip=1.25": (np_sign, lambda x: abs(x) <= 1.25),
    "ste_sign clip=None": (np_sign, lambda x: x == x),
    "approx_sign": (np_sign, lambda x: (2 - 2 * abs(x)) * (abs(x) <= 1)),
    "ste_heaviside": (lambda x: x > 0, lambda x: abs(x) <= 1),
    "ste_tern": (
        lambda x: 1.0 * (x >= np.float32(0.05)) - (x <= -np.float32(0.05)),
        lambda x: abs(x) <= 1,
    ),
    "dorefa activations 2": (
        lambda x: np.round(3 * np.clip(x, 0, 1)) / 3,
        lambda x: (x >= 0) & (x <= 1),
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
@PROPERTY
@given(x=arrays(np.float32, 24, elements=FLOATS), g=arrays(np.float32, 24, elements=FLOATS))
def test_formula_of_each_value(name, x, g):
    value, slope = FORMULAS[name]
    y, gradient = with_gradient(OURS[name], x, g)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(y, value(exact), rtol=1e-7)
    np.testing.assert_allclose(gradient, g * slope(exact), rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize(("name", "beta"), [("swish_sign", 5.0), ("swish_sign beta=2", 2.0)])
@PROPERTY
@given(u=arrays(np.float32, 24, elements=st.floats(-80, 80, width=32, allow_subnormal=False)))
def test_slope_of_swish_sign_is_accurate_at_every_scale(name, beta, u):
    x = u / np.float32(beta)
    slope = with_gradient(OURS[name], x, np.ones_like(x))[1]
    u = beta * x.astype(np.float64)
    height = beta / (1 + np.cosh(u))
    exact = height * (2 - u * np.tanh(u / 2))
    # Rounding u changes the exponential by |u| ulps; each of the two terms adds its own error.
    assert (abs(slope - exact) <= 1e-6 * (1 + abs(u)) * height * (2 + abs(u))).all()


def test_slope_of_swish_sign_is_0_far_out_and_nan_at_nan():
    far = np.array([40, 89, 1e4, 3e38, np.inf], np.float32)
    slope = with_gradient(quant.swish_sign, [*far, *-far, np.nan], np.ones(11, np.float32))[1]
    np.testing.assert_array_equal(slope, [0] * 10 + [np.nan])


@pytest.mark.parametrize(
    ("name", "clip"), [("magnitude_aware_sign", 1), ("magnitude_aware_sign clip=None", np.inf)]
)
@PROPERTY
@given(data=st.data())
def test_magnitude_aware_sign_scales_each_last_index(name, clip, data):
    shape = data.draw(st.sampled_from(SHAPES))
    x = data.draw(arrays(np.float32, shape, elements=FLOATS))
    g = random_pair(shape)[1]
    y, gradient = with_gradient(OURS[name], x, g)
    scale = np.abs(x.astype(np.float64)).reshape(-1, shape[-1]).mean(0)
    np.testing.assert_allclose(y, scale * np_sign(x), rtol=1e-6)
    np.testing.assert_allclose(gradient, scale * g * (abs(x) <= clip), rtol=1e-6)


@PROPERTY
@given(data=st.data())
def test_xnor_weight_scale_by_its_formula(data):
    shape = data.draw(st.sampled_from(SHAPES[1:]))
    # The sign of 0 has no derivative; Larq's stored results cover zeros.
    x = data.draw(arrays(np.float32, shape, elements=FLOATS.filter(bool)))
    g = random_pair(shape)[1]
    y, gradient = with_gradient(quant.xnor_weight_scale, x, g)
    clipped = np.clip(x.astype(np.float64), -1, 1).reshape(-1, shape[-1])
    alpha, sign = np.abs(clipped).mean(0), np_sign(clipped)
    np.testing.assert_allclose(y, (alpha * sign).reshape(shape), rtol=1e-6)
    columns = g.reshape(-1, shape[-1])
    expected = (alpha * columns + sign * (columns * sign).mean(0)).reshape(shape)
    np.testing.assert_allclose(gradient, expected * (abs(x) <= 1), rtol=1e-6, atol=4e-6)


@given(
    x=arrays(np.float32, 24, elements=FLOATS),
    k_bit=st.integers(1, 8),
    mode=st.sampled_from(["activations", "weights"]),
)
@PROPERTY
def test_dorefa_gives_levels_in_the_order_of_its_inputs(x, k_bit, mode):
    y = np.asarray(quant.dorefa(jnp.asarray(x), k_bit=k_bit, mode=mode), np.float64)
    unit = y if mode == "activations" else (y + 1) / 2
    levels = unit * (2**k_bit - 1)
    np.testing.assert_allclose(levels, np.round(levels), atol=2e-5)
    assert unit.min() >= 0
    assert unit.max() <= 1
    assert (np.diff(y[np.argsort(x, kind="stable")]) >= 0).all()


def test_dorefa_rounds_half_to_even():
    x = jnp.asarray([0.5 / 3, 1.5 / 3, 2.5 / 3], jnp.float32)
    np.testing.assert_allclose(quant.dorefa(x), [0, 2 / 3, 2 / 3], rtol=1e-6)


def test_dorefa_weights_reach_both_ends_and_accept_all_zeros():
    reach = quant.dorefa(jnp.asarray([-0.3, 0.1, 0.3]), mode="weights")
    np.testing.assert_allclose(reach, [-1, 1 / 3, 1], rtol=1e-6)
    # u = ½ makes n u = 1½, a tie that is rounded to 2.
    nothing = quant.dorefa(jnp.zeros(3), mode="weights")
    np.testing.assert_allclose(nothing, [1 / 3] * 3, rtol=1e-6)


def test_dorefa_refuses_unknown_modes():
    with pytest.raises(ValueError, match="mode is 'weight', needs 'activations' or 'weights'"):
        quant.dorefa(jnp.zeros(3), mode="weight")


@pytest.mark.parametrize("k_bit", [0, -1])
def test_dorefa_refuses_fewer_bits_than_one(k_bit):
    with pytest.raises(ValueError, match=f"k_bit is {k_bit}, needs at least 1"):
        quant.dorefa(jnp.zeros(3), k_bit=k_bit)


def test_dorefa_takes_numpys_integers():
    x = jnp.linspace(0, 1, 9)
    np.testing.assert_array_equal(quant.dorefa(x, k_bit=np.int8(7)), quant.dorefa(x, k_bit=7))


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool"])
@pytest.mark.parametrize("name", [name for name in quant.QUANTIZERS if name != "no_op"])
def test_arrays_that_are_not_floats_are_refused(name, dtype):
    with pytest.raises(ValueError, match=f"is {dtype}, needs a float dtype"):
        quant.get(name)(jnp.zeros((2, 3), dtype))


@pytest.mark.parametrize("name", [*quant.QUANTIZERS, "dorefa weights 2"])
def test_empty_arrays_stay_empty(name):
    quantizer = OURS[name] if name in OURS else quant.get(name)
    empty = np.zeros((0, 3), np.float32)
    assert [array.shape for array in with_gradient(quantizer, empty, empty)] == [(0, 3)] * 2


def test_zeros_of_either_sign():
    zeros = jnp.asarray([0.0, -0.0])
    for name in ("ste_sign", "approx_sign", "swish_sign"):
        assert quant.get(name)(zeros).tolist() == [1, 1], name
    assert quant.ste_heaviside(zeros).tolist() == [0, 0]
    assert quant.ste_tern(zeros).tolist() == [0, 0]


@pytest.mark.parametrize("name", quant.QUANTIZERS)
def test_nan_stays_nan(name):
    x = jnp.asarray([[0.3, -2.0], [jnp.nan, 0.4]])
    y = np.asarray(quant.get(name)(x))
    assert np.isnan(y[1, 0])
    if name.endswith("sign") or name in ("ste_heaviside", "ste_tern", "no_op"):
        assert np.isfinite(y[:, 1]).all()  # Another column has another mean.


def test_infinities_keep_their_sign():
    x = jnp.asarray([jnp.inf, -jnp.inf])
    for name in ("ste_sign", "approx_sign", "swish_sign", "ste_tern"):
        assert quant.get(name)(x).tolist() == [1, -1], name
    assert quant.ste_heaviside(x).tolist() == [1, 0]
    assert quant.dorefa(x).tolist() == [1, 0]
    assert quant.dorefa(x, mode="weights").tolist() == [1, -1]


# --- as a JAX function -----------------------------------------------------------------------


@pytest.mark.parametrize("name", quant.QUANTIZERS)
def test_vmap_quantizes_each_array_alone(name):
    x, g = random_pair((3, 2, 4))
    alone = [with_gradient(quant.get(name), *pair) for pair in zip(x, g, strict=True)]
    y, gradient = with_gradient(jax.vmap(quant.get(name)), x, g)
    np.testing.assert_allclose(y, [value for value, _ in alone], rtol=1e-6)
    np.testing.assert_allclose(gradient, [slope for _, slope in alone], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "rtol"), [("float16", 2e-3), ("bfloat16", 2e-2), ("float32", 0), ("float64", 1e-6)]
)
@pytest.mark.parametrize("name", [*quant.QUANTIZERS, "dorefa weights 2", "ste_tern twn"])
def test_dtype_is_kept_forward_and_back_without_implicit_promotion(name, dtype, rtol, request):
    # Every dtype represents these numbers, and none is near the edge of a level.
    x = np.float32([[0.375, -0.75], [1.5, -0.125], [-0.25, 3.0]])
    g = np.float32([[1, -2], [0.5, 4], [-1, 1]])
    quantizer = OURS[name] if name in OURS else quant.get(name)
    y, gradient = with_gradient(quantizer, x, g)
    request.getfixturevalue("strict")
    dtype = jnp.dtype(dtype)
    typed = with_gradient(quantizer, x.astype(dtype), g.astype(dtype))
    assert [array.dtype for array in typed] == [dtype, dtype]
    np.testing.assert_allclose(typed[0].astype(np.float64), y, rtol=rtol)
    np.testing.assert_allclose(typed[1].astype(np.float64), gradient, rtol=rtol, atol=rtol)


@pytest.mark.parametrize(
    "name", ["ste_sign", "approx_sign", "swish_sign", "ste_heaviside", "ste_tern"]
)
def test_every_float16(name):
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    x = x[np.isfinite(x)]
    y, gradient = with_gradient(quant.get(name), x, np.ones_like(x))
    threshold = np.float16(0.05)
    expected = {
        "ste_heaviside": x > 0,
        "ste_tern": 1.0 * (x >= threshold) - (x <= -threshold),
    }
    np.testing.assert_array_equal(y, expected.get(name, np_sign(x)))
    assert np.isfinite(gradient).all()


# --- names -----------------------------------------------------------------------------------


def test_get_binds_options():
    x, g = np.float32([1.1, 1.3]), np.ones(2, np.float32)
    assert with_gradient(quant.get("ste_sign"), x, g)[1].tolist() == [0, 0]
    assert with_gradient(quant.get("ste_sign", clip=1.25), x, g)[1].tolist() == [1, 0]
    assert quant.get("ste_tern", threshold=1.2)(x).tolist() == [0, 1]


def test_no_op_is_the_identity():
    x, g = random_pair((2, 3))
    for array, expected in zip(with_gradient(quant.get("no_op"), x, g), (x, g), strict=True):
        np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("typo", "nearest"),
    [
        ("ste_sing", "ste_sign"),
        ("SteHeaviside", "ste_heaviside"),
        ("dorefa_quantiser", "dorefa_quantizer"),
        ("magnitude_aware", "magnitude_aware_sign"),
    ],
)
@pytest.mark.parametrize("lookup", [quant.get, quant.precision])
def test_a_typo_suggests_the_nearest_name(lookup, typo, nearest):
    with pytest.raises(ValueError, match=f"no quantizer '{typo}'; did you mean '{nearest}'"):
        lookup(typo)


def test_an_unfamiliar_name_lists_all_names():
    with pytest.raises(ValueError, match="no quantizer '8bit'") as caught:
        quant.get("8bit")
    assert all(name in str(caught.value) for name in quant.QUANTIZERS)
    assert "did you mean" not in str(caught.value)


# --- properties of a quantizer ---------------------------------------------------------------


def values_of(quantizer):
    """The kind of values that it makes of a kernel, judged by the numbers alone."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32)
    magnitudes = abs(np.asarray(quantizer(jnp.asarray(kernel))).reshape(-1, 5))
    if (magnitudes == 1).all():
        return "signs"
    return "scaled signs" if (magnitudes == magnitudes[0]).all() else "levels"


@pytest.mark.parametrize("name", OURS)
def test_values_are_those_that_a_quantizer_produces(name):
    assert quant.values(OURS[name]) == values_of(OURS[name])


@pytest.mark.parametrize("name", quant.QUANTIZERS)
def test_values_of_a_name_are_those_of_its_function(name):
    assert quant.values(name) == quant.values(quant.get(name)) == values_of(quant.get(name))


@pytest.mark.parametrize("stranger", [None, abs, "8bit", partial(np.round, decimals=1)])
def test_functions_outside_the_table_produce_levels(stranger):
    assert quant.values(stranger) == "levels"


def test_precision_takes_functions_with_and_without_options():
    larqs = dict(zip(LARQ["quantizers"].tolist(), LARQ["precisions"].tolist(), strict=True))
    for name, quantizer in OURS.items():
        assert quant.precision(quantizer) == larqs[name], name
    assert quant.precision(quant.get("dorefa_quantizer", k_bit=5)) == 5


def test_precision_of_no_quantizer_is_that_of_floats():
    assert quant.precision(None) == 32


@pytest.mark.parametrize("stranger", [abs, partial(np.round, decimals=1)])
def test_precision_of_functions_outside_the_table_is_refused(stranger):
    with pytest.raises(ValueError, match="is not one of the quantizers: ste_sign, approx_sign"):
        quant.precision(stranger)
