"""Attacks on linear classifiers, where the best picture within a ball is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from bnnjax import optimize
from bnnjax.attack.config import AttackConfig
from bnnjax.attack.descent import checkpoints
from bnnjax.attack.search import Job, search, way
from bnnjax.attack.square import square
from bnnjax.optimize import constant

EPSILON = 8.0


@pytest.fixture(scope="module")
def two_classes(linear_network, random_kernel, grey_pictures):
    """A picture, a network of two classes that holds with a lead of 4 out of reach, and w."""
    picture = grey_pictures(1)[0]
    kernel = random_kernel()[:, :2]
    kernel *= 2 / (EPSILON / 255 * np.abs(kernel[:, 1] - kernel[:, 0]).sum())
    logits = (picture.ravel() / 255) @ kernel
    network = linear_network(kernel, [4 - logits[0] + logits[1], 0])
    return picture, network, (kernel[:, 1] - kernel[:, 0]).reshape(picture.shape)


def floats(picture, network, config, method="pgd"):
    """The picture of floats that a method finds, and its history."""
    by = way(network, config, method, targeted=False)
    radius = np.float32([EPSILON / 255])
    center = picture[None].astype(np.float32) / 255
    zero = np.zeros(1, np.int32)
    data = {
        "center": center, "radius": radius, "seed": np.uint32([3]), "label": zero,
        "target": zero, "scale": np.ones(1, np.float32),
    }  # fmt: skip
    found = optimize.minimize(
        by.objective, network.variables, center, data, parametrization=by.parametrization,
        optimizer=by.optimizer, learning_rate=by.rate * radius, schedule=constant,
        steps=by.steps, progress=False,
    )  # fmt: skip
    return found.pictures[0] - center[0], found.history[0]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pgd", "apgd"])
def test_the_best_linf_change_is_the_sign_of_the_weights(two_classes, method):
    picture, network, w = two_classes
    change, _ = floats(picture, network, AttackConfig(norm="linf", steps=20), method)
    np.testing.assert_allclose(change, np.sign(w) * EPSILON / 255, atol=2e-7)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pgd", "apgd"])
def test_the_best_l2_change_is_along_the_weights(two_classes, method):
    """ε w / ‖w‖ as far as float32 tells its loss from that of its neighbours."""
    picture, network, w = two_classes
    config = AttackConfig(norm="l2", steps=60, step_size=2.0)
    change, _ = floats(picture, network, config, method)
    assert np.linalg.norm(change) <= EPSILON / 255 * (1 + 1e-6)
    gain = np.sum(w * change) / (np.linalg.norm(w) * EPSILON / 255)
    assert gain > 1 - 1e-4
    best = w / np.linalg.norm(w) * EPSILON / 255
    assert np.linalg.norm(change - best) < 0.02 * np.linalg.norm(best)


@pytest.mark.slow
def test_one_step_of_pgd_moves_by_the_step_size(two_classes):
    """From the random start, inside the ball, each value moves by a tenth of the radius."""
    picture, network, w = two_classes
    by_steps = [
        floats(picture, network, AttackConfig(steps=steps, step_size=0.1))[0] for steps in (1, 2)
    ]
    moved = by_steps[1] - by_steps[0]
    free = np.abs(by_steps[1]) < 0.999 * EPSILON / 255
    expected = np.sign(w) * EPSILON / 2550
    np.testing.assert_allclose(moved[free], expected[free], atol=1e-6)
    assert free.mean() > 0.8


def test_steps_are_updates_and_the_last_picture_is_evaluated(two_classes):
    picture, network, _ = two_classes
    _, history = floats(picture, network, AttackConfig(steps=5))
    assert len(history["total"]) == 6


def test_every_job_has_its_own_radius_label_and_target(
    linear_network, random_kernel, grey_pictures
):
    """Large balls hold pictures of the targets, and 8-bit pictures stay inside theirs."""
    network = linear_network(random_kernel() / 10)
    pictures = grey_pictures(3)
    jobs = [
        Job(picture, label, target, epsilon)
        for picture, label, target in zip(pictures, (0, 1, 2), (2, 3, 4), strict=True)
        for epsilon in (1, 40)
    ]
    found = search(network, jobs, AttackConfig(steps=10), "pgd", targeted=True)
    for job, each in zip(jobs, found, strict=True):
        assert np.abs(each.picture.astype(int) - job.picture).max() == job.epsilon
    decisions = [int(network(each.picture[None] / np.float32(255))[0].argmax()) for each in found]
    assert decisions[1::2] == [2, 3, 4]
    assert all(each.fooled for each in found[1::2])


# --- Auto-PGD --------------------------------------------------------------------------------


def test_checkpoints_of_the_paper():
    """p₁ = 0.22, p_{j+1} = p_j + max(p_j − p_{j−1} − 0.03, 0.06), for 100 updates (section 3.1)."""
    shares, step = [0.22], 0.22
    while shares[-1] + max(step - 0.03, 0.06) <= 1:
        step = max(step - 0.03, 0.06)
        shares.append(shares[-1] + step)
    np.testing.assert_array_equal(np.flatnonzero(checkpoints(100)), np.rint(np.array(shares) * 100))


@pytest.mark.parametrize("updates", [1, 2, 3, 7, 1000])
def test_checkpoints_of_any_number_of_updates_are_ordered_and_inside(updates):
    ends = checkpoints(updates)
    assert len(ends) == updates + 1
    assert ends.sum() == np.flatnonzero(ends).max()  # the periods follow each other


def reference_apgd(loss_and_gradient, start, center, radius, updates):
    """Auto-PGD for "linf" in NumPy, as AutoAttack's ``apgd_single_run`` writes it; losses rise."""
    inside = lambda x: np.clip(np.clip(x, center - radius, center + radius), 0, 1)  # noqa: E731
    period, shrink, least = (max(int(s * updates), 1) for s in (0.22, 0.03, 0.06))
    x, old = start.copy(), start.copy()
    loss, gradient = loss_and_gradient(x)
    best, best_gradient, best_loss, checked = x.copy(), gradient, loss, loss
    step, count, halved, losses = 2 * radius, 0, True, [loss]
    seen = [x]
    for number in range(updates):
        momentum, old = x - old, x.copy()
        share = 0.75 if number else 1.0
        ahead = inside(x + step * np.sign(gradient))
        x = inside(x + (ahead - x) * share + momentum * (1 - share))
        loss, gradient = loss_and_gradient(x)
        losses.append(loss)
        seen.append(x)
        if loss > best_loss:
            best, best_gradient, best_loss = x.copy(), gradient, loss
        count += 1
        if count == period:
            gains = sum(losses[-1 - c] > losses[-2 - c] for c in range(period))
            reduce = gains <= 0.75 * period or (not halved and checked >= best_loss)
            halved, checked = reduce, best_loss
            if reduce:
                step, x, gradient = step / 2, best.copy(), best_gradient
            period, count = max(period - shrink, least), 0
    return np.array(losses)


@pytest.mark.slow
def test_auto_pgd_takes_the_same_steps_as_its_reference(linear_network, grey_pictures):
    """On a loss with a kink, where steps are halved; the first losses agree to the last digits."""
    picture = grey_pictures(1, seed=5)[0]
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(picture.size, 5)).astype("f4")
    network = linear_network(kernel / 3)
    center = picture.astype(np.float32) / 255
    config = AttackConfig(steps=30, loss="ce")
    label = int(network(center[None])[0].argmin())  # whose loss has curvature at once
    by = way(network, config, "apgd", targeted=False)
    radius = np.float32(2 / 255)
    data = {
        "center": center[None], "radius": radius[None], "seed": np.uint32([0]),
        "label": np.int32([label]), "target": np.int32([label]), "scale": np.ones(1, "f4"),
    }  # fmt: skip
    first = by.parametrization.encode(
        jnp.asarray(center), {"center": center, "radius": radius, "seed": np.uint32(0)}
    )
    start = np.asarray(first["picture"], np.float64)
    found = optimize.minimize(
        by.objective, network.variables, center[None], data, parametrization=by.parametrization,
        optimizer=by.optimizer, learning_rate=by.rate * radius, schedule=constant,
        steps=by.steps, progress=False,
    )  # fmt: skip

    def loss_and_gradient(x):
        z = x.ravel() @ (kernel / 3).astype(np.float64)
        p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        gradient = (kernel / 3) @ (p - np.eye(5)[label])
        return -np.log(p[label]), gradient.reshape(x.shape)

    losses = reference_apgd(loss_and_gradient, start, center.astype(float), float(radius), 30)
    ours = -found.history[0]["total"]
    ours = np.where(found.history[0]["lead"] < 0, ours - 1000, ours)
    np.testing.assert_allclose(ours, losses, atol=2e-3)
    assert np.ptp(losses) > 1


# --- Square ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_square_respects_its_budget_and_its_ball(two_classes):
    picture, network, _ = two_classes
    config = AttackConfig(queries=37)
    job = Job(picture, 0, 0, EPSILON)
    (found,) = search(network, [job], config, "square", targeted=False)
    assert found.evaluations == 37
    change = found.picture.astype(int) - picture
    assert set(np.unique(np.abs(change))) == {EPSILON}  # each value is at an end of its range


@pytest.mark.slow
def test_square_needs_no_gradient(linear_network, masked, random_kernel, grey_pictures):
    """With and without gradients it finds the same pictures."""
    picture = grey_pictures(1)[0]
    job, config = Job(picture, 0, 0, EPSILON), AttackConfig(queries=50)
    kernel = random_kernel() / 30
    found = [
        search(network, [job], config, "square", targeted=False)[0].picture
        for network in (linear_network(kernel), linear_network(kernel, build=masked))
    ]
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
def test_square_lowers_the_lead_query_by_query(two_classes):
    """With more queries the lead is never larger, and nears what the best change leaves: 2."""
    picture, network, _ = two_classes
    leads = []
    for queries in (1, 50, 2000):
        job, config = Job(picture, 0, 0, EPSILON), AttackConfig(queries=queries)
        (found,) = search(network, [job], config, "square", targeted=False)
        logits = np.asarray(network(found.picture[None] / np.float32(255))[0])[0]
        leads.append(logits[0] - logits[1])
    assert leads[0] > leads[1] > leads[2] > 2
    assert leads[2] < 3


def test_square_makes_the_same_optimizer_for_the_same_arguments():
    """So that compiled steps are reused."""
    assert square(10, seed=1) is square(10, seed=1)
