"""Training that begins with the weights of a trained network."""

import dataclasses

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from bnnjax.port.load import load_latent
from bnnjax.train.begin import taken_over, with_classes
from bnnjax.train.config import TrainConfig
from bnnjax.train.dataset import Dataset
from bnnjax.train.photo_task import PhotoTask

CONFIG = TrainConfig(epochs=1, batch_size=8, sides=(32,), warmup_epochs=0, hint_taps=("stem",))


@pytest.fixture(scope="module")
def trained(narrow_teacher):
    """A latent network for seven classes."""
    return load_latent(narrow_teacher)


def test_all_but_the_classifier_is_taken_over(narrow, trained, photographs):
    task = PhotoTask(narrow, photographs, photographs, CONFIG, init=trained)
    assert task.architecture.num_classes == 5
    state = task.init()
    found = flatten_dict({"params": state.params["student"], "batch_stats": state.batch_stats})
    old = flatten_dict({name: trained.variables[name] for name in ("params", "batch_stats")})
    assert found.keys() == old.keys()
    replaced = {path for path in found if found[path].shape != old[path].shape}
    assert {found[path].shape[-1] for path in replaced} == {5}
    assert 1 <= len(replaced) <= 2  # kernel and bias
    for path in found.keys() - replaced:
        np.testing.assert_array_equal(found[path], old[path])


def test_a_run_that_begins_elsewhere_is_another_run(narrow, trained, photographs):
    plain = PhotoTask(narrow, photographs, photographs, CONFIG).saved_config
    known = dataclasses.replace(trained, provenance={"sha256": "abc"})
    begun = PhotoTask(narrow, photographs, photographs, CONFIG, init=known).saved_config
    assert begun == {**plain, "model": "narrow_teacher", "init": "abc"}


def test_shapes_decide_what_is_taken_over():
    new = {"a": {"kernel": np.zeros((2, 3)), "bias": np.zeros(3)}, "b": np.zeros(1)}
    old = {"a": {"kernel": np.ones((2, 4)), "bias": np.ones(3)}, "c": np.ones(1)}
    found = taken_over(new, old)
    assert (found["a"]["bias"] == 1).all()
    assert (found["a"]["kernel"] == 0).all()
    assert found["a"]["kernel"].shape == (2, 3)
    assert found.keys() == {"a", "b"}


def test_the_classes_of_a_file_are_fixed(own_model):
    network = load_latent(own_model("sequential").path, preprocessing="unit")
    count = network.architecture.num_classes
    assert with_classes(network.architecture, count) == network.architecture
    with pytest.raises(ValueError, match=f"has {count} classes, which its file fixes"):
        with_classes(network.architecture, count + 1)


@pytest.mark.slow
def test_a_model_of_a_file_is_trained_with_its_dropout(own_model):
    network = load_latent(own_model("face").path, preprocessing="unit")
    side, count = network.entry.sizes.smallest[0], network.architecture.num_classes
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, side, side, 3), dtype=np.uint8)
    pictures = Dataset(images, np.arange(8, dtype=np.int32) % count)
    config = dataclasses.replace(CONFIG, sides=(side,), learning_rate=0.01)
    task = PhotoTask(network.entry, pictures, pictures, config, init=network)
    before = jax.device_get(task.init().params["student"])
    state, metrics = task.step(task.init(), 0)
    assert np.isfinite(float(metrics["loss"]))
    kernels = [path for path in flatten_dict(before) if path[-1] == "kernel"]
    after = flatten_dict(jax.device_get(state.params["student"]))
    for path in kernels:
        assert (after[path] != flatten_dict(before)[path]).any(), path
    [logits_1, logits_2] = (
        task.architecture.train(
            network.variables, images / np.float32(255), key=jax.random.key(seed)
        )[0]
        for seed in (1, 2)
    )
    assert (np.asarray(logits_1) != np.asarray(logits_2)).any()  # dropout
