"""Compares networks: each paints the same pairs, and a judge measures the pictures.

After McAteer & Prabhu, *Style Transfer with Binarized Neural Networks* (ACAI 2020), on how the
architectures differ.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm.auto import tqdm

from bnnjax import images
from bnnjax.judge import Features
from bnnjax.judge.pictures import judge_file
from bnnjax.models import registry
from bnnjax.models.network import Network
from bnnjax.models.untrained import untrained
from bnnjax.nst.config import StylizeConfig
from bnnjax.nst.folder import stylize_into
from bnnjax.nst.inputs import pair_up, unused
from bnnjax.nst.result import StylizeResult
from bnnjax.port.load import load_model
from bnnjax.port.storage import atomic
from bnnjax.studies import comparison
from bnnjax.studies.comparison import Outcome

RANDOM = "random:"  # before the name of a network: the same architecture with random weights
RUN = "run.json"  # in the folder of a network, once its pictures are complete
SIDE = 224  # px of the pictures that set the norms of a random network


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all networks of a comparison share.

    Attributes:
      contents, styles: the paths of the photographs and the paintings.
      features: the judge.
      pairing: see `stylize_batch`.
      options: fields of `StylizeConfig`.
      progress: whether to show progress.
    """

    contents: Sequence[str | Path]
    styles: Sequence[str | Path]
    features: Features
    pairing: str
    options: Mapping[str, Any]
    progress: bool

    @property
    def pictures(self) -> dict[str, tuple[Path, Path]]:
        """The photograph and the painting of each picture, by its name."""
        pairs = pair_up(self.contents, self.styles, pairing=self.pairing)
        return {p.name: (Path(self.contents[p.content]), Path(self.styles[p.style])) for p in pairs}


def compare(
    models: Sequence[str],
    contents: Sequence[str | Path],
    styles: Sequence[str | Path],
    directory: str | Path,
    *,
    features: Features,
    pairing: str = "zip",
    overwrite: bool = False,
    progress: bool = True,
    **options: Any,
) -> list[Outcome]:
    """Paints all pairs through each network and judges the pictures.

    The directory gets a folder per network, ``comparison.csv``, ``sheet.png`` and, if matplotlib is
    installed, ``comparison.png``. Another call for the same directory keeps the networks that are
    complete and resumes the one that was interrupted.

    Args:
      models: names or files that `load_model` takes. "random:NAME" is that network's architecture
        with random weights. A network of the registry whose weights cannot be had is noted as such.
      contents, styles: the paths of photographs and paintings.
      directory: the folder to write to; created if missing.
      features: the judge, see `bnnjax.judge`.
      pairing: see `stylize_batch`.
      overwrite: whether to make all pictures again.
      progress: whether to show progress with the time left.
      **options: fields of `StylizeConfig` for all networks; they take precedence over the networks'
        own presets.

    Raises:
      ValueError: an unknown network, option or picture, or the directory has pictures that were
        made with other options.
    """
    StylizeConfig().changed(**options)  # so that bad options and names fail before any work
    for model in models:
        _check(model)
    directory = Path(directory)
    bench = Bench(contents, styles, features, pairing, options, progress)
    outcomes: list[Outcome] = []
    named = [*zip(models, names_of(models), strict=True)]
    for model, name in tqdm(named, "networks", disable=not progress):
        outcomes.append(outcome(model, directory / name, bench, overwrite=overwrite))
        comparison.save(directory, outcomes, bench.pictures)  # up to date after each network
    return outcomes


def names_of(models: Sequence[str]) -> list[str]:
    """A different name for each network, made of the characters that file names may have."""
    names: list[str] = []
    for model in models:
        stem = Path(model).stem.replace(RANDOM, "random_")
        names.append(unused(stem, lambda name: name not in names))
    return names


def outcome(model: str, folder: Path, bench: Bench, *, overwrite: bool = False) -> Outcome:
    """Paints all pairs through one network into a folder, unless they are there, and judges them.

    Raises:
      ValueError: see `compare`.
      KeyboardInterrupt: again, after the best pictures so far were written.
    """
    run = None if overwrite else _kept(folder, bench)
    if run is None:
        network = _load(model, bench)
        if isinstance(network, str):
            return Outcome(folder.name, note=network)
        run = _paint(network, folder, bench, again=overwrite)
    judged = {
        name: judge_file(folder / f"{name}.png", *originals, bench.features)
        for name, originals in bench.pictures.items()
    }
    return Outcome(folder.name, judged, run["costs"], run["note"])


def _check(model: str) -> None:
    """Raises ValueError if a network does not exist; its weights may not be here."""
    name = model.removeprefix(RANDOM)
    if name != model:
        registry.find(name)
    elif name not in registry.REGISTRY:
        load_model(name)


def _load(model: str, bench: Bench) -> Network | str:
    """The network, or why its weights cannot be had."""
    if model.startswith(RANDOM):
        paths = [*bench.contents, *bench.styles]
        batch = [images.pillow_crop_resize(images.load(path), size=SIDE) for path in paths]
        return untrained(registry.find(model.removeprefix(RANDOM)), jnp.asarray(np.stack(batch)))
    try:
        return load_model(model)
    except ValueError as error:
        if model not in registry.REGISTRY:
            raise
        return f"no weights: {error}"


def _paint(network: Network, folder: Path, bench: Bench, *, again: bool) -> dict[str, Any]:
    result, _ = stylize_into(
        folder,
        bench.contents,
        bench.styles,
        model=network,
        pairing=bench.pairing,
        progress=bench.progress,
        overwrite=True,  # incomplete pictures of an interrupted run
        resume=not again,
        **bench.options,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    note = "; ".join(result.problems)
    run = {"given": _plain(bench.options), "costs": costs(result), "note": note}
    atomic.write(folder / RUN, json.dumps({**result.run, **run}).encode())
    return run


def costs(result: StylizeResult) -> dict[str, float]:
    """What the pictures cost.

    Returns:
      ``ms_per_step``: milliseconds per step and picture; ``memory_mib``: XLA's estimate for the
      compiled step of the batch; ``weights_mib``: the weights in use, binary kernels packed.
    """
    steps = sum(len(losses.get("total", ())) for losses in result.losses)
    weights = sum(leaf.nbytes for leaf in jax.tree.leaves(result.network.variables))
    return {
        "ms_per_step": 1000 * result.minimized.seconds["optimize"] / max(steps, 1),
        "memory_mib": result.minimized.estimated_memory / 2**20,
        "weights_mib": weights / 2**20,
    }


def _kept(folder: Path, bench: Bench) -> dict[str, Any] | None:
    """The record of a complete network, or None.

    Raises:
      ValueError: it was made with other options.
    """
    paths = [folder / RUN, *(folder / f"{name}.png" for name in bench.pictures)]
    if not all(path.is_file() for path in paths):
        return None
    run: dict[str, Any] = json.loads(paths[0].read_bytes())
    if run["given"] != _plain(bench.options):
        raise ValueError(
            f"{folder} has pictures with other options ({json.dumps(run['given'])}); choose "
            "another directory, or set overwrite (--overwrite on the command line)"
        )
    return run


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they come back from JSON."""
    found: dict[str, Any] = json.loads(json.dumps(dict(options), default=repr))
    return found
