"""A run in portions of pictures: what is finished is kept on disk, and a killed run resumes."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm.auto import tqdm

from bnnjax.attack import scaling
from bnnjax.attack.config import AttackConfig
from bnnjax.attack.inputs import Inputs, classifier
from bnnjax.attack.search import Job, search, way
from bnnjax.models.network import Network

PORTION = 32  # pictures: a minute or less on two cores
_NJS_PICTURES = 16  # for the mean of the singular values


class Outcome(NamedTuple):
    """The adversarial pictures of E radii and N inputs.

    Attributes:
      pictures: uint8 [H, W, 3] each, [E][N]; the input itself where it was not attacked.
      logits: theirs, [E, N, num_classes].
      fooled: whether the search succeeded before rounding to 8 bits, bool [E, N].
    """

    pictures: list[list[np.ndarray]]
    logits: np.ndarray
    fooled: np.ndarray

    @classmethod
    def judged(
        cls, network: Network, inputs: Inputs, pictures: list[list[np.ndarray]], *, side: int
    ) -> "Outcome":
        """The outcome for pictures that were made elsewhere."""
        logits_of = classifier(network, side=side)
        logits = np.stack([[logits_of(picture) for picture in row] for row in pictures])
        return cls(pictures, logits, np.stack([succeeded(inputs, row) for row in logits]))


def succeeded(inputs: Inputs, logits: np.ndarray) -> np.ndarray:
    """Which attacked pictures have been led to their target, or away from their label, bool [N].

    Args:
      inputs: N pictures before the attack.
      logits: of these pictures after it, [N, num_classes].
    """
    decisions = logits.argmax(1)
    reached = decisions == inputs.targets if inputs.targeted else decisions != inputs.labels
    return inputs.attackable() & reached


def run(
    network: Network,
    inputs: Inputs,
    config: AttackConfig,
    *,
    progress: bool = True,
    snapshots: str | Path | None = None,
) -> tuple[Outcome, bool]:
    """Attacks all attackable pictures at all radii.

    Returns:
      The outcome for the first portions, and whether Ctrl-C ended the run before the last.

    Raises:
      ValueError: the snapshots belong to another run.
    """
    scales = factors(network, inputs, config)
    folder = None if snapshots is None else Path(snapshots)
    fingerprint = _fingerprint(network, inputs, config)
    starts = range(0, len(inputs.pictures), PORTION)
    steps = way(network, config, method_of(config), targeted=inputs.targeted).steps
    steps *= len(config.epsilon) * config.restarts  # per picture
    finished: list[Outcome] = []
    with tqdm(
        total=steps * int(inputs.attackable().sum()), unit="step", disable=not progress
    ) as bar:
        for start in starts:
            numbers = range(start, min(start + PORTION, len(inputs.pictures)))
            part = inputs.chosen(numbers)
            path = None if folder is None else folder / f"portion{start}.npz"
            outcome = _restored(path, fingerprint)
            if outcome is not None:
                bar.update(steps * int(part.attackable().sum()))
            else:
                outcome = _portion(network, part, scales[numbers], config, start, bar)
                if outcome is None:
                    break
                _store(path, outcome, fingerprint)
            finished.append(outcome)
    return _joined(finished, inputs, config), len(finished) < len(starts)


def method_of(config: AttackConfig) -> Any:
    """The search method of an attack within a ball."""
    return "apgd" if config.attack == "apgd" else "pgd"


def _portion(
    network: Network,
    inputs: Inputs,
    scales: np.ndarray,
    config: AttackConfig,
    start: int,
    bar: Any,
) -> Outcome | None:
    """The outcome of some pictures; None after Ctrl-C."""
    places = [
        (row, number)
        for row in range(len(config.epsilon))
        for number in np.flatnonzero(inputs.attackable()).tolist()
    ]
    jobs = [
        Job(
            inputs.pictures[number], int(inputs.labels[number]), int(inputs.targets[number]),
            config.epsilon[row], float(scales[number]), _seed(config, start + number, row, restart),
        )
        for row, number in places
        for restart in range(config.restarts)
    ]  # fmt: skip
    found = search(network, jobs, config, method_of(config), targeted=inputs.targeted, bar=bar)
    if found is None:
        return None
    logits_of = classifier(network)
    pictures = [list(inputs.pictures) for _ in config.epsilon]
    logits = np.stack([inputs.logits] * len(config.epsilon))
    fooled = np.zeros(logits.shape[:2], bool)
    for place, (row, number) in enumerate(places):
        tries = found[place * config.restarts : (place + 1) * config.restarts]
        answers = [logits_of(each.picture) for each in tries]
        best = int(np.argmin([_lead(answer, inputs, number) for answer in answers]))
        pictures[row][number], logits[row, number] = tries[best].picture, answers[best]
        fooled[row, number] = any(each.fooled for each in tries)
    return Outcome(pictures, logits, fooled)


def _lead(logits: np.ndarray, inputs: Inputs, number: int) -> float:
    """How far a picture is from the goal of its attack; negative once it is reached."""
    index = inputs.targets[number] if inputs.targeted else inputs.labels[number]
    lead = float(logits[index] - np.delete(logits, index).max())
    return -lead if inputs.targeted else lead


def _seed(config: AttackConfig, number: int, row: int, restart: int) -> int:
    """A seed of its own for every search."""
    return int(np.random.SeedSequence([config.seed, number, row, restart]).generate_state(1)[0])


def factors(network: Network, inputs: Inputs, config: AttackConfig) -> np.ndarray:
    """The factor of each picture's logits."""
    scales = np.ones(len(inputs.pictures), np.float32)
    places = np.flatnonzero(inputs.attackable())
    pictures = [inputs.pictures[place].astype(np.float32) / np.float32(255) for place in places]
    if config.scaling == "hns":
        scales[places] = scaling.hns(network, pictures, inputs.labels[places])
    if config.scaling == "njs" and pictures:
        scales[:] = scaling.njs(network, pictures[:_NJS_PICTURES])
    return scales


def _joined(finished: Sequence[Outcome], inputs: Inputs, config: AttackConfig) -> Outcome:
    rows = range(len(config.epsilon))
    pictures = [[p for outcome in finished for p in outcome.pictures[row]] for row in rows]
    if not finished:
        nothing = np.zeros((len(rows), 0, inputs.logits.shape[1]), np.float32)
        return Outcome(pictures, nothing, np.zeros((len(rows), 0), bool))
    logits, fooled = (
        np.concatenate([getattr(outcome, name) for outcome in finished], axis=1)
        for name in ("logits", "fooled")
    )
    return Outcome(pictures, logits, fooled)


# --- snapshots -------------------------------------------------------------------------------


def _fingerprint(network: Network, inputs: Inputs, config: AttackConfig) -> str:
    """The hash of all that the outcome depends on."""
    found = hashlib.sha256(repr((network.architecture, config)).encode())
    arrays = [*inputs.pictures, inputs.labels, inputs.targets, *jax.tree.leaves(network.variables)]
    for array in arrays:
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _store(path: Path | None, outcome: Outcome, fingerprint: str) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            fingerprint=fingerprint,
            pictures=np.stack([np.stack(row) for row in outcome.pictures]),
            logits=outcome.logits,
            fooled=outcome.fooled,
        )
    temporary.replace(path)


def _restored(path: Path | None, fingerprint: str) -> Outcome | None:
    if path is None or not path.exists():
        return None
    with np.load(path) as stored:
        if str(stored["fingerprint"]) != fingerprint:
            raise ValueError(
                f"{path.parent} holds snapshots of another run; resume with the pictures and "
                "options of that run, or choose another folder"
            )
        pictures = [list(row) for row in stored["pictures"]]
        return Outcome(pictures, stored["logits"], stored["fooled"])
