"""bnnjax.layers.norm against Keras, its formula, and its own frozen form."""

import jax
import numpy as np
import pytest

from bnnjax.layers import BatchNorm, fold

KEY = jax.random.key(0)
ALL_CHOICES = [(scale, bias) for scale in (True, False) for bias in (True, False)]


def test_batch_norm_agrees_with_keras(batch_norm_case):
    case = batch_norm_case
    training = bool(case["training"])
    layer = BatchNorm(
        epsilon=1e-3, momentum=0.9, use_scale=bool(case["scale"]), use_bias=bool(case["center"])
    )
    names = {"scale": "gamma"} if case["scale"] else {}
    names |= {"bias": "beta"} if case["center"] else {}
    params = {ours: getattr(case, keras) for ours, keras in names.items()}
    statistics = {"mean": case.mean, "var": case.var}

    @jax.jit
    def both(x, params, g):
        def apply(x, params):
            variables = {"params": params, "batch_stats": statistics}
            return layer.apply(variables, x, train=training, mutable=["batch_stats"])

        y, pull_back, after = jax.vjp(apply, x, params, has_aux=True)
        return y, *pull_back(g), after["batch_stats"]

    y, of_x, of_params, after = both(case.x, params, case.cotangent)
    np.testing.assert_allclose(y, case.y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(of_x, case.of_x, rtol=1e-4, atol=1e-3)
    for ours, keras in names.items():
        expected = getattr(case, f"of_{keras}")
        np.testing.assert_allclose(of_params[ours], expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(after["mean"], case.mean_after, rtol=1e-5)
    # Keras records the unbiased variance of the batch but divides by the biased one.
    n = case.x.size // 5
    share = (after["var"] - 0.9 * case.var) * (n / (n - 1)) if training else 0.1 * case.var
    np.testing.assert_allclose(0.9 * case.var + share, case.var_after, rtol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3, 2, 5), (6, 5)])
def test_batch_norm_in_training_by_its_formula(shape, reals):
    x, scale, bias = 3 * reals(shape) + 2, reals(5, seed=1), reals(5, seed=2)
    before = {"mean": reals(5, seed=3), "var": reals(5, seed=4) ** 2}
    layer = BatchNorm(epsilon=1e-2, momentum=0.8)
    y, after = layer.apply(
        {"params": {"scale": scale, "bias": bias}, "batch_stats": before},
        x,
        train=True,
        mutable=["batch_stats"],
    )
    rows = x.reshape(-1, 5).astype(np.float64)
    mean, var = rows.mean(0), rows.var(0)  # biased: divided by the number of rows
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-2) * scale + bias, atol=1e-5)
    after = after["batch_stats"]
    np.testing.assert_allclose(after["mean"], 0.8 * before["mean"] + 0.2 * mean, rtol=1e-5)
    np.testing.assert_allclose(after["var"], 0.8 * before["var"] + 0.2 * var, rtol=1e-5)


def test_batch_norm_by_its_statistics_and_frozen(reals):
    x, scale, bias, mean = reals((4, 3, 2, 5)), *(reals(5, seed) for seed in (1, 2, 3))
    var = reals(5, seed=4) ** 2
    layer = BatchNorm(epsilon=1e-2, momentum=0.8)
    variables = {
        "params": {"scale": scale, "bias": bias},
        "batch_stats": {"mean": mean, "var": var},
    }
    y, after = layer.apply(variables, x, mutable=["batch_stats"])
    expected = (x.astype(np.float64) - mean) / np.sqrt(var + 1e-2) * scale + bias
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    for name, value in after["batch_stats"].items():
        np.testing.assert_array_equal(value, variables["batch_stats"][name])
    multiplier, offset = fold(scale, bias, mean, var, epsilon=1e-2)
    frozen = layer.apply({"params": {"multiplier": multiplier, "bias": offset}}, x)
    np.testing.assert_array_equal(frozen, y)


def test_a_new_batch_norm_has_mean_0_and_variance_1(reals):
    layer = BatchNorm(epsilon=1e-5, momentum=0.9)
    x = 5 + reals((4, 3))
    variables = layer.init(KEY, x, train=True)
    np.testing.assert_array_equal(variables["batch_stats"]["mean"], 0)
    np.testing.assert_array_equal(variables["batch_stats"]["var"], 1)
    np.testing.assert_allclose(layer.apply(variables, x), x, rtol=1e-5)


# --- both forms ------------------------------------------------------------------------------


@pytest.fixture
def variables_of(reals):
    """A function layer → latent parameters and statistics, with small and large variances."""

    def draw(layer):
        params = {"scale": reals(6, seed=1)} if layer.use_scale else {}
        params |= {"bias": reals(6, seed=2)} if layer.use_bias else {}
        var = np.float32([1e-6, 1e-3, 0.1, 1, 30, 1e4])
        return params, {"mean": reals(6, seed=3), "var": var}

    return draw


@pytest.mark.parametrize(("use_scale", "use_bias"), ALL_CHOICES)
def test_frozen_and_thawed_norms_compute_the_same(use_scale, use_bias, reals, variables_of):
    layer = BatchNorm(epsilon=1e-3, momentum=0.9, use_scale=use_scale, use_bias=use_bias)
    params, stats = variables_of(layer)
    x = reals((7, 6))
    expected = (x - stats["mean"].astype(np.float64)) / np.sqrt(stats["var"] + 1e-3)
    expected = expected * params.get("scale", 1) + params.get("bias", 0)
    frozen = layer.freeze(params, stats)
    y = layer.apply({"params": frozen}, x)
    # x · multiplier and mean · multiplier may be 30 times their difference.
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    latent, statistics = layer.thaw(frozen)
    assert jax.tree.map(np.shape, (latent, statistics)) == jax.tree.map(np.shape, (params, stats))
    again = layer.apply({"params": latent, "batch_stats": statistics}, x)
    np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
def test_a_thawed_norm_freezes_to_the_same_bits(epsilon, variables_of):
    layer = BatchNorm(epsilon=epsilon, momentum=0.9)
    frozen = layer.freeze(*variables_of(layer))
    again = layer.freeze(*layer.thaw(frozen))
    for name, value in frozen.items():
        np.testing.assert_array_equal(again[name], value)


def test_a_channel_that_a_norm_turns_off_stays_off(reals):
    layer = BatchNorm(epsilon=1e-3, momentum=0.9, use_bias=False)
    stats = {"mean": reals(3), "var": np.ones(3, np.float32)}
    frozen = layer.freeze({"scale": np.float32([1, 0, -1])}, stats)
    params, stats = layer.thaw(frozen)
    y = layer.apply({"params": params, "batch_stats": stats}, reals((5, 3)))
    assert np.isfinite(y).all()
    assert not y[:, 1].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["scale", "bias", "mean", "var"])
def test_a_norm_that_is_not_finite_is_not_frozen(name, value, variables_of):
    layer = BatchNorm(epsilon=1e-3, momentum=0.9)
    params, stats = variables_of(layer)
    layer.freeze(params, stats)
    (params if name in params else stats)[name][2] = value
    with pytest.raises(ValueError, match="not finite"):
        layer.freeze(params, stats)


def test_a_norm_of_negative_variance_is_not_frozen(variables_of):
    layer = BatchNorm(epsilon=1e-3, momentum=0.9)
    params, stats = variables_of(layer)
    stats["var"][0] = -0.01
    with pytest.raises(ValueError, match="the batch norm"):
        layer.freeze(params, stats)
