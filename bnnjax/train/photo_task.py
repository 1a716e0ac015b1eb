"""Training a network of the registry on labelled photographs, with or without a teacher."""

import dataclasses
import inspect
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from bnnjax.layers import clip_weights
from bnnjax.models.evaluate import ranks
from bnnjax.models.network import Architecture, Network
from bnnjax.train import teacher as teaching
from bnnjax.train.optimizers import cosine, optimizer
from bnnjax.train.photographs import Photographs
from bnnjax.train.recipe import Recipe
from bnnjax.train.views import random_views, whole_views


class State(NamedTuple):
    """All that training changes; ``translation`` are the maps to the teacher's outputs."""

    params: Any
    batch_stats: Any
    translation: Any
    optimizer: Any
    step: Array


class PhotoTask:
    """What `loop.train` needs to know of it: a start, a step, and how good a state is.

    Args:
      architecture: of the latent network.
      photographs: to train on.
      validation: to measure on.
      recipe: how.
      teacher: a network to learn from, with the taps of a QuickNet, or None.

    Raises:
      ValueError: fewer photographs than a batch, a label that is none of the network's classes, a
        side that network or teacher cannot take, or a network without the taps that the teacher
        explains.
    """

    def __init__(
        self,
        architecture: Architecture,
        photographs: Photographs,
        validation: Photographs,
        recipe: Recipe,
        teacher: Network | None = None,
    ) -> None:
        _check(architecture, recipe, teacher)
        _check_labels(architecture, photographs, validation, recipe)
        self.architecture, self.recipe, self.teacher = architecture, recipe, teacher
        self.photographs, self.validation = photographs, validation
        self.epochs = recipe.epochs
        self.steps_per_epoch = len(photographs.labels) // recipe.batch_size
        self._translation = teaching.translation(teacher) if teacher else None
        self._clips = jax.jit(lambda: self._init().get("weight_clip", {}))()
        self._rate = cosine(
            peak=recipe.learning_rate,
            steps=recipe.epochs * self.steps_per_epoch,
            warmup_steps=int(recipe.warmup_epochs * self.steps_per_epoch),
        )
        self._optimizer = optimizer(recipe.optimizer, self._rate, self._clips)
        self._translator = optax.adam(self._rate)
        self._step = jax.jit(self._train_step, static_argnames="side", donate_argnums=0)
        self._guess = jax.jit(self._logits)

    def start(self) -> State:
        """The state before the first step."""
        made = self._init()
        translation = {}
        if self._translation is not None:
            taps = self.architecture.apply(made, self._nothing)[1]
            key = jax.random.key(self.recipe.seed + 1)
            translation = self._translation.init(key, taps)["params"]
        states = self._optimizer.init(made["params"]), self._translator.init(translation)
        batch_stats = made.get("batch_stats", {})
        return State(made["params"], batch_stats, translation, states, jnp.int32(0))

    def train(self, state: State, step: int) -> tuple[State, dict[str, Array]]:
        """The state after step number ``step``, and the step's figures."""
        epoch, place = divmod(step, self.steps_per_epoch)
        generator = np.random.default_rng((self.recipe.seed, epoch))
        order = generator.permutation(len(self.photographs.labels))
        chosen = np.sort(order[place * self.recipe.batch_size :][: self.recipe.batch_size])
        images, labels = (array[chosen] for array in self.photographs)
        teacher_variables = self.teacher.variables if self.teacher else {}
        return self._step(state, teacher_variables, images, labels, side=self.side(epoch))

    def side(self, epoch: int) -> int:
        """Of the views in this epoch, counted from 0."""
        return self.recipe.sides[epoch * len(self.recipe.sides) // self.recipe.epochs]

    def evaluate(self, state: State) -> dict[str, float]:
        """Accuracy in per cent on the whole validation pictures, at the last of the sides."""
        found = []
        for start in range(0, len(self.validation.labels), self.recipe.batch_size):
            images, labels = (a[start : start + self.recipe.batch_size] for a in self.validation)
            found.append(ranks(np.asarray(self._guess(state, images)), labels))
        rank = np.concatenate(found)
        return {name: 100 * float(np.mean(rank < n)) for name, n in (("top1", 1), ("top5", 5))}

    def network(self, state: State) -> Network:
        """The latent network as it is."""
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        provenance = {
            "source": "bnnjax.train",
            "paper": self.architecture.entry.card.paper,
            "recipe": dataclasses.asdict(self.recipe),
            "teacher": dict(self.teacher.provenance) if self.teacher else None,
            "steps": int(state.step),
        }
        return Network(self.architecture, jax.device_get(variables), provenance)

    @property
    def choices(self) -> dict[str, Any]:
        """What a run is that goes on from a checkpoint: the same in all of these."""
        return {
            **dataclasses.asdict(self.recipe),
            "network": self.architecture.entry.name,
            "teacher": self.teacher and self.teacher.provenance.get("sha256", self.teacher.path),
            "photographs": len(self.photographs.labels),
        }

    @property
    def _nothing(self) -> Array:
        return jnp.zeros((1, *self.architecture.entry.sizes.smallest, 3))

    def _init(self) -> Any:
        key = jax.random.key(self.recipe.seed)
        collections = ["params", "batch_stats", "weight_clip"]
        return self.architecture.module.init(key, self._nothing, mutable=collections)

    def _logits(self, state: State, images: Array) -> Array:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        views = whole_views(images, side=self.recipe.sides[-1])
        return self.architecture.apply(variables, views)[0]

    def _train_step(
        self, state: State, teacher_variables: Any, images: Array, labels: Array, *, side: int
    ) -> tuple[State, dict[str, Array]]:
        key = jax.random.fold_in(jax.random.key(self.recipe.seed), state.step)
        views = random_views(key, images, side=side, smallest=self.recipe.smallest_crop)
        lesson = None
        if self.teacher is not None:
            lesson = teaching.ask(self.teacher.architecture, teacher_variables, views)
        gradient = jax.value_and_grad(self._loss, has_aux=True)
        (loss, (batch_stats, figures)), (of_params, of_translation) = gradient(
            (state.params, state.translation), state.batch_stats, views, labels, lesson
        )
        update, first = self._optimizer.update(of_params, state.optimizer[0], state.params)
        params = clip_weights(optax.apply_updates(state.params, update), self._clips)
        update, second = self._translator.update(of_translation, state.optimizer[1])
        translation = optax.apply_updates(state.translation, update)
        figures = {"loss": loss, **figures, "learning_rate": self._rate(state.step)}
        return State(params, batch_stats, translation, (first, second), state.step + 1), figures

    def _loss(
        self, trained: tuple, batch_stats: Any, views: Array, labels: Array, lesson: Any
    ) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        params, translation = trained
        variables = {"params": params, "batch_stats": batch_stats}
        logits, taps, batch_stats = self.architecture.train(variables, views)
        certain = jax.nn.one_hot(labels, logits.shape[1])
        targets = optax.smooth_labels(certain, self.recipe.label_smoothing)
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        figures = {"labels": loss, "accuracy": 100 * (logits.argmax(1) == labels).mean()}
        if self._translation is not None:
            guess: Any = self._translation.apply({"params": translation}, taps)
            figures["soft"] = teaching.soft_loss(guess, lesson)
            figures["hints"] = teaching.hint_loss(guess, lesson)
            loss += self.recipe.soft_weight * figures["soft"]
            loss += self.recipe.hint_weight * figures["hints"]
        return loss, (batch_stats, figures)


def _check_labels(
    architecture: Architecture, photographs: Photographs, validation: Photographs, recipe: Recipe
) -> None:
    count, classes = len(photographs.labels), architecture.num_classes
    if count < recipe.batch_size:
        raise ValueError(f"{count} photographs do not fill a batch of {recipe.batch_size}")
    for labels in (photographs.labels, validation.labels):
        if classes is None or not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(
                f"labels run from {labels.min()} to {labels.max()}, "
                f"the network tells {classes} classes apart"
            )


def _check(architecture: Architecture, recipe: Recipe, teacher: Network | None) -> None:
    entry, module = architecture.entry, architecture.module
    if "train" not in inspect.signature(type(module).__call__).parameters:
        raise ValueError(f"{entry.name} cannot be trained here; networks with binary layers can")
    if teacher and (missing := set(teaching.TAPS) - set(architecture.taps)):
        lacks = ", ".join(sorted(missing))
        raise ValueError(f"{architecture.entry.name} cannot learn from a teacher: it lacks {lacks}")
    for side in recipe.sides:
        for network in (architecture, teacher and teacher.architecture):
            if network and not network.entry.sizes.takes(side):
                raise ValueError(f"views of {side} px: {network.entry.name} cannot take them")
        if not architecture.has_logits(side):
            raise ValueError(f"views of {side} px: {entry.name} has no classifier for them")
