"""The classifier's term in a stylization."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import bnnjax
from bnnjax.attack import Classified
from bnnjax.layers import Options
from bnnjax.models.entry import Card, Entry, Sizes, Style
from bnnjax.models.network import Architecture, Network
from bnnjax.models.tapped import Tapped
from bnnjax.nst.terms import Scene, Seen


def value(term, photograph_logits, logits):
    """The term's loss for these logits, after its target was measured on those."""
    empty = jnp.zeros((4, 4, 3))
    scene = Scene(empty, empty, jnp.zeros((1, 2)), lambda _: {"logits": photograph_logits})
    seen = Seen(empty, {"logits": jnp.asarray(logits)}, jnp.asarray(0))
    return float(term.loss(seen, term.target(scene), {}))


@pytest.mark.slow
def test_the_term_agrees_with_its_definition():
    own, logits = jnp.asarray([0.0, 3, 1]), np.array([0.3, 1.2, -0.7], np.float32)
    chances = np.exp(logits) / np.exp(logits).sum()
    for index in range(3):
        found = value(Classified(class_index=index), own, logits)
        assert found == pytest.approx(-np.log(chances[index]), rel=1e-5)
    assert value(Classified(), own, logits) == pytest.approx(-np.log(1 - chances[1]), rel=1e-5)


@pytest.mark.slow
def test_the_term_vanishes_once_the_attack_has_succeeded():
    own = jnp.asarray([0.0, 3, 1])
    assert value(Classified(class_index=2), own, [0.0, 0, 60]) == pytest.approx(0, abs=1e-6)
    assert value(Classified(), own, [60.0, 0, 0]) == pytest.approx(0, abs=1e-6)
    assert value(Classified(), own, [0.0, 60, 0]) > 50


class Small(Tapped):
    """Some features of colour and edges, averaged over the picture."""

    num_classes: int | None = 5
    options: Options = Options()

    @nn.compact
    def __call__(self, x, *, train=False):
        x = self.tap("edges", nn.relu(nn.Conv(8, (3, 3), name="conv")(x - 0.5)))
        return nn.Dense(self.num_classes, name="dense")(x.mean((1, 2)))


@pytest.fixture(scope="module")
def small():
    """A network with taps that compiles in a moment; its weights are random."""
    taps = Style(style_taps=("edges",), content_taps=("edges",))
    entry = Entry(
        name="small", build=Small, normalize=lambda images: images,
        sizes=Sizes(lambda side: True, stride=8), card=Card(num_classes=5), style=taps,
    )  # fmt: skip
    variables = Small().init(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
    params = jax.tree.map(lambda leaf: 10 * leaf, variables["params"])
    return Network(Architecture.published(entry), {"params": params}, {"source": "test"})


@pytest.mark.slow
def test_a_stylized_picture_is_led_to_a_class(small, make_picture):
    """Each class is most likely where it is the target, and what is likely at all is reached."""
    chances = {}
    for target in (0, 1, 3):
        found = bnnjax.attack_batch(
            make_picture(3, 80, 96), small, attack="style", styles=make_picture(9, 80, 80),
            target=target, classifier_weight=3, size=64, steps=60, progress=False,
        )  # fmt: skip
        chances[target] = dict(found.guesses(0, 0))
    for target in chances:
        assert target == max(chances, key=lambda run: chances[run][str(target)])
    assert found.guesses(0)[0][0] == "4"
    assert found.guesses(0, 0)[0][0] == "3"
    assert found.success_rate == [100]
    assert found.outcome.pictures[0][0].shape == (73, 88, 3)
    assert found.figures["adversarial_top1"].keys() == {"inf"}
