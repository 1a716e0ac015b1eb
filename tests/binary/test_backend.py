"""bnnjax.binary.backend: the arithmetic of each platform; `materialize` changes no value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bnnjax.binary import backend

FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=False)


@pytest.mark.parametrize(
    ("platform", "arithmetic", "group"),
    [("cpu", "packed", 1), ("gpu", "dense", 32), ("tpu", "dense", 32)],
)
def test_each_platform_has_its_own_arithmetic(monkeypatch, platform, arithmetic, group):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert backend.choose() == backend.choose("auto") == arithmetic
    assert backend.group_size() == group
    assert [backend.choose(name) for name in backend.BACKENDS] == list(backend.BACKENDS)


@pytest.mark.parametrize("name", ["cpu", "Packed", ""])
def test_unknown_backends_are_refused(name):
    with pytest.raises(ValueError, match=f"backend is '{name}', needs one of"):
        backend.choose(name)


@pytest.mark.parametrize(
    ("platform", "flags", "dtype"),
    [
        ("cpu", "flags : fma avx2", "float32"),
        ("cpu", "flags : avx2 avx512f avx512_bf16", "bfloat16"),
        ("cpu", "flags : amx_bf16 amx_tile", "bfloat16"),
        ("cpu", None, "float32"),
        ("gpu", None, "bfloat16"),
    ],
)
def test_gradients_are_bfloat16_where_that_is_fast(monkeypatch, tmp_path, platform, flags, dtype):
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(flags + "\n")
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(backend.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(backend, "_CPU_FLAGS", tmp_path / "cpuinfo")
    backend._cpu_multiplies_bfloat16.cache_clear()
    try:
        assert backend.gradient_dtype() == dtype
        assert [backend.gradient_dtype(d) for d in backend.GRADIENT_DTYPES] == [
            jnp.bfloat16,
            jnp.float32,
        ]
    finally:
        backend._cpu_multiplies_bfloat16.cache_clear()


def with_gradient(x, g):
    y, pull_back = jax.vjp(backend.materialize, x)
    return y, pull_back(g)[0]


# As a whole and row by row, where each row has a first element.
COMPILED = {"alone": jax.jit(with_gradient), "vmapped": jax.jit(jax.vmap(with_gradient))}


@pytest.mark.parametrize("name", COMPILED)
@given(x=arrays(np.float32, (2, 3), elements=FLOATS), g=arrays(np.float32, (2, 3), elements=FLOATS))
def test_materialize_is_the_identity_of_values_and_gradients(name, x, g):
    """Infinities and NaN are included, also as the first element, which decides the branch."""
    y, gradient = COMPILED[name](x, g)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(gradient, g)


@pytest.mark.parametrize(("platform", "branches"), [("cpu", True), ("gpu", False)])
def test_materialize_leaves_other_platforms_alone(monkeypatch, platform, branches):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    assert ("cond[" in str(jax.make_jaxpr(lambda x: backend.materialize(x))(1.0))) == branches


@pytest.mark.parametrize("shape", [(), (1,), (2, 1, 3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_materialize_takes_any_shape_and_float(shape, dtype):
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)
    y = backend.materialize(x)
    assert y.dtype == x.dtype
    np.testing.assert_array_equal(y.astype(jnp.float32), x.astype(jnp.float32))


@pytest.mark.parametrize("nan_at", [(0, 0), (1, 2)])
def test_nan_stays_where_it_was(nan_at):
    x = np.ones((2, 3), np.float32)
    x[nan_at] = np.nan
    y = backend.materialize(jnp.asarray(x))
    assert np.argwhere(np.isnan(y)).tolist() == [list(nan_at)]


def sines(keep, *, layers, mapped):
    """Counts sines computed per element by layers that each read the previous one four times."""

    def chain(x):
        for _ in range(layers):
            kept = keep(jnp.sin(x))
            x = sum(k * jnp.roll(kept, k, 0) for k in range(4))
        return x

    function, shape = (jax.vmap(chain), (3, 16, 16)) if mapped else (chain, (16, 16))
    compiled = jax.jit(function).lower(jnp.ones(shape)).compile()
    return compiled.cost_analysis()["transcendentals"] / np.prod(shape)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="only CPUs recompute")
@pytest.mark.parametrize("mapped", [False, True], ids=["alone", "vmapped"])
def test_materialized_values_are_not_recomputed_by_each_reader(mapped):
    # Otherwise `materialize` is no longer needed.
    assert sines(lambda x: x, layers=4, mapped=mapped) > 4 * 4
    # Twice per layer: once to store it, once for the value that decides the branch.
    assert sines(backend.materialize, layers=4, mapped=mapped) <= 4 * 2


def test_an_arithmetic_is_in_force_within_its_context_only():
    default, dense = backend.Arithmetic(), backend.Arithmetic("dense", "float32")
    assert backend.arithmetic() == default
    with backend.using(dense):
        assert backend.arithmetic() is dense
        with backend.using(default):
            assert backend.arithmetic() is default
        assert backend.arithmetic() is dense
    with pytest.raises(KeyError), backend.using(dense):
        raise KeyError
    assert backend.arithmetic() == default


def test_unknown_arithmetics_are_refused():
    with pytest.raises(ValueError, match="gradient_dtype is 'float16', needs one of"):
        backend.Arithmetic(gradient_dtype="float16")
    with pytest.raises(ValueError, match="backend is 'cuda', needs one of"):
        backend.Arithmetic("cuda")
