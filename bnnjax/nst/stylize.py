"""`stylize_batch`: photographs and paintings in, stylized pictures out."""

import difflib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from bnnjax.models.network import Network
from bnnjax.nst import batch, memory, optimize
from bnnjax.nst.config import PRESETS, StylizeConfig, split_choices
from bnnjax.nst.inputs import Canvas, Pair, as_list, as_pictures, make_pairs, put_on_canvas
from bnnjax.nst.objective import Objective
from bnnjax.nst.result import StylizeResult
from bnnjax.port.load import load_model

Preview = Callable[[int, list[str], list[np.ndarray]], None]


def stylize_batch(
    contents: Any,
    styles: Any,
    *,
    model: str | Network | None = None,
    weights: str | Path | None = None,
    preprocessing: str | None = None,
    pairing: str = "zip",
    preset: str | None = None,
    progress: bool = True,
    preview: Preview | None = None,
    **choices: Any,
) -> StylizeResult:
    """Paints photographs in the manner of paintings, many at once.

    Args:
      contents: photographs: a path, PIL image or array (uint8, or float in [0, 1]; [H, W, 3]), a
        sequence of such, or an array [N, H, W, 3].
      styles: paintings, likewise.
      model: a network's name, or a `Network` from `load_model`; the one that ships with the package
        if neither it nor ``weights`` is given.
      weights: directory of a checkpoint, or a ``.tflite`` file, in place of ``model``.
      preprocessing: what pictures a ``.tflite`` file takes, see `load_model`.
      pairing: "zip" (the first with the first; a single one goes with all) or "product".
      preset: a bundle of choices, which single ones go before: "default", "preview" for a picture
        in a second or two, or a network's name; None for the network's own (`PRESETS`).
      progress: whether to show a progress bar with the time left.
      preview: called every few steps with the steps made, the names and the best pictures so far
        [H, W, 3]; it costs a copy of the pictures and what it does itself.
      **choices: any field of `StylizeConfig` or `LossWeights`; of the latter also a sequence, to
        give each picture its own.

    Returns:
      The pictures and what was done. After Ctrl-C: the best pictures so far, ``interrupted`` set.

    Raises:
      ValueError: an unknown choice, an unreadable picture, or numbers of pictures that do not fit.
    """
    began = time.perf_counter()
    split_choices(choices, preset=preset)  # so that what is wrong is told before anything is loaded
    photographs = as_pictures(as_list(contents, kind="content"), kind="content")
    paintings = as_pictures(as_list(styles, kind="style"), kind="style")
    pairs = make_pairs([p.name for p in photographs], [p.name for p in paintings], pairing=pairing)
    network = _network(model, weights, preprocessing)
    own = network.entry.name if network.entry.name in PRESETS else None
    config, loss_weights = split_choices(choices, preset=preset or own)
    network = configured(network, config)
    objective = make_objective(network, config)
    traced = loss_weights.for_pictures(len(pairs), taps=len(objective.style_taps))

    stride, style_size = network.entry.sizes.stride, config.style_size or config.size
    canvases = [put_on_canvas(p.pixels, size=config.size, stride=stride) for p in photographs]
    style_canvases = [put_on_canvas(p.pixels, size=style_size, stride=stride) for p in paintings]
    randomness = batch.Randomness.from_config(config)
    with tqdm(total=config.steps * len(pairs), unit="step", disable=not progress) as bar:
        bar.set_description("compiling")
        group_sizes, estimated = plan_memory(objective, network, canvases, pairs, randomness)
        bar.set_description(f"{estimated / 2**30:.1f} GiB")
        groups = batch.make_groups(
            objective,
            network.variables,
            pairs,
            canvases,
            style_canvases,
            traced,
            config,
            randomness,
            group_sizes,
        )
        prepared = time.perf_counter()
        result = StylizeResult(
            pairs,
            groups,
            photographs,
            paintings,
            canvases,
            network,
            config,
            loss_weights,
            estimated,
        )
        turns = batch.run(groups, objective, network.variables, randomness, total=config.steps)
        try:
            for made in turns:
                bar.update(made.picture_steps)
                if preview is not None and made.whole_turn:
                    preview(made.steps, result.names, result.images)
        except KeyboardInterrupt:
            result.interrupted = True
    for group in groups:
        group.release()
    result.seconds = {"prepare": prepared - began, "optimize": time.perf_counter() - prepared}
    return result


def plan_memory(
    objective: Objective,
    network: Network,
    canvases: Sequence[Canvas],
    pairs: Sequence[Pair],
    randomness: batch.Randomness,
) -> tuple[dict[tuple[int, ...], int], int]:
    """Pictures that a step takes together, by the shape of their canvas, and the bytes of the run.

    Raises:
      ValueError: more than the device has free.
    """
    sizes: dict[tuple[int, ...], int] = {}
    largest = waiting = 0
    for shape in dict.fromkeys(canvas.pixels.shape for canvas in canvases):
        found = memory.estimate(
            objective, network.variables, shape[:2], shifts=len(randomness.shifts)
        )
        contents = {i for i, canvas in enumerate(canvases) if canvas.pixels.shape == shape}
        pictures = sum(pair.content in contents for pair in pairs)
        sizes[shape] = min(found.group, pictures)
        largest = max(largest, found.step)
        waiting += pictures * found.picture + len(contents) * found.content
    free = memory.available()
    if free is not None and largest + waiting > free:
        raise ValueError(
            f"{len(pairs)} pictures of this size need about {(largest + waiting) / 2**30:.1f} GiB "
            f"of memory, {free / 2**30:.1f} are free; fewer at a time or a smaller size need less"
        )
    return sizes, largest + waiting


def _network(
    model: str | Network | None, weights: str | Path | None, preprocessing: str | None
) -> Network:
    if isinstance(model, Network):
        if weights is not None:
            raise ValueError("both a loaded network and weights were given; give one of them")
        if preprocessing is not None:
            raise ValueError("a loaded network has its preprocessing; give it to load_model")
        return model
    network = load_model(model if weights is None else weights, preprocessing=preprocessing)
    if weights is not None and model not in (None, network.entry.name):
        raise ValueError(f"{weights} holds {network.entry.name}, not {model}")
    return network


def configured(network: Network, config: StylizeConfig) -> Network:
    """The network computing as the config says."""
    pseudo_gradient = config.pseudo_gradient or network.architecture.options.pseudo_gradient
    clip = None if np.isinf(config.clip) else config.clip
    return network.with_options(pooling=config.pooling, pseudo_gradient=pseudo_gradient, clip=clip)


def make_objective(network: Network, config: StylizeConfig) -> Objective:
    """What is minimised; at the network's own taps where the config names none.

    Raises:
      ValueError: a tap that the network does not have (the nearest is suggested), an optimiser
        that optax does not have.
    """
    entry = network.entry
    style = entry.style.style_taps if config.style_taps is None else config.style_taps
    content = entry.style.content_taps if config.content_taps is None else config.content_taps
    for name in (*style, *content):
        if name not in network.taps:
            near = difflib.get_close_matches(name, network.taps, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            taps = ", ".join(network.taps)
            raise ValueError(f"{entry.name} has no tap {name!r}{hint} There are: {taps}")
    optimize.check_optimizer(config.optimizer)
    return Objective(
        architecture=network.architecture,
        style_taps=tuple(style),
        content_taps=tuple(content),
        statistics=config.statistics,
        tv=config.tv,
        parametrization=config.parametrization,
        optimizer=config.optimizer,
    )
