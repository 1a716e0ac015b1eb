"""Training a network of the registry on labelled photographs, with or without a teacher."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from bnnjax.layers import clip_weights
from bnnjax.models.network import Architecture, Network
from bnnjax.train import teacher as teaching
from bnnjax.train.optimizers import cosine, optimizer
from bnnjax.train.photographs import Photographs
from bnnjax.train.views import random_views, whole_views


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
      epochs: passes over the photographs.
      batch_size: photographs a step.
      sides: of the views, in pixels; each for an equal share of the epochs, in this order.
      optimizer: "adam" or "bop" (binary kernels by Bop, the rest by Adam).
      learning_rate: Adam's highest.
      warmup_epochs: over which it rises.
      label_smoothing: share of the labels' certainty that goes to all classes alike.
      soft_weight: of the teacher's soft targets.
      hint_weight: of the teacher's taps.
      smallest_crop: area of a random crop at least, of the picture's.
      seed: of weights, order and views.
    """

    epochs: int = 40
    batch_size: int = 64
    sides: tuple[int, ...] = (96, 128)
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    warmup_epochs: float = 1.0
    label_smoothing: float = 0.1
    soft_weight: float = 0.5
    hint_weight: float = 2.0
    smallest_crop: float = 0.25
    seed: int = 0


class State(NamedTuple):
    """All that training changes."""

    params: Any
    batch_stats: Any
    translation: Any
    optimizer: Any
    step: Array


class PhotoTask:
    """What `loop.train` needs to know: state, batches, one step, and how good it is.

    Args:
      architecture: of the latent network.
      photographs: to train on.
      validation: to measure on.
      recipe: how.
      teacher: a network to learn from, or None.
    """

    def __init__(
        self,
        architecture: Architecture,
        photographs: Photographs,
        validation: Photographs,
        recipe: Recipe,
        teacher: Network | None = None,
    ) -> None:
        self.architecture, self.recipe, self.teacher = architecture, recipe, teacher
        self.photographs, self.validation = photographs, validation
        self.steps_per_epoch = len(photographs.labels) // recipe.batch_size
        self.epochs = recipe.epochs
        self._translation = teacher and teaching.translation(teacher)
        side = architecture.entry.stride
        nothing = jnp.zeros((1, side, side, 3))
        module = architecture.module
        collections = ["params", "batch_stats", "weight_clip"]
        self._clips = module.init(jax.random.key(0), nothing, mutable=collections)["weight_clip"]
        steps = recipe.epochs * self.steps_per_epoch
        self._schedule = cosine(
            peak=recipe.learning_rate,
            steps=steps,
            warmup_steps=int(recipe.warmup_epochs * self.steps_per_epoch),
        )
        self._optimizer = optimizer(recipe.optimizer, self._schedule, self._clips)
        self._step = jax.jit(self._train_step, static_argnames="side", donate_argnums=0)
        self._guess = jax.jit(self._logits)

    def start(self) -> State:
        """The state before the first step."""
        keys = jax.random.split(jax.random.key(self.recipe.seed), 2)
        side = self.architecture.entry.stride
        nothing = jnp.zeros((1, side, side, 3))
        made = self.architecture.module.init(keys[0], nothing, mutable=["params", "batch_stats"])
        translation = {}
        if self._translation is not None:
            _, taps = self.architecture.module.apply(made, nothing)
            translation = self._translation.init(keys[1], taps)["params"]
        state = self._optimizer.init(made["params"]), optax.adam(self._schedule).init(translation)
        return State(made["params"], made["batch_stats"], translation, state, jnp.int32(0))

    def train(self, state: State, step: int) -> tuple[State, dict[str, Array]]:
        """One step further, and its figures."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(
            len(self.photographs.labels)
        )
        chosen = np.sort(order[place * self.recipe.batch_size :][: self.recipe.batch_size])
        variables = self.teacher.variables if self.teacher else {}
        images, labels = self.photographs.images[chosen], self.photographs.labels[chosen]
        return self._step(state, variables, images, labels, side=self.side(epoch))

    def side(self, epoch: int) -> int:
        """Of the views in this epoch."""
        sides = self.recipe.sides
        return sides[min(epoch * len(sides) // self.recipe.epochs, len(sides) - 1)]

    def evaluate(self, state: State) -> dict[str, float]:
        """Accuracy in per cent on the validation pictures, at the last of the recipe's sides."""
        right, best5 = [], []
        for start in range(0, len(self.validation.labels), self.recipe.batch_size):
            chosen = slice(start, start + self.recipe.batch_size)
            labels = self.validation.labels[chosen]
            logits = np.asarray(self._guess(state, self.validation.images[chosen]))
            ranks = (logits > logits[np.arange(len(labels)), labels][:, None]).sum(1)
            right.append(ranks < 1)
            best5.append(ranks < 5)
        figures = {"top1": np.concatenate(right), "top5": np.concatenate(best5)}
        return {name: 100 * float(hits.mean()) for name, hits in figures.items()}

    def network(self, state: State) -> Network:
        """The latent network as it is."""
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return Network(self.architecture, jax.device_get(variables), {})

    def _logits(self, state: State, images: Array) -> Array:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return self.architecture.apply(variables, whole_views(images, side=self.recipe.sides[-1]))[
            0
        ]

    def _train_step(
        self, state: State, teacher_variables: Any, images: Array, labels: Array, *, side: int
    ) -> tuple[State, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.key(self.recipe.seed), state.step)
        views = random_views(key, images, side=side, smallest=self.recipe.smallest_crop)
        lesson = None
        if self.teacher is not None:
            lesson = teaching.ask(self.teacher.architecture, teacher_variables, views)
        trained = state.params, state.translation
        gradient = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (stats, figures)), (g, translation_g) = gradient(
            trained, state.batch_stats, views, labels, lesson
        )
        update, first = self._optimizer.update(g, state.optimizer[0], state.params)
        params = clip_weights(optax.apply_updates(state.params, update), self._clips)
        update, second = optax.adam(self._schedule).update(translation_g, state.optimizer[1])
        translation = optax.apply_updates(state.translation, update)
        figures = {"loss": loss, **figures, "learning_rate": self._schedule(state.step)}
        return State(params, stats, translation, (first, second), state.step + 1), figures

    def _loss(
        self, trained: tuple, stats: Any, views: Array, labels: Array, lesson: Any
    ) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        params, translation = trained
        (logits, taps), changed = self.architecture.module.apply(
            {"params": params, "batch_stats": stats},
            self.architecture.entry.normalize(views),
            train=True,
            mutable=["batch_stats"],
        )
        targets = optax.smooth_labels(
            jax.nn.one_hot(labels, logits.shape[1]), self.recipe.label_smoothing
        )
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        figures = {"labels": loss, "accuracy": 100 * (logits.argmax(1) == labels).mean()}
        if lesson is not None:
            guess = self._translation.apply({"params": translation}, taps)
            figures["soft"] = teaching.soft_loss(guess, lesson)
            figures["hints"] = teaching.hint_loss(guess, lesson)
            loss += self.recipe.soft_weight * figures["soft"]
            loss += self.recipe.hint_weight * figures["hints"]
        return loss, (changed["batch_stats"], figures)
