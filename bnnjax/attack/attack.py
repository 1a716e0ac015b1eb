"""`attack_batch`: takes pictures and a network, returns pictures that the network mistakes."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from bnnjax.attack import checks, portions, style
from bnnjax.attack.config import AttackConfig, AttackOptions
from bnnjax.attack.inputs import Inputs, class_index, classifier, side_of, squares
from bnnjax.attack.result import AttackResult
from bnnjax.models import evaluate
from bnnjax.models.network import Network
from bnnjax.options import names_every
from bnnjax.port.load import load_model


@names_every(AttackConfig, AttackOptions)
def attack_batch(
    images: Any,
    model: str | Path | Network | None = None,
    *,
    labels: Sequence[int] | None = None,
    target: int | str | None = None,
    styles: Any = None,
    style_options: Mapping[str, Any] | None = None,
    transfer: str | Path | Network | None = None,
    class_names: Sequence[str] | None = None,
    config: AttackConfig | None = None,
    progress: bool = True,
    snapshots: str | Path | None = None,
    **options: Unpack[AttackOptions],
) -> AttackResult:
    """Changes pictures within small balls until a network mistakes them, many at once.

    Pictures are rounded to 8 bits before and after the attack, so that a file holds exactly what
    the result reports. Correctly classified pictures are attacked; others count as they are.

    Args:
      images: a path, PIL image or array [H, W, 3] (uint8, or float in [0, 1]), a sequence of these,
        or an array [N, H, W, 3]. A square of the network's size is taken as it is; others are
        cropped and resized as in the evaluation of accuracy.
      model: a `Network` or anything that `load_model` takes; the shipped network by default.
      labels: the correct classes, one per picture; by default what the network sees in it, so that
        the attack succeeds where it changes the decision.
      target: the class, by name or index, to lead all pictures to; by default any but the label.
      styles: paintings, for the attack "style" (see `stylize_batch`).
      style_options: further options of `stylize_batch`, for the attack "style".
      transfer: another network. Pictures made through it are tried on this one, a check against
        gradient masking, and those made through this one are tried on it.
      class_names: in the order of the logits; the network's own by default.
      config: all options; `AttackConfig` by default.
      progress: whether to show a progress bar with the time left.
      snapshots: a folder for finished pictures; after a kill, the same call resumes from there.
      **options: fields of `AttackConfig`, which take precedence over ``config``.

    Returns:
      The result. After Ctrl-C, it has the pictures that were finished, and ``interrupted`` is set.

    Raises:
      ValueError: an unknown option or class, an unreadable picture, or numbers of pictures and
        labels that differ.
    """
    config = (config or AttackConfig()).changed(**options)
    if (config.attack == "style") != (styles is not None):
        raise ValueError("the attack 'style' needs styles, and no other attack takes them")
    network, other = load_model(model), None if transfer is None else load_model(transfer)
    names = tuple(class_names or evaluate.class_names(network))
    index = None if target is None else class_index(target, names)
    side = side_of(network, config.size)
    network = configured(network, config)
    began = time.perf_counter()
    epsilons: tuple[float, ...] = config.epsilon
    if config.attack == "style":
        made = style.style_attack(
            images, styles, network, config, index, side,
            progress=progress, snapshots=snapshots, options=style_options or {},
        )  # fmt: skip
        inputs = _inputs(network, made.names, made.photographs, labels, index, side)
        outcome = portions.Outcome.judged(network, inputs, [made.pictures], side=side)
        epsilons, interrupted = (float("inf"),), made.interrupted
    else:
        inputs = _inputs(network, *squares(images, side=side), labels, index, side)
        outcome, interrupted = portions.run(
            network, inputs, config, progress=progress, snapshots=snapshots
        )
        inputs = inputs.chosen(range(len(outcome.pictures[0])))
    result = AttackResult(
        inputs, outcome, network, config, names, labels is not None, epsilons,
        interrupted=interrupted, seconds=time.perf_counter() - began,
    )  # fmt: skip
    if config.attack != "style" and not interrupted:
        _judge(result, other, progress=progress)
    return result


def _judge(result: AttackResult, other: Network | None, *, progress: bool) -> None:
    """Adds the checks, and what another network makes of the pictures."""
    try:
        if result.config.checks:
            result.checks = checks.run(result, other, progress=progress)
        if other is not None:
            result.transferred = checks.transferred(result, other)
    except KeyboardInterrupt:
        result.interrupted = True


def configured(network: Network, config: AttackConfig) -> Network:
    """The network with the pseudo-gradient and clip of the attack."""
    changes: dict[str, Any] = {}
    if config.pseudo_gradient is not None:
        changes["pseudo_gradient"] = config.pseudo_gradient
    if config.clip is not None:
        changes["clip"] = None if np.isinf(config.clip) else config.clip
    return network.with_options(**changes)


def _inputs(
    network: Network,
    names: list[str],
    pictures: list[np.ndarray],
    labels: Sequence[int] | None,
    target: int | None,
    side: int,
) -> Inputs:
    logits_of = classifier(network, side=side)
    logits = np.stack([logits_of(picture) for picture in pictures])
    found = logits.argmax(1) if labels is None else np.asarray(labels)
    if found.shape != (len(pictures),) or found.dtype.kind not in "iu":
        raise ValueError(f"labels are {labels!r}, need an integer for each of {len(pictures)}")
    if not ((found >= 0) & (found < logits.shape[1])).all():
        raise ValueError(f"labels are not all among {logits.shape[1]} classes")
    targets = found if target is None else np.full(len(pictures), target)
    return Inputs(names, pictures, logits, found, targets, targeted=target is not None)
