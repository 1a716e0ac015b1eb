"""Activations at random positions of many pictures, kept in files as they are collected."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm.auto import tqdm

from bnnjax import images
from bnnjax.atlas.attribution import measure
from bnnjax.atlas.config import AtlasConfig
from bnnjax.atlas.invert import extent
from bnnjax.models.network import Network
from bnnjax.port.storage import atomic

PART = 512  # pictures per file
BATCH = 16  # pictures per compiled call


class Samples(NamedTuple):
    """N activations at a tap with C channels, of a network with K classes (0 without logits).

    Attributes:
      activations: float32 [N, C].
      attributions: float16 [N, K]; to first order, how much of each logit is due to the activation:
        the derivative of the logits along it (Carter et al. 2019).
      chances: float16 [N, K], the probabilities that the network gives to the whole picture.
      pictures: int32 [N], the indices of the pictures.
      places: float32 [N, 2], the rows and columns as fractions of the picture's central square.
    """

    activations: np.ndarray
    attributions: np.ndarray
    chances: np.ndarray
    pictures: np.ndarray
    places: np.ndarray


def pictures_in(sources: str | Path | Sequence[str | Path]) -> list[Path]:
    """All pictures below a folder in the order of their paths, or the pictures of a sequence.

    Raises:
      ValueError: there are none.
    """
    if isinstance(sources, str | Path):
        folder = Path(sources).expanduser()
        found = [
            path for path in sorted(folder.rglob("*")) if path.suffix.lower() in images.SUFFIXES
        ]
        paths = [path for path in found if not path.name.startswith(".")]
    else:
        paths = [Path(path).expanduser() for path in sources]
    if not paths:
        raise ValueError(f"no pictures in {sources}")
    return paths


def collect(
    network: Network,
    paths: Sequence[Path],
    *,
    tap: str,
    config: AtlasConfig,
    progress: bool = True,
    folder: str | Path | None = None,
) -> tuple[Samples, list[str]]:
    """Activations at ``config.per_picture`` random interior positions of every picture.

    Attributions pass through signs without a clip: STE's clip is zero in most of a deep residual
    stream, and what is left points to no class in particular.

    Args:
      network: any network; without logits there are no attributions.
      paths: the pictures.
      tap: the name of the tap.
      config: ``image_size``, ``per_picture`` and ``seed``.
      progress: whether to show a progress bar with the time left.
      folder: where to keep what has been collected; after a kill, the same call resumes from there.

    Returns:
      The activations, and a line for each picture that cannot be read.

    Raises:
      ValueError: an unknown tap, no readable picture, or the folder holds those of another run.
    """
    network = network.with_options(clip=None)
    job = _Job(network, paths, tap, config, *extent(network, tap, size=config.image_size))
    store = None if folder is None else _open(Path(folder), job)
    parts, problems = [], []
    with tqdm(total=len(paths), unit="picture", disable=not progress) as bar:
        bar.set_description("activations")
        for first in range(0, len(paths), PART):
            file = None if store is None else store / f"part{first:08}.npz"
            numbers = range(first, min(first + PART, len(paths)))
            if file is None or not file.exists():
                part, faults = _part(job, numbers, bar)
                if file is not None:
                    _write(file, part, faults)
            else:
                part, faults = _read(file)
                bar.update(len(numbers))
            parts.append(part)
            problems += faults
    samples = Samples(*map(np.concatenate, zip(*parts, strict=True)))
    if not len(samples.activations):
        raise ValueError(f"none of {len(paths)} pictures can be read; the first: {problems[0]}")
    return samples, problems


class _Job(NamedTuple):
    """What is collected; the last three are the shape of the tap's map."""

    network: Network
    paths: Sequence[Path]
    tap: str
    config: AtlasConfig
    height: int
    width: int
    channels: int


def _part(job: _Job, numbers: range, bar: Any) -> tuple[Samples, list[str]]:
    """The samples of the pictures of these numbers, and a line for each that cannot be read."""
    squares: dict[int, np.ndarray] = {}
    batches, problems = [_none(job)], []
    for number in numbers:
        try:
            picture = images.load(job.paths[number])
            squares[number] = images.square(picture, size=job.config.image_size)
        except ValueError as error:
            problems.append(str(error))
        if len(squares) == BATCH or (squares and number == numbers[-1]):
            batches.append(_batch(job, squares))
            squares = {}
        bar.update(1)
    return Samples(*map(np.concatenate, zip(*batches, strict=True))), problems


def _none(job: _Job) -> Samples:
    """No samples, in arrays of the right shapes."""
    architecture = job.network.architecture
    has_logits = architecture.has_logits(job.config.image_size)
    nothing = np.zeros((0, (architecture.num_classes or 0) if has_logits else 0), np.float16)
    activations = np.zeros((0, job.channels), np.float32)
    return Samples(
        activations, nothing, nothing, np.zeros(0, np.int32), np.zeros((0, 2), np.float32)
    )


def _batch(job: _Job, squares: dict[int, np.ndarray]) -> Samples:
    """The samples of up to `BATCH` squares by the numbers of their pictures."""
    numbers = [*squares, *[max(squares)] * (BATCH - len(squares))]  # one shape compiles once
    places = np.stack([_places(job, number) for number in numbers])
    stacked = np.stack([squares[number] for number in numbers])
    network = job.network
    measured = measure(network.architecture, network.variables, stacked, places, job.tap)
    count = len(squares) * job.config.per_picture
    activations, attributions, chances = (
        np.asarray(array).reshape(len(numbers) * array.shape[1], array.shape[2])[:count]
        for array in measured
    )
    fractions = ((places + 0.5) / (job.height, job.width)).reshape(-1, 2)[:count]
    return Samples(
        activations,
        attributions.astype(np.float16),
        chances.astype(np.float16),
        np.repeat(np.asarray([*squares], np.int32), job.config.per_picture),
        fractions.astype(np.float32),
    )


def _places(job: _Job, number: int) -> np.ndarray:
    """Random positions [P, 2] of picture ``number``, off the border wherever there is an interior.

    They depend on seed and number alone, and not on where a run resumed.
    """
    rows, columns = (
        np.arange(side)[1:-1] if side > 2 else np.arange(side) for side in (job.height, job.width)
    )
    choices = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    rng = np.random.default_rng([job.config.seed, number])
    wanted = job.config.per_picture
    return choices[rng.choice(len(choices), wanted, replace=wanted > len(choices))]


# --- files -------------------------------------------------------------------------------------


def _open(folder: Path, job: _Job) -> Path:
    """The folder, after a check that what it holds belongs to this run."""
    weights = hashlib.sha256()
    for leaf in jax.tree.leaves(job.network.variables):
        weights.update(np.ascontiguousarray(leaf).tobytes())
    pictures = hashlib.sha256(json.dumps([(p.name, _bytes(p)) for p in job.paths]).encode())
    run = {
        "network": f"{job.network.name} {weights.hexdigest()}",
        "pictures": f"{len(job.paths)} {pictures.hexdigest()}",
        "tap": job.tap,
        **{name: getattr(job.config, name) for name in ("image_size", "per_picture", "seed")},
    }
    file = folder / "run.json"
    if not file.exists():
        atomic.write(file, json.dumps(run, indent=1).encode())
    known = json.loads(file.read_text("utf-8"))
    if known != run:
        other = next(name for name in run if known.get(name) != run[name])
        raise ValueError(
            f"{folder} holds the activations of another run (not the same {other}); resume with "
            "the model, pictures and options of that run, or choose another folder"
        )
    return folder


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else -1


def _write(file: Path, part: Samples, problems: list[str]) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, problems=np.array(problems, dtype=np.str_), **part._asdict())
    atomic.write(file, buffer.getvalue())


def _read(file: Path) -> tuple[Samples, list[str]]:
    with np.load(file) as arrays:
        part = Samples(*(arrays[name] for name in Samples._fields))
        return part, arrays["problems"].tolist()
