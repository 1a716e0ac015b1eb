"""bnnjax.train.photo_task: a narrow InkNet on five classes of made-up photographs."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from bnnjax.models import inknet, registry
from bnnjax.models.forms import freeze
from bnnjax.models.network import Architecture
from bnnjax.train import loop, photo_task
from bnnjax.train import teacher as teaching
from bnnjax.train.photo_task import PhotoTask
from bnnjax.train.photographs import Photographs
from bnnjax.train.recipe import Recipe
from bnnjax.train.views import whole_views

CLASSES = 5
NARROW = partial(inknet.InkNet, (32, 32, 32, 32), (1, 1, 1, 1))
RECIPE = Recipe(epochs=2, batch_size=8, sides=(32, 64), warmup_epochs=0.5, seed=3)


@pytest.fixture(scope="module")
def architecture():
    entry = dataclasses.replace(registry.find("inknet"), name="narrow", build=NARROW)
    return Architecture.published(entry, num_classes=CLASSES)


@pytest.fixture(scope="module")
def photographs():
    """40 pictures of 48 px, whose class is their colour, with grain."""
    rng = np.random.default_rng(0)
    labels = np.arange(40, dtype=np.int32) % CLASSES
    colours = rng.integers(40, 215, (CLASSES, 3))
    grain = rng.integers(-30, 30, (40, 48, 48, 3))
    images = np.clip(colours[labels][:, None, None] + grain, 0, 255).astype(np.uint8)
    return Photographs(images, labels)


@pytest.fixture(scope="module")
def task(architecture, photographs):
    return PhotoTask(architecture, photographs, photographs, RECIPE)


def test_batches_are_an_epoch_in_another_order_each_time(task, photographs, monkeypatch):
    seen = []

    def look(state, variables, images, labels, *, side):
        seen.append((images, labels, side))
        return state, {}

    monkeypatch.setattr(task, "_step", look)
    for step in range(2 * task.steps_per_epoch):
        task.train(None, step)
    for epoch in (seen[:5], seen[5:]):
        images = np.concatenate([images for images, _, _ in epoch])
        whole = sorted(image.tobytes() for image in photographs.images)
        assert sorted(image.tobytes() for image in images) == whole
    assert not all((a[0] == b[0]).all() for a, b in zip(seen[:5], seen[5:], strict=True))
    assert [side for _, _, side in seen] == [32] * 5 + [64] * 5
    for images, labels, _ in seen:
        for image, label in zip(images, labels, strict=True):
            place = next(i for i, each in enumerate(photographs.images) if (each == image).all())
            assert photographs.labels[place] == label


def test_figures_of_the_first_step_are_what_the_formulas_say(task):
    """Without a teacher: cross entropy against smoothed labels, over random views."""
    state = task.start()
    images, labels = task.photographs.images[:8], task.photographs.labels[:8]
    key = jax.random.fold_in(jax.random.key(RECIPE.seed), 0)
    views = photo_task.random_views(key, images, side=32, smallest=RECIPE.smallest_crop)
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    logits, _, _ = task.architecture.train(variables, views)
    log = np.asarray(jax.nn.log_softmax(logits), np.float64)
    smooth = 0.9 * np.eye(CLASSES)[labels] + 0.1 / CLASSES
    expected = -(smooth * log).sum(1).mean()
    accuracy = 100 * (np.asarray(logits).argmax(1) == labels).mean()
    after, figures = task._step(state, {}, images, labels, side=32)
    np.testing.assert_allclose(figures["loss"], expected, rtol=1e-4)
    np.testing.assert_allclose(figures["accuracy"], accuracy)
    assert int(after.step) == 1


def test_training_tells_the_colours_apart_and_the_frozen_network_does_too(
    architecture, photographs, tmp_path
):
    recipe = dataclasses.replace(RECIPE, epochs=12, sides=(32,), learning_rate=5e-3)
    task = PhotoTask(architecture, photographs, photographs, recipe)
    state = loop.train(task, tmp_path, progress=False)
    found = task.evaluate(state)
    assert found["top1"] >= 90  # a guess is right once in five times
    assert found["top5"] == 100
    frozen = freeze(task.network(state))
    assert frozen.provenance["recipe"]["epochs"] == 12
    assert frozen.provenance["steps"] == 60
    views = whole_views(photographs.images, side=32)
    guesses = frozen.apply(frozen.variables, views)[0].argmax(1)
    assert 100 * np.mean(guesses == photographs.labels) == pytest.approx(found["top1"], abs=5)


def test_latent_weights_stay_within_their_clip(task):
    state = task.start()
    large = jax.tree.map(lambda w: 10 * w, state.params)
    state, _ = task.train(state._replace(params=large), 0)
    for block in ("section1_block1_conv", "section4_block1_conv"):
        assert jnp.abs(state.params[block]["kernel"]).max() <= 1.25
    assert jnp.abs(state.params["stem_conv"]["kernel"]).max() > 1.25


def test_a_run_cut_off_goes_on_as_if_it_had_not_been(architecture, photographs, tmp_path):
    class CutOff(Exception):
        pass

    def cut_off(state, epoch, figures):
        raise CutOff

    make = partial(PhotoTask, architecture, photographs, photographs, RECIPE)
    whole = loop.train(make(), tmp_path / "whole", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SAVE_EVERY", 2)
        with pytest.raises(CutOff):
            loop.train(make(), tmp_path / "cut", after_epoch=cut_off, progress=False)
    resumed = loop.train(make(), tmp_path / "cut", progress=False)
    for ours, expected in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_teacher_is_listened_to(architecture, photographs, with_random_weights):
    teacher = with_random_weights(registry.find("quicknet_v0"))
    recipe = dataclasses.replace(RECIPE, soft_weight=0.5, hint_weight=3.0)
    task = PhotoTask(architecture, photographs, photographs, recipe, teacher)
    state, figures = task.train(task.start(), 0)
    # Maps begin as zeros: the guess is nothing, all classes alike.
    key = jax.random.fold_in(jax.random.key(RECIPE.seed), 0)
    order = np.random.default_rng((RECIPE.seed, 0)).permutation(40)[:8]
    views = photo_task.random_views(
        key, photographs.images[np.sort(order)], side=32, smallest=RECIPE.smallest_crop
    )
    logits, taps = teacher.apply(teacher.variables, views)
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    soft = (p * np.log(p * p.shape[1])).sum(1).mean()
    shares = []
    for tap in teaching.TAPS:
        t = np.asarray(taps[tap], np.float64)
        shares.append((t**2).sum() / ((t - t.mean((0, 1, 2))) ** 2).sum())
    np.testing.assert_allclose(figures["soft"], soft, rtol=1e-3)
    np.testing.assert_allclose(figures["hints"], np.mean(shares), rtol=1e-3)
    total = figures["labels"] + 0.5 * figures["soft"] + 3 * figures["hints"]
    np.testing.assert_allclose(figures["loss"], total, rtol=1e-5)
    state, _ = task.train(state, 1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert optax.global_norm(state.translation) > 0


def test_networks_without_binary_layers_and_norms_are_trained_too(photographs, tmp_path):
    class Colours(nn.Module):
        @nn.compact
        def __call__(self, x, *, train=False):
            pooled = x.mean((1, 2))
            return nn.Dense(CLASSES)(pooled)

    entry = dataclasses.replace(registry.find("vgg16"), build=lambda **_: Colours())
    task = PhotoTask(
        Architecture.published(entry, num_classes=CLASSES),
        photographs,
        photographs,
        dataclasses.replace(RECIPE, epochs=1),
    )
    state = loop.train(task, tmp_path, progress=False)
    assert int(state.step) == 5
    assert not np.array_equal(*(s.params["Dense_0"]["kernel"] for s in (state, task.start())))


def test_a_pupil_without_the_teachers_taps_is_refused(
    architecture, photographs, with_random_weights
):
    teacher = with_random_weights(registry.find("quicknet_v0"))
    build = partial(inknet.InkNet, (32, 32), (1, 1))
    entry = dataclasses.replace(architecture.entry, build=build)
    pupil = dataclasses.replace(architecture, entry=entry)
    with pytest.raises(ValueError, match="narrow cannot learn from a teacher: it lacks section3, "):
        PhotoTask(pupil, photographs, photographs, RECIPE, teacher)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 41}, "40 photographs do not fill a batch of 41"),
        ({"sides": (16,)}, "sides are"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd', needs one of"),
        ({"epochs": 0}, "epochs is 0, needs at least 1"),
        ({"smallest_crop": 0.0}, "smallest_crop is 0.0"),
        ({"hint_weight": float("nan")}, "hint_weight is nan, needs at least 0"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0, needs less than 1"),
        ({"seed": -1}, "seed is -1, needs at least 0"),
        ({"sides": ("96", "x")}, "sides are .*, need whole numbers"),
    ],
)
def test_what_cannot_be_trained_is_refused(architecture, photographs, change, message):
    with pytest.raises(ValueError, match=message):
        PhotoTask(architecture, photographs, photographs, dataclasses.replace(RECIPE, **change))


def test_labels_of_other_classes_are_refused(architecture, photographs):
    wrong = photographs._replace(labels=photographs.labels + 1)
    for pair in ((wrong, photographs), (photographs, wrong)):
        with pytest.raises(ValueError, match="labels run from 1 to 5, the network tells 5"):
            PhotoTask(architecture, *pair, RECIPE)


def test_a_network_that_has_gone_astray_is_never_right(task):
    state = task.start()
    nowhere = jax.tree.map(lambda w: jnp.full_like(w, jnp.nan), state.params)
    assert task.evaluate(state._replace(params=nowhere)) == {"top1": 0, "top5": 0}
    blank = jax.tree.map(jnp.zeros_like, state.params)  # all classes alike: ties count against it
    assert task.evaluate(state._replace(params=blank))["top1"] == 0


@pytest.mark.parametrize(
    ("name", "side", "message"),
    [
        ("vgg16", 64, "vgg16 cannot be trained here"),
        ("binary_alexnet", 96, "views of 96 px: binary_alexnet has no classifier for them"),
    ],
)
def test_networks_that_cannot_learn_from_such_views_are_refused(photographs, name, side, message):
    entry = registry.find(name)
    recipe = dataclasses.replace(RECIPE, sides=(side,))
    with pytest.raises(ValueError, match=message):
        PhotoTask(Architecture.published(entry), photographs, photographs, recipe)


def test_a_run_of_one_epoch_warms_up_for_half_of_it(architecture, photographs):
    recipe = dataclasses.replace(RECIPE, epochs=1, warmup_epochs=1.0, sides=(32,))
    task = PhotoTask(architecture, photographs, photographs, recipe)
    rates = [float(task._rate(step)) for step in range(6)]
    assert rates[2] == pytest.approx(recipe.learning_rate)
    assert rates[0] == 0
    assert rates[5] < rates[3] < rates[2]


def test_sides_that_the_teacher_cannot_take_are_refused(
    architecture, photographs, with_random_weights
):
    teacher = with_random_weights(registry.find("quicknet_v0"))
    recipe = dataclasses.replace(RECIPE, sides=(112,))
    with pytest.raises(ValueError, match="views of 112 px: quicknet_v0 cannot take them"):
        PhotoTask(architecture, photographs, photographs, recipe, teacher)
