"""Training BinaryNet on simple pictures, which it learns in seconds."""

import dataclasses

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.models.binarynet import BinaryNet
from bnnjax.train import loop
from bnnjax.train.cifar10_task import Cifar10Task, normalize
from bnnjax.train.config import Cifar10Config
from bnnjax.train.dataset import Dataset

SMALL = BinaryNet(filters=(16,), units=(16,), num_classes=3)
CONFIG = Cifar10Config(epochs=3, batch_size=20)


def bands(seed, count, side=10):
    """Noisy pictures that are brighter at the top, on the left, or nowhere."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count).astype(np.int32)
    images = rng.integers(60, 130, (count, side, side, 3))
    images[labels == 0, : side // 2] += 90
    images[labels == 1, :, : side // 2] += 90
    return Dataset(images.astype(np.uint8), labels)


@pytest.fixture
def make():
    def made(**changes):
        config = dataclasses.replace(CONFIG, **changes)
        return Cifar10Task(bands(0, 130), bands(1, 60), config, SMALL)

    return made


def trained(task, steps):
    state, metrics = task.init(), []
    for step in range(steps):
        state, found = task.step(state, step)
        metrics.append({name: float(value) for name, value in found.items()})
    return state, metrics


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("optimizer", "sgd", "optimizer is 'sgd', needs one of"),
        ("epochs", 0, "epochs is 0, needs at least 1"),
        ("batch_size", 1, "batch_size is 1, needs at least 2"),  # a norm needs two
        ("learning_rate", -0.1, "learning_rate is -0.1"),
        ("decay", float("nan"), "decay is nan"),
    ],
)
def test_options_out_of_range_are_refused(option, value, message):
    with pytest.raises(ValueError, match=message):
        Cifar10Config(**{option: value})


def test_bytes_are_mapped_to_plus_and_minus_one():
    np.testing.assert_allclose(normalize(np.uint8([0, 255, 51])), [-1, 1, -0.6], atol=1e-6)


@pytest.mark.slow
def test_each_epoch_visits_every_picture_once_in_its_own_order(make):
    task, seen = make(), []
    task.pictures = Dataset(task.pictures.images, np.arange(130, dtype=np.int32))
    task._jitted_step = lambda state, images, labels: (seen.append(labels) or state, {})
    for step in range(2 * task.steps_per_epoch):
        task.step(None, step)
    first, second = np.concatenate(seen).reshape(2, -1)
    assert task.steps_per_epoch == 6  # ten pictures do not fill a batch
    for epoch in (first, second):
        assert len(set(epoch)) == 120
    assert (first != second).any()
    task.step(None, 3)
    np.testing.assert_array_equal(seen[-1], seen[3])  # whatever the previous steps were


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "bop"])
def test_the_network_learns(optimizer, make):
    task = make(optimizer=optimizer)
    state, metrics = trained(task, 60)
    losses = [found["loss"] for found in metrics]
    assert np.mean(losses[-6:]) < 0.7 * np.mean(losses[:6])
    assert np.mean([found["accuracy"] for found in metrics[-6:]]) > 75  # chance is 33
    kernels = [leaf for path, leaf in flatten_dict(state.params).items() if path[-1] == "kernel"]
    assert len(kernels) == 4
    for kernel in kernels:
        assert np.abs(kernel).max() <= 1
        if optimizer == "bop":
            np.testing.assert_array_equal(np.abs(kernel), 1)


@pytest.mark.slow
def test_accuracy_is_the_share_of_right_guesses(make, monkeypatch):
    monkeypatch.setattr("bnnjax.train.cifar10_task.EVALUATION_BATCH", 25)  # 60 pictures: 25, 25, 10
    task = make()
    guesses = np.eye(3)[(bands(1, 60).labels + (np.arange(60) < 15)) % 3]  # the first 15 wrong
    seen = []

    def guess(state, images):
        start = sum(seen)
        seen.append(len(images))
        return guesses[start : start + len(images)]

    task._jitted_logits = guess
    assert task.evaluate(None) == {"top1": 75.0}
    assert seen == [25, 25, 10]


@pytest.mark.slow
def test_an_interrupted_run_ends_like_one_that_was_not(make, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY", 5)
    task = make()
    whole = loop.train(task, tmp_path / "whole", progress=False)
    step = task.step

    def until_eight(state, index):
        if index == 8:
            raise KeyboardInterrupt
        return step(state, index)

    monkeypatch.setattr(task, "step", until_eight)
    with pytest.raises(KeyboardInterrupt):
        loop.train(task, tmp_path / "cut", progress=False)
    monkeypatch.setattr(task, "step", step)
    resumed = loop.train(task, tmp_path / "cut", progress=False)
    for ours, expected in zip(jax.tree.leaves(resumed), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(ours, expected)
    validation = [(tmp_path / name / "validation.csv").read_text() for name in ("whole", "cut")]
    assert validation[0] == validation[1]
