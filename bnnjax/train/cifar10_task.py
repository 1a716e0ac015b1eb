"""Training BinaryNet on CIFAR-10, as Larq's tutorial does.

Two of Keras' defaults differ: kernels start glorot-normal here (Keras: glorot-uniform), and Adam's
epsilon is 1e-8 (Keras: 1e-7).
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array

from bnnjax.layers import clip_weights
from bnnjax.models.binarynet import BinaryNet
from bnnjax.nst.config import choice
from bnnjax.train.optimizers import OPTIMIZERS, inverse_time, optimizer
from bnnjax.train.photographs import Photographs

JUDGED_AT_ONCE = 250  # test pictures


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; what each choice means is said in its ``help``.

    Raises:
      ValueError: a choice that does not exist or is out of range.
    """

    epochs: int = choice(100, "passes over the training pictures")
    batch_size: int = choice(50, "pictures a step")
    optimizer: str = choice("adam", "adam, or bop for the binary kernels and adam for the rest")
    learning_rate: float = choice(0.01, "Adam's, at the first step")
    decay: float = choice(1e-4, "the learning rate is divided by 1 + decay · step")
    seed: int = choice(0, "of weights and order")

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer is {self.optimizer!r}, needs one of {OPTIMIZERS}")
        for name, low in (("epochs", 1), ("batch_size", 2), ("learning_rate", 0), ("decay", 0)):
            if not getattr(self, name) >= low:
                raise ValueError(f"{name} is {getattr(self, name)}, needs at least {low}")


class State(NamedTuple):
    """All that training changes."""

    params: Any
    batch_stats: Any
    optimizer: Any


class Cifar10Task:
    """What `loop.train` needs to know: state, batches, one step, and how good it is.

    Args:
      pictures: to train on.
      test: to measure on.
      recipe: how.
      module: the network, from pictures in [−1, 1] to logits.
    """

    def __init__(
        self,
        pictures: Photographs,
        test: Photographs,
        recipe: Recipe,
        module: nn.Module | None = None,
    ) -> None:
        self.pictures, self.test, self.recipe = pictures, test, recipe
        self.module = module or BinaryNet()
        self.epochs = recipe.epochs
        self.steps_per_epoch = len(pictures.labels) // recipe.batch_size
        clips = jax.jit(self._init)()["weight_clip"]
        schedule = inverse_time(recipe.learning_rate, recipe.decay)
        self._optimizer = optimizer(recipe.optimizer, schedule, clips)
        self._clips = clips
        self._step = jax.jit(self._train_step, donate_argnums=0)
        self._guess = jax.jit(self._logits)

    @property
    def choices(self) -> dict[str, Any]:
        """What a run is that goes on from a checkpoint. It may be told to make more epochs: no step
        depends on their number."""
        choices = dataclasses.asdict(self.recipe) | {"pictures": len(self.pictures.labels)}
        del choices["epochs"]
        return choices

    def start(self) -> State:
        """The state before the first step."""
        made = jax.jit(self._init)()
        return State(made["params"], made["batch_stats"], self._optimizer.init(made["params"]))

    def train(self, state: State, step: int) -> tuple[State, dict[str, Array]]:
        """One step further, and its figures."""
        epoch, place = divmod(step, self.steps_per_epoch)
        rng = np.random.default_rng((self.recipe.seed, epoch))
        order = rng.permutation(len(self.pictures.labels))
        chosen = order[place * self.recipe.batch_size :][: self.recipe.batch_size]
        return self._step(state, self.pictures.images[chosen], self.pictures.labels[chosen])

    def evaluate(self, state: State) -> dict[str, float]:
        """Accuracy on the test pictures, per cent."""
        right = 0
        for start in range(0, len(self.test.labels), JUDGED_AT_ONCE):
            chosen = slice(start, start + JUDGED_AT_ONCE)
            guesses = np.asarray(self._guess(state, self.test.images[chosen])).argmax(1)
            right += int((guesses == self.test.labels[chosen]).sum())
        return {"accuracy": 100 * right / len(self.test.labels)}

    def _init(self) -> Any:
        nothing = jnp.zeros((1, *self.pictures.images.shape[1:]))
        collections = ["params", "batch_stats", "weight_clip"]
        return self.module.init(jax.random.key(self.recipe.seed), nothing, mutable=collections)

    def _logits(self, state: State, images: Array) -> Array:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        logits: Any = self.module.apply(variables, normalize(images))
        return logits

    def _train_step(
        self, state: State, images: Array, labels: Array
    ) -> tuple[State, dict[str, Array]]:
        gradient = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (stats, right)), g = gradient(state.params, state.batch_stats, images, labels)
        update, opt = self._optimizer.update(g, state.optimizer, state.params)
        params = clip_weights(optax.apply_updates(state.params, update), self._clips)
        return State(params, stats, opt), {"loss": loss, "accuracy": 100 * right}

    def _loss(
        self, params: Any, stats: Any, images: Array, labels: Array
    ) -> tuple[Array, tuple[Any, Array]]:
        variables = {"params": params, "batch_stats": stats}
        logits, after = self.module.apply(
            variables, normalize(images), train=True, mutable=["batch_stats"]
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        return loss, (after["batch_stats"], (logits.argmax(1) == labels).mean())


def normalize(images: Array) -> Array:
    """uint8 [...] → float32 in [−1, 1], as the tutorial does."""
    return images.astype(jnp.float32) / 127.5 - 1
