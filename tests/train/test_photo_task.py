"""bnnjax.train.photo_task: a narrow InkNet on five classes of made-up photographs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from bnnjax.models import registry
from bnnjax.models.entry import Card
from bnnjax.models.forms import freeze
from bnnjax.nst.ensemble import load_models
from bnnjax.train import loop
from bnnjax.train.augmentation import augment, resize
from bnnjax.train.config import TrainConfig
from bnnjax.train.dataset import Dataset
from bnnjax.train.photo_task import PhotoTask

TAPS = ("stem_conv", "stem", "section1")
CONFIG = TrainConfig(
    epochs=2, batch_size=8, sides=(32, 64), warmup_epochs=0.5, hint_taps=TAPS, seed=3
)
NUM_CLASSES = 5


@pytest.fixture(scope="module")
def task(narrow, photographs):
    return PhotoTask(narrow, photographs, photographs, CONFIG)


@pytest.fixture(scope="module")
def start(task):
    """A function that makes the state before the first step, which each step consumes."""
    state = jax.device_get(task.init())
    return lambda: jax.tree.map(jnp.array, state)


def first_crops(photographs):
    """The network's input in the first step of a run with `CONFIG`, and the labels."""
    order = np.random.default_rng((CONFIG.seed, 0)).permutation(40)[:8]
    key = jax.random.fold_in(jax.random.key(CONFIG.seed), 0)
    chosen = np.sort(order)
    images, labels = photographs.images[chosen], photographs.labels[chosen]
    return augment(key, images, side=32, smallest_crop=CONFIG.smallest_crop), labels


@pytest.mark.slow
def test_each_epoch_visits_every_photograph_in_another_order(task, photographs, monkeypatch):
    seen = []

    def look(state, variables, images, labels, *, side):
        seen.append((images, labels, side))
        return state, {}

    monkeypatch.setattr(task, "_jitted_step", look)
    for step in range(2 * task.steps_per_epoch):
        task.step(None, step)
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


@pytest.mark.slow
def test_metrics_of_the_first_step_follow_their_formulas(task, start, photographs):
    """Without a teacher: cross entropy against smoothed labels, over augmented pictures."""
    state = start()
    crops, labels = first_crops(photographs)
    variables = {"params": state.params["student"], "batch_stats": state.batch_stats}
    logits = jax.jit(task.architecture.train)(variables, crops)[0]
    log = np.asarray(jax.nn.log_softmax(logits), np.float64)
    smooth = 0.9 * np.eye(NUM_CLASSES)[labels] + 0.1 / NUM_CLASSES
    expected = -(smooth * log).sum(1).mean()
    accuracy = 100 * (np.asarray(logits).argmax(1) == labels).mean()
    after, metrics = task.step(state, 0)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy"], accuracy)
    assert int(after.step) == 1


@pytest.mark.slow
def test_training_learns_the_colors_and_the_frozen_network_knows_them(
    narrow, photographs, tmp_path
):
    config = dataclasses.replace(CONFIG, epochs=12, sides=(32,), learning_rate=5e-3)
    task = PhotoTask(narrow, photographs, photographs, config)
    state = loop.train(task, tmp_path, progress=False)
    found = task.evaluate(state)
    assert found["top1"] >= 90  # chance is 20
    assert found["top5"] == 100
    frozen = freeze(task.network(state))
    assert frozen.provenance["config"]["epochs"] == 12
    assert frozen.provenance["steps"] == 60
    assert frozen.class_names is None
    pictures = resize(photographs.images, side=32)
    guesses = frozen(pictures)[0].argmax(1)
    assert 100 * np.mean(guesses == photographs.labels) == pytest.approx(found["top1"], abs=5)


@pytest.mark.slow
def test_latent_weights_stay_within_their_clip(task, start):
    state = start()
    params = {"student": jax.tree.map(lambda w: 10 * w, state.params["student"])}
    state, _ = task.step(state._replace(params=params), 0)
    binary = state.params["student"]["section1_block1_conv"]["kernel"]
    assert jnp.abs(binary).max() == 1.25
    assert jnp.abs(state.params["student"]["stem_conv"]["kernel"]).max() > 1.25


@pytest.mark.slow
def test_an_interrupted_run_ends_like_one_that_was_not(task, tmp_path):
    """The run resumes one step before the crops grow."""

    class Interruption(Exception):
        pass

    def interrupt(state, epoch, metrics):
        raise Interruption

    whole = loop.train(task, tmp_path / "whole", progress=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "SAVE_EVERY", 2)
        with pytest.raises(Interruption):
            loop.train(task, tmp_path / "cut", after_epoch=interrupt, progress=False)
    resumed = loop.train(task, tmp_path / "cut", progress=False)
    for ours, expected in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.slow
def test_networks_without_binary_layers_and_norms_are_trained_too(photographs, tmp_path):
    class Colors(nn.Module):
        @nn.compact
        def __call__(self, x, *, train=False):
            return nn.Dense(NUM_CLASSES)(x.mean((1, 2)))

    card = Card(num_classes=NUM_CLASSES)
    entry = dataclasses.replace(registry.find("vgg16"), build=lambda **_: Colors(), card=card)
    task = PhotoTask(entry, photographs, photographs, dataclasses.replace(CONFIG, epochs=1))
    state = loop.train(task, tmp_path, progress=False)
    assert int(state.step) == 5
    kernels = (s.params["student"]["Dense_0"]["kernel"] for s in (state, task.init()))
    assert not np.array_equal(*kernels)


def test_a_network_with_logits_that_are_not_finite_is_never_right(task, start):
    state = start()
    nan = jax.tree.map(lambda w: jnp.full_like(w, jnp.nan), state.params)
    assert task.evaluate(state._replace(params=nan)) == {"top1": 0, "top5": 0}
    zero = jax.tree.map(
        jnp.zeros_like, state.params
    )  # all classes tie, which counts against the network
    assert task.evaluate(state._replace(params=zero))["top1"] == 0


def test_a_run_of_one_epoch_warms_up_for_half_of_it(narrow, photographs):
    config = dataclasses.replace(CONFIG, epochs=1, warmup_epochs=1.0, sides=(32,))
    task = PhotoTask(narrow, photographs, photographs, config)
    rates = [float(task._learning_rate(step)) for step in range(6)]
    assert rates[2] == pytest.approx(config.learning_rate)
    assert rates[0] == 0
    assert rates[5] < rates[3] < rates[2]


@pytest.mark.slow
def test_the_number_of_classes_is_that_of_the_class_names(narrow, photographs):
    names = ("a", "b", "c", "d", "e", "f")
    named = dataclasses.replace(photographs, class_names=names)
    task = PhotoTask(narrow, named, named, CONFIG)
    network = task.network(task.init())
    assert network.variables["params"]["dense"]["kernel"].shape == (32, 6)
    assert network.class_names == names


# --- with a teacher --------------------------------------------------------------------------


@pytest.mark.slow
def test_the_loss_adds_soft_targets_and_hints(narrow, photographs, narrow_teacher):
    config = dataclasses.replace(CONFIG, soft_weight=0.5, hint_weight=3.0)
    task = PhotoTask(narrow, photographs, photographs, config, narrow_teacher)
    state, metrics = task.step(task.init(), 0)
    # The maps start as zeros, so all classes are equally likely and all taps are predicted as 0.
    crops, _ = first_crops(photographs)
    logits, taps = narrow_teacher(crops)
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    soft = (p * np.log(p * p.shape[1])).sum(1).mean()
    shares = []
    for tap in TAPS:
        t = np.asarray(taps[tap], np.float64)
        shares.append((t**2).sum() / ((t - t.mean((0, 1, 2))) ** 2).sum())
    np.testing.assert_allclose(metrics["soft"], soft, rtol=1e-3)
    np.testing.assert_allclose(metrics["hints"], np.mean(shares), rtol=1e-3)
    total = metrics["labels"] + 0.5 * metrics["soft"] + 3 * metrics["hints"]
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-5)
    state, _ = task.step(state, 1)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert optax.tree.norm(state.params["hint_maps"]) > 0


@pytest.mark.slow
def test_the_hints_compare_the_taps_of_the_config(narrow, photographs, narrow_teacher):
    config = dataclasses.replace(CONFIG, hint_taps=["stem", "section1"])
    task = PhotoTask(narrow, photographs, photographs, config, narrow_teacher)
    hint_maps = jax.eval_shape(task.init).params["hint_maps"]
    assert hint_maps.keys() == {"stem", "section1", "logits"}


@pytest.mark.slow
def test_several_teachers_give_hints_and_the_first_soft_targets(
    narrow, photographs, narrow_teacher, with_random_weights
):
    other = with_random_weights(dataclasses.replace(narrow_teacher.entry, name="other"))
    hints = ("stem_conv=other:stem_conv", "stem=narrow_teacher:stem", "stem=other:section1")
    config = dataclasses.replace(CONFIG, hint_taps=hints)
    teacher = load_models([narrow_teacher, other])
    task = PhotoTask(narrow, photographs, photographs, config, teacher)
    assert len(task.saved_config["teacher"]) == 2
    _, metrics = task.step(task.init(), 0)
    crops, _ = first_crops(photographs)
    logits, first = narrow_teacher(crops)
    _, second = other(crops)
    shares = []
    for t in (second["stem_conv"], first["stem"], second["section1"]):
        t = np.asarray(t, np.float64)
        shares.append((t**2).sum() / ((t - t.mean((0, 1, 2))) ** 2).sum())
    np.testing.assert_allclose(metrics["hints"], np.mean(shares), rtol=1e-3)
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    soft = (p * np.log(p * p.shape[1])).sum(1).mean()
    np.testing.assert_allclose(metrics["soft"], soft, rtol=1e-3)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 41}, "40 photographs do not fill a batch, need 41"),
        ({"sides": (4,)}, "sides are"),
        ({"sides": ("96", "x")}, "sides are .*, need integers"),
        ({"optimizer": "sgd"}, "optimizer is 'sgd', needs one of"),
        ({"epochs": 0}, "epochs is 0, needs at least 1"),
        ({"smallest_crop": 0.0}, "smallest_crop is 0.0"),
        ({"hint_weight": float("nan")}, "hint_weight is nan, needs at least 0"),
        ({"hint_taps": ()}, "hint_taps are empty"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0, needs less than 1"),
        ({"seed": -1}, "seed is -1, needs at least 0"),
    ],
)
def test_values_out_of_range_are_refused(narrow, photographs, change, message):
    with pytest.raises(ValueError, match=message):
        PhotoTask(narrow, photographs, photographs, dataclasses.replace(CONFIG, **change))


def test_labels_outside_the_classes_are_refused(narrow, photographs):
    wrong = Dataset(photographs.images, photographs.labels + 1)
    for pair in ((wrong, photographs), (photographs, wrong)):
        with pytest.raises(ValueError, match="labels run from 1 to 5; the network has 5 classes"):
            PhotoTask(narrow, *pair, CONFIG)


@pytest.mark.parametrize(
    ("name", "side", "message"),
    [
        ("vgg16", 64, "vgg16 cannot be trained here"),
        ("binary_alexnet", 96, "binary_alexnet has no logits for pictures of 96 px"),
    ],
)
def test_networks_that_cannot_learn_from_such_crops_are_refused(photographs, name, side, message):
    config = dataclasses.replace(CONFIG, sides=(side,))
    with pytest.raises(ValueError, match=message):
        PhotoTask(registry.find(name), photographs, photographs, config)


def test_sides_that_the_teacher_cannot_take_are_refused(narrow, photographs, quicknet):
    config = dataclasses.replace(CONFIG, sides=(112,), hint_taps=("stem",))
    with pytest.raises(ValueError, match="112×112 px, which quicknet_v0 does not take"):
        PhotoTask(narrow, photographs, photographs, config, quicknet)
