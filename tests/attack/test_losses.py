"""Losses against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bnnjax.attack import losses

LOGITS = st.lists(st.integers(-40, 40), min_size=5, max_size=9, unique=True)


def numpy_dlr(z, y, t=None):
    """Equations 6 and 7 of Croce & Hein, word by word; positive once the attack has succeeded."""
    ordered = np.sort(z)[::-1]
    if t is not None:
        return -(z[y] - z[t]) / (ordered[0] - (ordered[2] + ordered[3]) / 2)
    return -(z[y] - np.max(np.delete(z, y))) / (ordered[0] - ordered[2])


@pytest.mark.slow
@given(LOGITS, st.data())
def test_dlr_agrees_with_numpy(logits, data):
    z = np.array(logits, np.float32) / 4
    y = data.draw(st.integers(0, len(z) - 1))
    t = data.draw(st.integers(0, len(z) - 1).filter(lambda i: i != y))
    np.testing.assert_allclose(losses.dlr(jnp.asarray(z), y), -numpy_dlr(z, y), rtol=1e-5)
    found = losses.targeted_dlr(jnp.asarray(z), y, t)
    np.testing.assert_allclose(found, -numpy_dlr(z, y, t), rtol=1e-5)


@pytest.mark.slow
@given(LOGITS, st.floats(0.1, 50), st.floats(-9, 9))
def test_neither_a_factor_nor_a_shift_changes_dlr(logits, factor, shift):
    z = np.array(logits, np.float32)
    first, second = (losses.dlr(jnp.asarray(values), 1) for values in (z, factor * z + shift))
    np.testing.assert_allclose(first, second, rtol=2e-3, atol=1e-4)


@pytest.mark.slow
@given(LOGITS, st.data())
def test_the_margin_is_negative_where_the_class_is_not_the_decision(logits, data):
    z = np.array(logits, np.float32)
    index = data.draw(st.integers(0, len(z) - 1))
    lead = float(losses.margin(jnp.asarray(z), index))
    assert lead == z[index] - np.delete(z, index).max()
    assert (lead > 0) == (z.argmax() == index)


def test_cross_entropy_agrees_with_numpy():
    z = np.array([1.0, -2, 0.5, 3], np.float32)
    expected = -np.log(np.exp(z) / np.exp(z).sum())
    for index in range(4):
        found = losses.cross_entropy(jnp.asarray(z), index)
        np.testing.assert_allclose(found, expected[index], rtol=1e-5)


def test_dlr_of_too_few_classes_is_refused():
    with pytest.raises(ValueError, match="at least 3 classes, the network has 2"):
        losses.dlr(jnp.zeros(2), 0)


@pytest.mark.slow
def test_gradients_are_finite_where_logits_tie():
    for loss in (losses.dlr, losses.margin, losses.cross_entropy):
        assert np.isfinite(jax.grad(loss)(jnp.zeros(6), 2)).all()
