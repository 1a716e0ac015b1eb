"""`visualize`: takes channels or directions of a tap, returns pictures that drive them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from bnnjax.atlas.config import VisualizeConfig, VisualizeOptions
from bnnjax.atlas.invert import channels_of, configured, invert, responses
from bnnjax.atlas.objective import POWER
from bnnjax.images import contact_sheet
from bnnjax.models.network import Network
from bnnjax.optimize import Minimized
from bnnjax.port.load import load_model

NOISE = 0.05  # A channel behind a ReLU that is silent for plain grey has no gradient there.


@dataclasses.dataclass
class Visualization:
    """The result of `visualize`.

    Attributes:
      network: with the options that the pictures were made with.
      tap: the name of the tap.
      labels: the names of the directions: "channel 3", or "direction 0" for one that was given.
      directions: float32 [N, C].
      pictures: float32 [size, size, 3] each.
      responses: float32 [N, C], the pictures' own mean activations.
      minimized: how the optimisation went.
    """

    network: Network
    tap: str
    labels: list[str]
    directions: np.ndarray
    pictures: list[np.ndarray]
    responses: np.ndarray
    minimized: Minimized

    def sheet(self, *, columns: int = 8) -> np.ndarray:
        """A contact sheet with labels, float32 [H, W, 3]."""
        starts = range(0, len(self.pictures), columns)
        rows = [self.pictures[start : start + columns] for start in starts]
        labels = [self.labels[start : start + columns] for start in starts]
        return contact_sheet(rows, labels=labels, cell=len(self.pictures[0]))

    def own_strongest(self) -> float:
        """The share of directions that their own picture drives further than all others do."""
        projected = self.responses @ self.directions.T
        return float((projected.argmax(axis=0) == np.arange(len(projected))).mean())


def visualize(
    tap: str,
    *,
    channels: Sequence[int] | None = None,
    directions: Any = None,
    model: str | Path | Network | None = None,
    preprocessing: str | None = None,
    config: VisualizeConfig | None = None,
    progress: bool = True,
    snapshots: str | Path | None = None,
    **options: Unpack[VisualizeOptions],
) -> Visualization:
    """Pictures that drive single channels or directions of a tap, all side by side.

    Args:
      tap: the name of the tap.
      channels: their numbers; the first 16 if neither channels nor directions are given.
      directions: [N, C] in the space of the tap's channels, instead of channels. Their pictures are
        driven by Carter's objective (`Direction`), those of channels by the mean response alone.
      model: a `Network` or anything that `load_model` takes; the shipped network by default.
      preprocessing: how a ``.tflite`` or Keras file expects its pictures, see `load_model`.
      config: all options; `VisualizeConfig` by default.
      progress: whether to show a progress bar with the time left.
      snapshots: a folder for snapshots; after a kill, the same call resumes from there.
      **options: fields of `VisualizeConfig`; they take precedence over ``config``.

    Raises:
      ValueError: an unknown tap or option, a channel that the tap does not have, or directions of
        another length.
    """
    config = (config or VisualizeConfig()).changed(**options)
    network = configured(load_model(model, preprocessing=preprocessing), config)
    width = channels_of(network, tap, size=config.size)
    if directions is None:
        numbers = list(range(min(16, width))) if channels is None else list(channels)
        chosen, names = _one_hot(numbers, width, tap), [f"channel {n}" for n in numbers]
        power = 0
    elif channels is not None:
        raise ValueError("give channels or directions, not both")
    else:
        chosen, power = _checked(directions, width, tap), POWER
        names = [f"direction {number}" for number in range(len(chosen))]
    minimized = invert(
        network,
        chosen,
        tap=tap,
        power=power,
        config=config,
        noise=NOISE,
        progress=progress,
        snapshots=snapshots,
    )
    pictures = minimized.pictures
    own = responses(network, pictures, tap=tap)
    return Visualization(network, tap, names, chosen, pictures, own, minimized)


def _one_hot(channels: Sequence[int], width: int, tap: str) -> np.ndarray:
    numbers = np.asarray(channels)
    if (
        not numbers.size
        or numbers.dtype.kind not in "iu"
        or not ((numbers >= 0) & (numbers < width)).all()
    ):
        raise ValueError(
            f"channels are {list(channels)}, need integers from 0 to {width - 1} of {tap}"
        )
    return np.eye(width, dtype=np.float32)[numbers]


def _checked(directions: Any, width: int, tap: str) -> np.ndarray:
    array = np.asarray(directions, np.float32)
    if array.ndim != 2 or not len(array) or array.shape[1] != width:
        raise ValueError(f"directions have shape {array.shape}, need [N, {width}] for {tap}")
    return array
