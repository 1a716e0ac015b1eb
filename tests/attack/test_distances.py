"""Structural similarity against closed forms and a direct sum."""

import numpy as np
import pytest

from bnnjax.attack.distances import distances, ssim


def direct(first, second):
    """Wang et al. (2004), window by window."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    values = []
    for row in range(first.shape[0] - 10):
        for column in range(first.shape[1] - 10):
            x, y = (p[row : row + 11, column : column + 11] for p in (first, second))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
            cov = (window * (x - mx) * (y - my)).sum()
            values.append(
                (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
                / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
            )  # fmt: skip
    return np.mean(values)


def test_ssim_agrees_with_a_direct_sum():
    rng = np.random.default_rng(0)
    first = rng.uniform(size=(17, 20))
    second = np.clip(first + rng.normal(0, 0.1, first.shape), 0, 1)
    assert ssim(first, second) == pytest.approx(direct(first, second), rel=1e-10)


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.8), (0.0, 1.0), (0.5, 0.5)])
def test_ssim_of_flat_pictures(a, b):
    """Only the comparison of means is left: (2ab + c₁) / (a² + b² + c₁)."""
    expected = (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)
    found = ssim(np.full((12, 15), a), np.full((12, 15), b))
    assert found == pytest.approx(expected, rel=1e-9)


def test_ssim_of_pictures_below_the_window_is_refused():
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim(np.zeros((10, 20)), np.zeros((10, 20)))


def test_changes_are_in_steps_of_bytes():
    before = np.full((16, 16, 3), 100, np.uint8)
    after = before.copy()
    after[0, 0] = (103, 96, 100)
    found = distances(before, after)
    assert (found.linf, found.l2) == (4, 5)
    assert 0.9 < found.ssim < 1
    assert distances(before, before) == (0, 0, 1)
