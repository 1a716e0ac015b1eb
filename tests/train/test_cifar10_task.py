"""BinaryNet's training on pictures small and simple enough to learn in seconds."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.models.binarynet import BinaryNet
from bnnjax.train import loop
from bnnjax.train.cifar10_task import Cifar10Task, Recipe, normalize
from bnnjax.train.photographs import Photographs

SMALL = BinaryNet(filters=(16,), units=(16,), num_classes=3)
RECIPE = Recipe(epochs=3, batch_size=20)


def bands(seed, count, side=10):
    """Noisy pictures that are brighter at the top, to the left, or nowhere."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count).astype(np.int32)
    images = rng.integers(60, 130, (count, side, side, 3))
    images[labels == 0, : side // 2] += 90
    images[labels == 1, :, : side // 2] += 90
    return Photographs(images.astype(np.uint8), labels)


@pytest.fixture
def make():
    def made(**changes):
        recipe = Recipe(**{**RECIPE.__dict__, **changes})
        return Cifar10Task(bands(0, 130), bands(1, 60), recipe, SMALL)

    return made


def trained(task, steps):
    state, figures = task.start(), []
    for step in range(steps):
        state, figure = task.train(state, step)
        figures.append({name: float(value) for name, value in figure.items()})
    return state, figures


@pytest.mark.parametrize(
    ("choice", "value", "message"),
    [
        ("optimizer", "sgd", "optimizer is 'sgd', needs one of"),
        ("epochs", 0, "epochs is 0, needs at least 1"),
        ("batch_size", 1, "batch_size is 1, needs at least 2"),  # a norm needs two
        ("learning_rate", -0.1, "learning_rate is -0.1"),
        ("decay", float("nan"), "decay is nan"),
    ],
)
def test_choices_out_of_range_are_refused(choice, value, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**{choice: value})


def test_bytes_become_the_range_that_signs_expect():
    np.testing.assert_allclose(normalize(np.uint8([0, 255, 51])), [-1, 1, -0.6], atol=1e-6)


def test_an_epoch_is_every_picture_once_in_an_order_of_its_own(make):
    task, met = make(), []
    task.pictures = Photographs(task.pictures.images, np.arange(130, dtype=np.int32))
    task._step = lambda state, images, labels: (met.append(labels) or state, {})
    for step in range(2 * task.steps_per_epoch):
        task.train(None, step)
    first, second = np.concatenate(met).reshape(2, -1)
    assert task.steps_per_epoch == 6  # what does not fill a step waits for another epoch
    for epoch in (first, second):
        assert len(set(epoch)) == 120
    assert (first != second).any()
    task.train(None, 3)
    np.testing.assert_array_equal(met[-1], met[3])  # whatever came before


@pytest.mark.parametrize("optimizer", ["adam", "bop"])
def test_it_learns(optimizer, make):
    task = make(optimizer=optimizer)
    state, figures = trained(task, 60)
    losses = [figure["loss"] for figure in figures]
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])
    assert np.mean([figure["accuracy"] for figure in figures[-6:]]) > 75  # by chance 33
    kernels = [leaf for path, leaf in flatten_dict(state.params).items() if path[-1] == "kernel"]
    assert len(kernels) == 4
    for kernel in kernels:
        assert np.abs(kernel).max() <= 1
        if optimizer == "bop":
            np.testing.assert_array_equal(np.abs(kernel), 1)


def test_accuracy_is_the_share_of_right_guesses(make, monkeypatch):
    monkeypatch.setattr("bnnjax.train.cifar10_task.JUDGED_AT_ONCE", 25)  # 60 pictures: 25, 25, 10
    task = make()
    guesses = np.eye(3)[(bands(1, 60).labels + (np.arange(60) < 15)) % 3]  # the first 15 wrong
    met = []

    def guess(state, images):
        start = sum(met)
        met.append(len(images))
        return guesses[start : start + len(images)]

    task._guess = guess
    assert task.evaluate(None) == {"accuracy": 75.0}
    assert met == [25, 25, 10]


def test_a_run_that_was_cut_off_ends_as_if_it_never_was(make, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 5)
    whole = loop.train(make(), tmp_path / "whole", progress=False)
    task = make()
    train = task.train

    def until_eight(state, step):
        if step == 8:
            raise KeyboardInterrupt
        return train(state, step)

    task.train = until_eight
    with pytest.raises(KeyboardInterrupt):
        loop.train(task, tmp_path / "cut", progress=False)
    resumed = loop.train(make(), tmp_path / "cut", progress=False)
    for ours, expected in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, expected)
    validation = [(tmp_path / name / "validation.csv").read_text() for name in ("whole", "cut")]
    assert validation[0] == validation[1]
