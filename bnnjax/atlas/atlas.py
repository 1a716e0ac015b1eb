"""`activation_atlas`: takes photographs, returns an atlas of what a network sees in them."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from bnnjax.atlas import layout
from bnnjax.atlas.config import AtlasConfig, AtlasOptions
from bnnjax.atlas.directions import Members, cosines, occupied, whitening
from bnnjax.atlas.invert import check_size, configured, extent, invert, responses
from bnnjax.atlas.objective import POWER
from bnnjax.atlas.samples import Samples, collect, pictures_in
from bnnjax.models.evaluate import class_names
from bnnjax.models.network import Network
from bnnjax.optimize import Minimized
from bnnjax.port.load import load_model

TOP = 5  # classes per cell


@dataclasses.dataclass
class Cell:
    """A cell of an atlas.

    Attributes:
      row, column: its place; row 0 is at the top.
      members: int [M], the indices of its activations.
      direction: float32 [C], their mean.
      classes: (name, value) of the classes to whose logits its activations contribute most, beyond
        what all activations contribute on average; empty without logits.
      seen: (name, probability) of the classes that the network sees in the members' whole pictures.
      picture: float32 [size, size, 3], the inversion.
      response: float32 [C], the picture's own mean activation.
    """

    row: int
    column: int
    members: np.ndarray
    direction: np.ndarray
    classes: list[tuple[str, float]]
    seen: list[tuple[str, float]]
    picture: np.ndarray
    response: np.ndarray

    @property
    def cosine(self) -> float:
        """The cosine between the picture's own mean activation and the direction."""
        return float(cosines(self.response[None], self.direction[None])[0, 0])


@dataclasses.dataclass
class Atlas:
    """The result of `activation_atlas`; `bnnjax.atlas.files.save` writes it to a folder.

    Attributes:
      network: with the options that the pictures were made with.
      tap: the name of the tap.
      config: all options.
      paths: the photographs.
      samples: the activations.
      points: float64 [N, 2], the layout.
      layout: its method: "umap", "tsne" or "pca".
      assigned: int [N, 2], the cell (row, column) of each activation.
      cells: those with a picture, row by row.
      minimized: how the optimisation went.
      problems: a line for each photograph that could not be read, and for each loss that diverged.
    """

    network: Network
    tap: str
    config: AtlasConfig
    paths: list[Path]
    samples: Samples
    points: np.ndarray
    layout: str
    assigned: np.ndarray
    cells: list[Cell]
    minimized: Minimized
    problems: list[str]

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the optimisation; the pictures are then the best so far."""
        return self.minimized.interrupted

    def picture(self) -> np.ndarray:
        """All cells in their places on white, float32 [grid · size, grid · size, 3]."""
        side, size = self.config.grid, self.config.size
        whole = np.ones((side * size, side * size, 3), np.float32)
        for cell in self.cells:
            top, left = cell.row * size, cell.column * size
            whole[top : top + size, left : left + size] = cell.picture
        return whole

    def figures(self) -> dict[str, Any]:
        """How well the pictures show their directions, and how long it took.

        ``cosine`` is between a picture's own mean activation and its cell's direction,
        ``to_others`` the median of those to all other cells' directions, ``centered`` the median
        after the mean of all activations is subtracted from both, and ``nearest_own`` the share of
        pictures whose own direction is the nearest of all.
        """
        directions, own = (
            np.stack([getattr(cell, name) for cell in self.cells])
            for name in ("direction", "response")
        )
        found = cosines(own, directions)
        others = found[~np.eye(len(found), dtype=bool)]
        mean = self.samples.activations.mean(axis=0)
        centered = np.diag(cosines(own - mean, directions - mean))
        marks = np.percentile(np.diag(found), [0, 25, 50, 75, 100])
        names = ("least", "quartile", "median", "upper_quartile", "most")
        return {
            "photographs": len(self.paths),
            "activations": len(self.samples.activations),
            "cells": len(self.cells),
            "cosine": {n: round(float(v), 3) for n, v in zip(names, marks, strict=True)},
            "at_least_half": round(float((np.diag(found) >= 0.5).mean()), 3),
            "to_others": round(float(np.median(others)), 3) if len(others) else None,
            "centered": round(float(np.median(centered)), 3),
            "nearest_own": round(float((found.argmax(axis=1) == np.arange(len(found))).mean()), 3),
            "seconds": {n: round(s, 1) for n, s in self.minimized.seconds.items()},
        }


def activation_atlas(
    photographs: str | Path | Sequence[str | Path],
    *,
    model: str | Path | Network | None = None,
    preprocessing: str | None = None,
    config: AtlasConfig | None = None,
    progress: bool = True,
    activations: str | Path | None = None,
    snapshots: str | Path | None = None,
    **options: Unpack[AtlasOptions],
) -> Atlas:
    """An atlas of a network's activations (Carter et al., *Activation Atlas*, Distill 2019).

    One random activation per photograph is placed in the plane so that similar ones are neighbours.
    The activations in each cell of a grid are averaged, and a picture is optimised for each mean.

    Args:
      photographs: a folder, which is searched for pictures, or a sequence of paths.
      model: a `Network` or anything that `load_model` takes; the shipped network by default.
      preprocessing: how a ``.tflite`` or Keras file expects its pictures, see `load_model`.
      config: all options; `AtlasConfig` by default.
      progress: whether to show progress bars with the time left.
      activations: a folder for the activations; after a kill, the same call resumes from there,
        and a call with another layout or grid need not collect them again.
      snapshots: a folder for snapshots of the optimisation; a killed call resumes from there.
      **options: fields of `AtlasConfig`; they take precedence over ``config``.

    Returns:
      The atlas. After Ctrl-C, its pictures are the best so far, and ``interrupted`` is set.

    Raises:
      ValueError: an unknown option or tap, no readable picture, a size that the network does not
        take, cells that are all too empty, or folders of another run.
      ModuleNotFoundError: the layout's library is not installed.
    """
    config = (config or AtlasConfig()).changed(**options)
    paths = pictures_in(photographs)
    network = load_model(model, preprocessing=preprocessing)
    tap = config.tap or network.entry.style.content_taps[-1]
    check_size(network, "image_size", config.image_size)
    inverted = configured(network, config)
    extent(network, tap, size=config.size)
    samples, problems = collect(
        network, paths, tap=tap, config=config, progress=progress, folder=activations
    )
    points = layout.project(samples.activations, method=config.layout, seed=config.seed)
    assigned = layout.assign_cells(points, grid=config.grid)
    groups = occupied(assigned, least=config.least)
    if not groups:
        raise ValueError(
            f"no cell has {config.least} activations of {len(points)}; use more photographs, a "
            "smaller grid or a smaller `least`"
        )
    means = np.stack([samples.activations[group.indices].mean(axis=0) for group in groups])
    minimized = invert(
        inverted,
        means @ whitening(samples.activations, ridge=config.ridge),
        tap=tap,
        power=POWER,
        config=config,
        progress=progress,
        snapshots=snapshots,
    )
    own = responses(inverted, minimized.pictures, tap=tap)
    cells = _cells(network, samples, groups, means, minimized.pictures, own)
    for number, step in minimized.diverged.items():
        place = cells[number].row, cells[number].column
        problems.append(f"the loss of cell {place} is not finite from step {step}")
    method = layout.choose(config.layout)
    return Atlas(
        inverted, tap, config, paths, samples, points, method, assigned, cells, minimized, problems
    )


def _cells(
    network: Network,
    samples: Samples,
    groups: Sequence[Members],
    means: np.ndarray,
    pictures: Sequence[np.ndarray],
    own: np.ndarray,
) -> list[Cell]:
    """The cells of these groups, whose means, pictures and responses are in the same order."""
    names = class_names(network)
    attributions = samples.attributions.astype(np.float32)
    average = attributions.mean(axis=0)
    cells = []
    for group, mean, picture, response in zip(groups, means, pictures, own, strict=True):
        members = group.indices
        classes = _top(attributions[members].mean(axis=0) - average, names)
        seen = _top(samples.chances[members].astype(np.float32).mean(axis=0), names)
        cells.append(Cell(*group, mean, classes, seen, picture, response))
    return cells


def _top(values: np.ndarray, names: Sequence[str]) -> list[tuple[str, float]]:
    return [(names[i], float(values[i])) for i in np.argsort(-values, kind="stable")[:TOP]]
