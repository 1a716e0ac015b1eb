"""The classifier's term in a stylization."""

import jax.numpy as jnp
import numpy as np
import pytest

import bnnjax
from bnnjax.attack import Classified
from bnnjax.nst.terms import Scene, Seen


def value(term, photograph_logits, logits):
    """The term's loss for these logits, after its target was measured on those."""
    empty = jnp.zeros((4, 4, 3))
    scene = Scene(empty, empty, jnp.zeros((1, 2)), lambda _: {"logits": photograph_logits})
    seen = Seen(empty, {"logits": jnp.asarray(logits)}, jnp.asarray(0))
    return float(term.loss(seen, term.target(scene), {}))


def test_the_term_agrees_with_its_definition():
    own, logits = jnp.asarray([0.0, 3, 1]), np.array([0.3, 1.2, -0.7], np.float32)
    chances = np.exp(logits) / np.exp(logits).sum()
    for index in range(3):
        found = value(Classified(class_index=index), own, logits)
        assert found == pytest.approx(-np.log(chances[index]), rel=1e-5)
    assert value(Classified(), own, logits) == pytest.approx(-np.log(1 - chances[1]), rel=1e-5)


def test_the_term_vanishes_once_the_attack_has_succeeded():
    own = jnp.asarray([0.0, 3, 1])
    assert value(Classified(class_index=2), own, [0.0, 0, 60]) == pytest.approx(0, abs=1e-6)
    assert value(Classified(), own, [60.0, 0, 0]) == pytest.approx(0, abs=1e-6)
    assert value(Classified(), own, [0.0, 60, 0]) > 50


def test_a_stylized_picture_is_led_to_a_class(make_picture):
    """Large enough a weight outweighs the style, and the result is judged as it would be saved."""
    found = bnnjax.attack_batch(
        make_picture(3, 80, 96), attack="style", styles=make_picture(9, 80, 80), target="beagle",
        classifier_weight=30, size=64, steps=40, checks=0, progress=False,
        style_options={"style_taps": ["stem"], "content_taps": [], "learning_rate": 0.1},
    )  # fmt: skip
    assert found.inputs.attackable().all()
    assert found.guesses(0, 0)[0][0] == "beagle"
    assert found.success_rate == [100]
    assert found.outcome.pictures[0][0].shape == (73, 88, 3)
    assert found.figures["adversarial_top1"].keys() == {"inf"}
