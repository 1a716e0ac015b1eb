"""Shared by comparisons of pictures: squares, recipes, judges and degraded networks."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import efficientnet_lite0
import jax
import numpy as np

import bnnjax
from bnnjax import Network, images
from bnnjax.judge import measures

Pictures = dict[str, np.ndarray]


def square(folder: str | Path, stem: str, *, size: int) -> np.ndarray:
    """The central square of the picture with this stem, resized to ``size`` pixels."""
    paths = list(Path(folder).glob(f"{stem}.*"))
    if not paths:
        raise ValueError(f"{folder} has no picture {stem}")
    fitted = images.fit(images.load(paths[0]), size=size)
    return images.center_crop(fitted, size=size)


def make(
    folder: Path, names: Iterable[str], contents: Pictures, styles: Pictures, **options: Any
) -> Pictures:
    """Pictures CONTENT__STYLE by one recipe; existing ones in ``folder`` are not made again."""
    missing = [name for name in names if not (folder / f"{name}.png").exists()]
    if missing:
        print(folder.name, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        sources = [name.split("__", 1) for name in missing]
        result = bnnjax.stylize_batch(
            [contents[content] for content, _ in sources],
            [styles[style] for _, style in sources],
            size=next(iter(contents.values())).shape[0],
            **options,
        )
        for name, image in zip(missing, result.images, strict=True):
            images.save_png(folder / f"{name}.png", image)
    return {name: images.load(folder / f"{name}.png") for name in names}


def shuffled(network: Network, *, binary_only: bool) -> Network:
    """The network with the bits of its binary kernels, or all its weights, in random order: the
    same size and the same values, but nothing learned."""
    generator = np.random.default_rng(0)

    def shuffle(path: tuple, leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        if array.dtype == np.uint32:
            return generator.integers(0, 2**32, array.shape, np.uint32)
        return array if binary_only else generator.permutation(array.ravel()).reshape(array.shape)

    variables = jax.tree_util.tree_map_with_path(shuffle, network.variables)
    return Network(network.architecture, variables, {"source": "random"})


def judge_of(path: str) -> measures.Features:
    """The judging network of a weights file."""
    if path.endswith(".npz"):
        return measures.vgg_features(path)
    return efficientnet_lite0.load_features(path)


def judged(
    judges: Mapping[str, measures.Features],
    names: Iterable[str],
    pictures: Pictures,
    contents: Pictures,
    styles: Pictures,
) -> dict[str, dict[str, float]]:
    """Judge → mean measures of pictures by CONTENT__STYLE, or of the photographs by CONTENT."""
    found: dict[str, dict[str, float]] = {}
    for judge, features in judges.items():
        rows = []
        for name in names:
            content, style = name.split("__", 1)
            picture = pictures[name] if name in pictures else pictures[content]
            rows.append(measures.judge(picture, contents[content], styles[style], features))
        found[judge] = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    return found
