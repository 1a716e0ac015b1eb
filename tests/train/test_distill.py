"""Teachers: divergences and hints against NumPy and closed forms."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from bnnjax.models import registry
from bnnjax.models.network import Architecture, Network
from bnnjax.models.tapped import Tapped
from bnnjax.train import distill
from bnnjax.train.config import TrainConfig
from bnnjax.train.distill import Hint, Outputs, hint_loss, hint_maps, soft_loss, teacher_outputs

TAPS = TrainConfig().hint_taps


def outputs(seed, *, tap=(4, 5, 5, 6), num_classes=7):
    rng = np.random.default_rng(seed)
    taps = {"stem": rng.normal(2, 3, tap), "section1": rng.normal(0, 1, (4, 2, 2, 9))}
    logits = jnp.asarray(rng.normal(0, 3, (4, num_classes)))
    return Outputs(logits, jax.tree.map(jnp.asarray, taps))


def test_soft_loss_is_the_divergence():
    predicted, targets = outputs(0), outputs(1)
    p, q = (np.exp(np.float64(x.logits)) for x in (targets, predicted))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    expected = (p * np.log(p / q)).sum(1).mean()
    np.testing.assert_allclose(soft_loss(predicted.logits, targets.logits), expected, rtol=1e-5)


def test_soft_loss_is_zero_where_probabilities_agree():
    targets = outputs(1)
    shifted = targets._replace(logits=targets.logits + 5)  # the same probabilities
    np.testing.assert_allclose(soft_loss(shifted.logits, targets.logits), 0, atol=1e-6)


def test_hint_loss_is_zero_where_the_taps_are_predicted():
    assert hint_loss(outputs(1), outputs(1)) == 0


def test_hint_loss_is_one_where_only_the_means_are_predicted():
    targets = outputs(1)
    means = {tap: jnp.broadcast_to(x.mean((0, 1, 2)), x.shape) for tap, x in targets.taps.items()}
    np.testing.assert_allclose(hint_loss(Outputs(targets.logits, means), targets), 1, rtol=1e-5)


def test_hint_loss_is_the_mean_share_over_taps():
    targets = outputs(1)
    stem = targets.taps["stem"]
    half_way = stem.mean((0, 1, 2)) + 0.5 * (stem - stem.mean((0, 1, 2)))  # a quarter unexplained
    predicted = Outputs(targets.logits, {**targets.taps, "stem": half_way})
    np.testing.assert_allclose(hint_loss(predicted, targets), 0.25 / 2, rtol=1e-5)


def test_a_hint_compares_taps_of_two_names():
    targets = outputs(1)
    taps = {"first=stem": targets.taps["stem"], "second=stem": 0 * targets.taps["stem"]}
    stem = np.asarray(targets.taps["stem"])
    unexplained = (stem**2).sum() / ((stem - stem.mean((0, 1, 2))) ** 2).sum()
    found = hint_loss(Outputs(None, taps), targets)
    np.testing.assert_allclose(found, unexplained / 2, rtol=1e-5)


def test_a_hint_is_read_from_one_name_or_two():
    assert Hint.read("stem") == Hint("stem", "stem")
    assert Hint.read("stem=vgg19:relu3_1") == Hint("stem", "vgg19:relu3_1")
    assert [Hint.read(name).name for name in ("a", "a=b")] == ["a", "a=b"]


@pytest.mark.parametrize("count", [1, 7, 12])
def test_the_teacher_sees_groups_of_pictures_and_answers_in_order(count):
    seen = []

    def apply(variables, images):
        seen.append(images.shape[0])
        level = images.mean((1, 2, 3))
        taps = {name: images[:, ::2, ::2] * (k + 1) for k, name in enumerate(TAPS)}
        return jnp.stack([level, variables * level], axis=1), taps

    images = jnp.asarray(np.random.default_rng(0).uniform(size=(count, 8, 8, 3)))
    found = teacher_outputs(SimpleNamespace(apply=apply), 3.0, images, taps=TAPS[1:])
    assert max(seen) * distill.GROUP_BYTES <= 20 * 2**20 or jax.default_backend() != "cpu"
    level = images.mean((1, 2, 3))
    np.testing.assert_allclose(found.logits, jnp.stack([level, 3 * level], axis=1), rtol=1e-6)
    assert found.taps.keys() == set(TAPS[1:])
    for k, tap in enumerate(TAPS[1:], start=1):
        expected = np.asarray(images[:, ::2, ::2] * (k + 1))
        np.testing.assert_allclose(found.taps[tap], expected / expected.std(), rtol=1e-5)


def test_no_gradient_reaches_the_teacher():
    def apply(variables, images):
        return variables * images.mean((1, 2)), dict.fromkeys(TAPS, images * variables)

    def total(weight):
        images = jnp.asarray(np.random.default_rng(0).uniform(size=(2, 4, 4, 3)))
        teacher = SimpleNamespace(apply=apply)
        found = teacher_outputs(teacher, weight, images, taps=TAPS)
        return found.logits.sum() + sum(tap.sum() for tap in found.taps.values())

    assert jax.grad(total)(2.0) == 0


# --- maps between the taps of two networks ---------------------------------------------------


@pytest.fixture(scope="module")
def student(narrow):
    return Architecture.published(narrow)


@pytest.mark.slow
def test_the_maps_have_the_teachers_channels(quicknet):
    """QuickNet v0.2: 8 and 64 channels in the stem, then 64, 128, 256, 512; 1000 classes."""
    inknet = registry.find("inknet")
    student = Architecture.published(inknet)
    hints = [Hint.read(tap) for tap in TAPS]
    maps = hint_maps(student, quicknet, hints=hints, sides=(64,))
    assert {hint.teacher: width for hint, width in maps.channels.items()} == {
        "stem_conv": 8,
        "stem": 64,
        "section1": 64,
        "section2": 128,
        "section3": 256,
        "section4": 512,
    }
    taps = {hint.student: jnp.ones((2, 4, 4, 5)) for hint in hints}
    predicted = maps.apply(maps.init(jax.random.key(0), taps), taps)
    assert predicted.logits.shape == (2, 1000)
    for hint, width in maps.channels.items():
        assert predicted.taps[hint.name].shape == (2, 4, 4, width)
        assert not predicted.taps[hint.name].any()  # the maps start as zeros


class Pool(Tapped):
    """Averages of ``cell``² pixels under the name of a tap, and two logits or none."""

    name_of_tap: str
    num_classes: int | None = 2
    cell: int = 16

    @nn.compact
    def __call__(self, x, *, train=False):
        pooled = self.tap(self.name_of_tap, nn.avg_pool(x, (self.cell,) * 2, (self.cell,) * 2))
        return nn.Dense(2)(pooled.mean((1, 2))) if self.num_classes else None


@pytest.mark.parametrize(
    ("role", "module", "message"),
    [
        ("student", Pool("end"), "the student pool has no tap stem, section1; it has end"),
        ("teacher", Pool("end"), "the teacher pool has no tap stem, section1; it has end"),
        ("teacher", Pool("end", None), "pool has no logits to learn from; use soft_weight=0"),
        (
            "student",
            Pool("stem"),
            r"at 64 px stem has shape \(4, 4, 3\) in the student and \(16, 16, 32\) in the teacher",
        ),
    ],
)
def test_networks_that_do_not_fit_each_other_are_refused(student, narrow, role, module, message):
    entry = dataclasses.replace(narrow, name="pool", build=lambda **_: module)
    pool = Architecture.published(entry)
    pupil, master = (pool, student) if role == "student" else (student, pool)
    hints = [Hint.read("stem")]
    if module.name_of_tap != "stem":
        hints.append(Hint.read("section1"))
    teacher = Network(master, master.init(jax.random.key(0)), {})
    with pytest.raises(ValueError, match=message):
        hint_maps(pupil, teacher, hints=hints, sides=(64,))


def test_a_teacher_without_logits_gives_hints(student, narrow):
    entry = dataclasses.replace(narrow, name="pool", build=lambda **_: Pool("end", None, cell=4))
    architecture = Architecture.published(entry)
    teacher = Network(architecture, architecture.init(jax.random.key(0)), {})
    hint = Hint("stem", "end")  # both at stride 4
    maps = hint_maps(student, teacher, hints=[hint], sides=(64,), soft=False)
    assert (maps.channels, maps.num_classes) == ({hint: 3}, None)
    with pytest.raises(ValueError, match=r"stem_conv=end has shape \(32, 32, 16\)"):
        hint_maps(student, teacher, hints=[Hint("stem_conv", "end")], sides=(64,), soft=False)
