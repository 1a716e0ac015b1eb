"""A whole training run: from folders of photographs to a network file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bnnjax.models import registry
from bnnjax.models.forms import freeze
from bnnjax.models.network import Network
from bnnjax.nst.ensemble import Model, load_models
from bnnjax.port.load import load_latent
from bnnjax.port.storage import network_file
from bnnjax.train import curves, loop
from bnnjax.train.config import TrainConfig
from bnnjax.train.photo_task import PhotoTask
from bnnjax.train.photographs import load_split

NETWORK = "network"  # the file of the frozen network in the working directory


def train_on_photographs(
    data_dir: str | Path,
    workdir: str | Path,
    *,
    model: str | None = None,
    init: str | Path | None = None,
    preprocessing: str | None = None,
    classes: Sequence[str] | None = None,
    teacher: Model = None,
    config: TrainConfig | None = None,
    progress: bool = True,
) -> Network:
    """Trains a network on labelled photographs, or resumes the run in ``workdir``.

    Args:
      data_dir: the photographs, see `photographs.load_split`.
      workdir: directory for checkpoints, curves, and ``network.safetensors``, the frozen network,
        which is written after every epoch.
      model: the name of the network to train; "inknet" by default.
      init: the name or file of a network to train further, in place of ``model``.
      preprocessing: that of an ``init`` in Keras' format; "imagenet" by default.
      classes: the names of the classes to train on, in order; all by default.
      teacher: a network to learn from, or several, as `stylize_batch` takes them.
      config: the options; the defaults of `TrainConfig` if None.
      progress: whether to show a progress bar.

    Returns:
      The frozen network.

    Raises:
      ValueError: ``model`` and ``init``, or ``preprocessing`` without ``init``; and whatever
        `PhotoTask` and `loop.train` refuse.
    """
    begin = _begin(init, model=model, preprocessing=preprocessing)
    entry = begin.entry if begin else registry.find(model or "inknet")
    learned_from = None if teacher is None else load_models(teacher)
    photographs, validation = (
        load_split(data_dir, split, classes=classes) for split in ("train", "val")
    )
    options = config or TrainConfig()
    task = PhotoTask(entry, photographs, validation, options, learned_from, begin)
    workdir = Path(workdir).expanduser()

    def save(state: Any, epoch: int, metrics: dict[str, float]) -> None:
        network_file.save(freeze(task.network(state)), workdir / NETWORK, overwrite=True)
        curves.plot(workdir)

    return freeze(task.network(loop.train(task, workdir, after_epoch=save, progress=progress)))


def _begin(
    init: str | Path | None, *, model: str | None, preprocessing: str | None
) -> Network | None:
    """The network to train further."""
    if init is None:
        if preprocessing is not None:
            raise ValueError("preprocessing is that of init; give both")
        return None
    if model is not None:
        raise ValueError("init is itself the network to train; leave model out")
    return load_latent(init, preprocessing=preprocessing)
