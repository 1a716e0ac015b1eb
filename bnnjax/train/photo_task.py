"""Training a network of the registry on labelled photographs, with or without a teacher."""

import dataclasses
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from bnnjax.models.entry import Entry
from bnnjax.models.network import Architecture, Network
from bnnjax.nst.ensemble import Ensemble
from bnnjax.train import distill
from bnnjax.train.augmentation import augment, resize
from bnnjax.train.begin import taken_over, with_classes
from bnnjax.train.config import TrainConfig
from bnnjax.train.dataset import Dataset, batch_indices, top_k_accuracy
from bnnjax.train.optimizers import cosine, optimizer
from bnnjax.train.state import TrainState

Metrics = dict[str, Array]


class PhotoTask:
    """A `loop.Task` that trains a network on photographs.

    ``state.params`` holds the parameters of the ``student`` and, with a teacher, of the
    ``hint_maps``. The network gets one class per class name of the photographs; if they have no
    names, it gets the number of classes in its entry.

    Args:
      entry: the network's row in the registry.
      photographs: the pictures to train on.
      validation: the pictures on which accuracy is measured.
      config: all options.
      teacher: a network to learn from, or several, or None.
      init: a latent network of this entry to go on from, or None for random weights. If it has
        another number of classes, its classifier is replaced by a new one.

    Raises:
      ValueError: there are too few photographs for a batch, a label is not among the network's
        classes, the network cannot be trained here or does not accept crops of these sides, or the
        teacher does not suit it (see `distill.hint_maps`), or the classes of ``init`` cannot be
        replaced.
    """

    def __init__(
        self,
        entry: Entry,
        photographs: Dataset,
        validation: Dataset,
        config: TrainConfig,
        teacher: Network | Ensemble | None = None,
        init: Network | None = None,
    ) -> None:
        names = photographs.class_names
        num_classes = len(names) if names else entry.card.num_classes
        self.architecture = Architecture.published(entry, num_classes=num_classes)
        if init is not None:
            self.architecture = with_classes(init.architecture, num_classes)
        self._begin = init
        _check_network(self.architecture, config)
        _check_data(photographs, validation, config, num_classes)
        self.photographs, self.validation = photographs, validation
        self.config, self.teacher = config, teacher
        self.epochs = config.epochs
        self.steps_per_epoch = len(photographs) // config.batch_size
        self._hints = tuple(map(distill.Hint.read, config.hint_taps))
        self._hint_maps = teacher and distill.hint_maps(
            self.architecture,
            teacher,
            hints=self._hints,
            sides=config.sides,
            soft=config.soft_weight > 0,
        )
        self._learning_rate = cosine(
            peak=config.learning_rate,
            steps=config.epochs * self.steps_per_epoch,
            warmup_steps=int(config.warmup_epochs * self.steps_per_epoch),
        )
        key = jax.random.key(config.seed)
        self._jitted_init = jax.jit(lambda: self.architecture.init(key))
        self._weight_clips = {"student": self._jitted_init().get("weight_clip", {})}
        self._optimizer = optimizer(config.optimizer, self._learning_rate, self._weight_clips)
        self._jitted_step = jax.jit(self._step, static_argnames="side", donate_argnums=0)
        self._jitted_logits = jax.jit(self._logits)

    @property
    def saved_config(self) -> dict[str, Any]:
        """The options that identify a run; see `loop.Task`."""
        found = {
            **dataclasses.asdict(self.config),
            "model": self.architecture.entry.name,
            "teacher": self.teacher and _identities(self.teacher),
            "photographs": len(self.photographs),
        }
        return found | ({"init": _identity(self._begin)} if self._begin else {})

    def init(self) -> TrainState:
        """The state before the first step."""
        variables = self._jitted_init()
        if self._begin:
            variables = taken_over(variables, self._begin.variables)
        params = {"student": variables["params"]}
        if self._hint_maps:
            example = jnp.zeros((1, *self.architecture.entry.sizes.smallest, 3))
            _, taps = self.architecture.apply(variables, example)
            key = jax.random.key(self.config.seed + 1)
            params["hint_maps"] = self._hint_maps.init(key, taps)["params"]
        return TrainState.create(params, variables.get("batch_stats", {}), self._optimizer)

    def step(self, state: TrainState, index: int) -> tuple[TrainState, Metrics]:
        """The state after step number ``index``, counted from 0, and the metrics of the step."""
        config = self.config
        chosen = batch_indices(
            len(self.photographs), index, batch_size=config.batch_size, seed=config.seed
        )
        chosen = np.sort(chosen)  # a crop depends on the place in the batch; InkNet's were sorted
        images, labels = self.photographs.images[chosen], self.photographs.labels[chosen]
        teacher_variables = self.teacher.variables if self.teacher else {}
        side = self.side(index // self.steps_per_epoch)
        return self._jitted_step(state, teacher_variables, images, labels, side=side)

    def side(self, epoch: int) -> int:
        """The side of the crops in an epoch (counted from 0), in pixels."""
        sides = self.config.sides
        return sides[epoch * len(sides) // self.epochs]

    def evaluate(self, state: TrainState) -> dict[str, float]:
        """Top-1 and top-5 accuracy on whole validation pictures of the last side, in per cent."""
        return top_k_accuracy(
            lambda images: self._jitted_logits(state, images),
            self.validation,
            k=(1, 5),
            batch_size=self.config.batch_size,
        )

    def network(self, state: TrainState) -> Network:
        """The latent network in this state."""
        provenance = {
            "source": "bnnjax.train",
            "paper": self.architecture.entry.card.paper,
            "config": dataclasses.asdict(self.config),
            "teacher": dict(self.teacher.provenance) if self.teacher else None,
            "init": dict(self._begin.provenance) if self._begin else None,
            "steps": int(state.step),
        }
        return Network(
            self.architecture,
            jax.device_get(_variables(state)),
            provenance,
            class_names=self.photographs.class_names,
        )

    def _logits(self, state: TrainState, images: Array) -> Array:
        pictures = resize(images, side=self.config.sides[-1])
        return self.architecture.apply(_variables(state), pictures)[0]

    def _step(
        self, state: TrainState, teacher_variables: Any, images: Array, labels: Array, *, side: int
    ) -> tuple[TrainState, Metrics]:
        config = self.config
        key = jax.random.fold_in(jax.random.key(config.seed), state.step)
        crops = augment(key, images, side=side, smallest_crop=config.smallest_crop)
        taps = list(dict.fromkeys(hint.teacher for hint in self._hints))
        targets = self.teacher and distill.teacher_outputs(
            self.teacher.architecture, teacher_variables, crops, taps=taps
        )
        gradients, (batch_stats, metrics) = jax.grad(self._loss, has_aux=True)(
            state.params, state.batch_stats, crops, labels, targets, jax.random.fold_in(key, 0)
        )
        metrics["learning_rate"] = self._learning_rate(state.step)
        state = state.apply_gradients(
            gradients,
            batch_stats=batch_stats,
            optimizer=self._optimizer,
            weight_clips=self._weight_clips,
        )
        return state, metrics

    def _loss(
        self,
        params: Any,
        batch_stats: Any,
        crops: Array,
        labels: Array,
        targets: Any,
        key: Array,
    ) -> tuple[Array, tuple[Any, Metrics]]:
        config = self.config
        variables = {"params": params["student"], "batch_stats": batch_stats}
        logits, taps, batch_stats = self.architecture.train(variables, crops, key=key)
        one_hot = jax.nn.one_hot(labels, logits.shape[1])
        smooth = optax.losses.smooth_labels(one_hot, config.label_smoothing)
        loss = optax.losses.softmax_cross_entropy(logits, smooth).mean()
        metrics = {"labels": loss, "accuracy": 100 * (logits.argmax(1) == labels).mean()}
        if self._hint_maps:
            predicted: Any = self._hint_maps.apply({"params": params["hint_maps"]}, taps)
            metrics["hints"] = distill.hint_loss(predicted, targets)
            loss += config.hint_weight * metrics["hints"]
            if config.soft_weight:
                metrics["soft"] = distill.soft_loss(predicted.logits, targets.logits)
                loss += config.soft_weight * metrics["soft"]
        return loss, (batch_stats, {"loss": loss, **metrics})


def _identity(network: Network) -> Any:
    return network.provenance.get("sha256", network.path)


def _identities(teacher: Network | Ensemble) -> Any:
    networks = teacher.networks if isinstance(teacher, Ensemble) else (teacher,)
    found = [_identity(network) for network in networks]
    return found if len(found) > 1 else found[0]


def _variables(state: TrainState) -> dict[str, Any]:
    return {"params": state.params["student"], "batch_stats": state.batch_stats}


def _check_network(architecture: Architecture, config: TrainConfig) -> None:
    name = architecture.entry.name
    if "train" not in inspect.signature(type(architecture.module).__call__).parameters:
        raise ValueError(f"{name} cannot be trained here; networks with binary layers can")
    for side in set(config.sides):
        if distill.shapes_at(architecture, side)[0] is None:
            raise ValueError(f"{name} has no logits for pictures of {side} px")


def _check_data(
    photographs: Dataset, validation: Dataset, config: TrainConfig, num_classes: int | None
) -> None:
    if len(photographs) < config.batch_size:
        raise ValueError(
            f"{len(photographs)} photographs do not fill a batch, need {config.batch_size}"
        )
    for labels in (photographs.labels, validation.labels):
        if num_classes is None or not 0 <= labels.min() <= labels.max() < num_classes:
            raise ValueError(
                f"labels run from {labels.min()} to {labels.max()}; "
                f"the network has {num_classes} classes"
            )
