"""Training BinaryNet on CIFAR-10 as Larq's tutorial does.

Two of Keras' defaults differ: kernels start glorot-normal here (Keras: glorot-uniform), and Adam's
epsilon is 1e-8 (Keras: 1e-7).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

from bnnjax.models.binarynet import BinaryNet
from bnnjax.train.config import Cifar10Config
from bnnjax.train.dataset import Dataset, batch_indices, top_k_accuracy
from bnnjax.train.optimizers import inverse_time, optimizer
from bnnjax.train.state import TrainState

EVALUATION_BATCH = 250  # pictures


class Cifar10Task:
    """A `loop.Task` that trains a network on CIFAR-10.

    Args:
      pictures: the pictures to train on.
      test: the pictures on which accuracy is measured.
      config: all options.
      module: a network from pictures in [−1, 1] to logits; by default the tutorial's BinaryNet.
    """

    def __init__(
        self,
        pictures: Dataset,
        test: Dataset,
        config: Cifar10Config,
        module: nn.Module | None = None,
    ) -> None:
        self.pictures, self.test, self.config = pictures, test, config
        self.module = module or BinaryNet()
        self.epochs = config.epochs
        self.steps_per_epoch = len(pictures) // config.batch_size
        self._jitted_init = jax.jit(self._init)
        self._weight_clips = self._jitted_init()["weight_clip"]
        schedule = inverse_time(config.learning_rate, config.decay)
        self._optimizer = optimizer(config.optimizer, schedule, self._weight_clips)
        self._jitted_step = jax.jit(self._step, donate_argnums=0)
        self._jitted_logits = jax.jit(self._logits)

    @property
    def saved_config(self) -> dict[str, Any]:
        """The options that identify a run: all but the epochs, on whose number no step depends."""
        config = dataclasses.asdict(self.config) | {"pictures": len(self.pictures)}
        del config["epochs"]
        return config

    def init(self) -> TrainState:
        """The state before the first step."""
        variables = self._jitted_init()
        return TrainState.create(variables["params"], variables["batch_stats"], self._optimizer)

    def step(self, state: TrainState, index: int) -> tuple[TrainState, dict[str, Array]]:
        """The state after step number ``index``, counted from 0, and the metrics of the step."""
        config = self.config
        chosen = batch_indices(
            len(self.pictures), index, batch_size=config.batch_size, seed=config.seed
        )
        return self._jitted_step(state, self.pictures.images[chosen], self.pictures.labels[chosen])

    def evaluate(self, state: TrainState) -> dict[str, float]:
        """Top-1 accuracy on the test pictures, in per cent."""
        return top_k_accuracy(
            lambda images: self._jitted_logits(state, images),
            self.test,
            k=(1,),
            batch_size=EVALUATION_BATCH,
        )

    def _init(self) -> Any:
        picture = jnp.zeros((1, *self.pictures.images.shape[1:]))
        collections = ["params", "batch_stats", "weight_clip"]
        return self.module.init(jax.random.key(self.config.seed), picture, mutable=collections)

    def _logits(self, state: TrainState, images: Array) -> Array:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        logits: Any = self.module.apply(variables, normalize(images))
        return logits

    def _step(
        self, state: TrainState, images: Array, labels: Array
    ) -> tuple[TrainState, dict[str, Array]]:
        gradients, (batch_stats, metrics) = jax.grad(self._loss, has_aux=True)(
            state.params, state.batch_stats, images, labels
        )
        state = state.apply_gradients(
            gradients,
            batch_stats=batch_stats,
            optimizer=self._optimizer,
            weight_clips=self._weight_clips,
        )
        return state, metrics

    def _loss(
        self, params: Any, batch_stats: Any, images: Array, labels: Array
    ) -> tuple[Array, tuple[Any, dict[str, Array]]]:
        logits, changed = self.module.apply(
            {"params": params, "batch_stats": batch_stats},
            normalize(images),
            train=True,
            mutable=["batch_stats"],
        )
        loss = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        accuracy = 100 * (logits.argmax(1) == labels).mean()
        return loss, (changed["batch_stats"], {"loss": loss, "accuracy": accuracy})


def normalize(images: Array) -> Array:
    """uint8 [...] → float32 in [−1, 1], as in the tutorial."""
    return images.astype(jnp.float32) / 127.5 - 1
