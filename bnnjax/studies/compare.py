"""Compares networks: each paints the same pairs, and a judge measures the pictures.

After McAteer & Prabhu, *Style Transfer with Binarized Neural Networks* (ACAI 2020), on how the
architectures differ.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack, cast

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from bnnjax import images
from bnnjax.models import registry
from bnnjax.models.network import Network
from bnnjax.models.untrained import untrained
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.inputs import FreeNames
from bnnjax.port.load import load_model
from bnnjax.studies import comparison
from bnnjax.studies.bench import BENCH, Bench, StudyOptions
from bnnjax.studies.comparison import Entrant
from bnnjax.studies.study import Study
from bnnjax.studies.trials import Trial

RANDOM = "random:"  # before the name of a network: the same architecture with random weights
SIDE = 224  # px of the pictures that set the norms of a random network


def compare(
    models: Sequence[str],
    contents: Sequence[str | Path],
    styles: Sequence[str | Path],
    directory: str | Path,
    **options: Unpack[StudyOptions],
) -> list[Entrant]:
    """Paints all pairs through each network and judges the pictures.

    The directory gets a folder per network, ``comparison.csv``, ``sheet.png`` and, if matplotlib is
    installed, ``comparison.png``. Another call for the same directory keeps the pictures that exist
    and makes those that are missing, unless ``overwrite`` is set.

    Args:
      models: names or files that `load_model` takes. "random:NAME" is that network's architecture
        with random weights. A network of the registry whose weights cannot be had is noted as such.
      contents, styles: the paths of photographs and paintings.
      directory: the folder to write to; created if missing.
      **options: as in `bnnjax.sweep`, for all networks; a ``judge`` is needed. Options of
        `StylizeConfig` take precedence over the networks' own presets.

    Raises:
      ValueError: an unknown network, option or picture, no judge, or the directory has pictures
        that were made with other options.
    """
    _check(models, options)
    directory, entrants = Path(directory), list[Entrant]()
    named = [*zip(models, names_of(models), strict=True)]
    for model, name in tqdm(named, "networks", disable=not options.get("progress", True)):
        own: Any = {**options, "output_dir": directory / name}
        own["resume"] = not options.get("overwrite", False)
        entrants.append(entrant(model, name, contents, styles, own))
        comparison.save(directory, entrants)  # up to date after each network
    return entrants


def names_of(models: Sequence[str]) -> list[str]:
    """A different name for each network, made of the characters that file names may have."""
    free = FreeNames()
    return [free.take(Path(model).stem.replace(RANDOM, "random_")) for model in models]


def entrant(
    model: str,
    name: str,
    contents: Sequence[str | Path],
    styles: Sequence[str | Path],
    options: StudyOptions,
) -> Entrant:
    """What comes of one network.

    Raises:
      ValueError: see `compare`.
      KeyboardInterrupt: Ctrl-C; finished pictures have been written.
    """
    network = _load(model, [*contents, *styles])
    if isinstance(network, str):
        return Entrant(name, note=network)
    bench = Bench.open(contents, styles, {**options, "model": network})
    trials = [Trial(pair, (), bench.base.of_picture(n)) for n, pair in enumerate(bench.pairs)]
    study = Study(bench.make(trials), bench.photographs, bench.paintings)
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(network.variables))
    return Entrant(name, study, weights / 2**20, "; ".join(study.problems))


def _check(models: Sequence[str], options: StudyOptions) -> None:
    """Raises ValueError for bad options and for networks that do not exist, before any work."""
    given = cast(dict[str, Any], options)
    own = {*BENCH, "config", "preset"}
    StylizeConfig().changed(**{name: given[name] for name in given.keys() - own})
    if given.get("judge") is None:
        raise ValueError("a comparison needs a judge: the networks' own losses differ in scale")
    for model in models:
        name = model.removeprefix(RANDOM)
        if name != model:
            registry.find(name)
        elif name not in registry.REGISTRY:
            load_model(name)


def _load(model: str, pictures: Sequence[str | Path]) -> Network | str:
    """The network, or why its weights cannot be had."""
    if model.startswith(RANDOM):
        batch = [images.pillow_crop_resize(images.load(path), size=SIDE) for path in pictures]
        return untrained(registry.find(model.removeprefix(RANDOM)), jnp.asarray(np.stack(batch)))
    try:
        return load_model(model)
    except ValueError as error:
        if model not in registry.REGISTRY:
            raise
        return f"no weights: {error}"
