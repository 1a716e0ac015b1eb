"""Factors of the logits, against definitions in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax.attack import scaling


def hessian_norm(beta, logits, jacobian, label):
    """‖∂²CE(β z(x))/∂x²‖ of linear logits z, differentiated by JAX."""

    def loss(x):
        return -jax.nn.log_softmax(beta * (logits + jacobian @ x))[label]

    return float(jnp.linalg.norm(jax.hessian(loss)(jnp.zeros(jacobian.shape[1]))))


@pytest.mark.slow
def test_hns_maximises_the_norm_of_the_hessian():
    rng = np.random.default_rng(0)
    logits = np.sort(rng.normal(size=10) * 20)[::-1]
    jacobian = rng.normal(size=(10, 12))
    beta = scaling.best_factor(logits, jacobian @ jacobian.T)
    gap = logits[0] - logits[1]
    ends = [-np.log(e / ((1 - e) * 9)) / gap for e in (1 - 0.1 - 1e-2, 1e-72)]  # the paper's
    grid = np.linspace(*ends, 100)
    norms = [hessian_norm(b, logits, jacobian, 0) for b in grid[:8]]
    assert beta == pytest.approx(grid[np.argmax(norms)])
    assert beta < 1  # these logits saturate


def test_hns_leaves_misclassified_pictures_and_ties_alone(
    linear_network, random_kernel, grey_pictures
):
    network = linear_network(random_kernel())
    pictures = [p.astype(np.float32) / 255 for p in grey_pictures(2)]
    decisions = np.asarray(network(np.stack(pictures))[0]).argmax(1)
    factors = scaling.hns(network, pictures, np.array([decisions[0], (decisions[1] + 1) % 5]))
    assert factors[0] != 1
    assert factors[1] == 1
    assert scaling.best_factor(np.array([3.0, 3.0, 1.0]), np.eye(3)) == 1


def test_njs_is_one_over_the_mean_singular_value(linear_network, random_kernel, grey_pictures):
    network = linear_network(random_kernel())
    pictures = [p.astype(np.float32) / 255 for p in grey_pictures(2)]
    expected = 1 / np.linalg.svd(random_kernel(), compute_uv=False).mean()
    assert scaling.njs(network, pictures) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_the_rescue_lowers_a_saturated_probability_and_leaves_others():
    saturated = jnp.asarray([80.0, 1, 2, 0, 3])
    factor = scaling.rescue(saturated, jnp.asarray(0))
    assert factor == pytest.approx(-np.log(0.01 / (0.99 * 4)) / 80)
    assert jax.nn.softmax(factor * saturated)[0] < 0.999
    assert scaling.rescue(jnp.asarray([1.0, 0, 0]), jnp.asarray(0)) == 1
