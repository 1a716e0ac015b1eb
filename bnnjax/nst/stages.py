"""Coarse to fine: a large picture is painted in stages of increasing size.

A stroke is about as large as the network sees, in pixels, whatever the size of the picture. A large
picture therefore begins small, where strokes are large, and every further stage starts from the
enlarged result of the one before and adds finer detail (Gatys et al., *Controlling Perceptual
Factors in Neural Style Transfer*, CVPR 2017, section 6). Most steps are done on few pixels, which
also saves time.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax import optimize
from bnnjax.models.network import Network
from bnnjax.nst import color, windows
from bnnjax.nst.config import LARGEST, PER_TAP, SMALLEST, StylizeConfig
from bnnjax.nst.ensemble import Ensemble
from bnnjax.nst.inputs import Pair, Picture
from bnnjax.nst.regions import Share, confine, union
from bnnjax.nst.transfer import FEW_JITTERS, StyleTransfer, random_jitters

PARAMETRIZATIONS = {
    "pyramid": optimize.pyramid,
    "pixels": optimize.pixels,
    "fourier": optimize.fourier,
}
Finished = Callable[[int, np.ndarray], None]  # a picture's index and pixels [H, W, 3]
FIRST = 224  # px, where pictures with strokes of ordinary size begin
GROWTH = 2.3  # approximate ratio of the sizes of successive stages
SHARES = (0.4, 0.25, 0.2)  # of the steps, in the first, second and further stages


class Stage(NamedTuple):
    """One stage: the shorter sides of picture and painting, the number of steps, and the divisors
    of the sizes at which the networks look at the picture (see `StyleTransfer`)."""

    size: int
    style_size: int
    steps: int
    shrinks: tuple[int, ...] = (1,)


def stages(config: StylizeConfig) -> list[Stage]:
    """The stages of a stylization, from coarse to fine; the last has the picture's own size."""
    first = min(max(round(FIRST / config.stroke_size), SMALLEST), config.size)
    count = math.ceil(math.log(config.size / first, GROWTH) - 0.25)
    found = []
    for number in range(count + 1):
        scale = (first / config.size) ** (1 - number / count) if count else 1.0
        size, style_size = (
            round(scale * side) for side in (config.size, config.style_size or config.size)
        )
        # The layout is decided on few pixels, where steps are cheap; finer stages add detail.
        steps = config.steps if not count else math.ceil(SHARES[min(number, 2)] * config.steps)
        # Looks at scales in between would add little but compilation.
        octaves = max(math.floor(math.log2(size / first) + 0.25), 0)
        found.append(Stage(size, style_size, steps, (1, 2**octaves) if octaves else (1,)))
    return found


def whole_stride(config: StylizeConfig, stride: int) -> int:
    """The sides of a canvas are multiples of it, so that all looks at it suit the network."""
    return stride * max(stages(config)[-1].shrinks)


@dataclasses.dataclass(frozen=True)
class Canvas:
    """What is to be painted: pairs of photographs and paintings, at full size or at a stage's.

    Attributes:
      pairs, photographs, paintings: see `Stylization`.
      stride: of the network; sides are multiples of it.
      config: the options of the run.
    """

    pairs: Sequence[Pair]
    photographs: Sequence[Picture]
    paintings: Sequence[Picture]
    stride: int
    config: StylizeConfig

    def at(self, stage: Stage) -> "Canvas":
        """The same pictures at the sizes of a stage."""
        stride, tile = self.stride * max(stage.shrinks), self.config.tile
        photographs = [p.resized(stage.size, stride, tile=tile) for p in self.photographs]
        paintings = [p.resized(stage.style_size, stride) for p in self.paintings]
        return dataclasses.replace(self, photographs=photographs, paintings=paintings)

    def pair(self, number: int) -> tuple[Picture, Picture]:
        """The photograph and the painting of a pair, which may have the photograph's colours."""
        pair = self.pairs[number]
        photograph, painting = self.photographs[pair.content], self.paintings[pair.style]
        if self.config.colors == "photograph":
            with jax.ensure_compile_time_eval():  # not a part of the measurement's program
                first, *others = (
                    p._replace(pixels=np.asarray(color.match(p.pixels, photograph.cropped)))
                    for p in painting.paintings
                )
            painting = first._replace(others=tuple(others))
        return photograph, painting

    @property
    def large(self) -> bool:
        """Whether a photograph is too large to be seen at once."""
        areas = (height * width for height, width, _ in (p.pixels.shape for p in self.photographs))
        return max(areas) > windows.MOST

    def shares(self, number: int) -> tuple[Share, ...]:
        """The paintings of a pair, if there are several or one has a mask."""
        paintings = self.pair(number)[1].paintings
        if len(paintings) == 1 and not paintings[0].masks:
            return ()
        weights = self.config.style_blend or (1.0,) * len(paintings)
        masks = [jnp.asarray(p.masks[0].grey) if p.masks else None for p in paintings]
        pixels = [jnp.asarray(p.pixels) for p in paintings]
        return tuple(map(Share, pixels, weights, masks))

    def regions(self, number: int) -> tuple[Array, ...]:
        """Where the photograph of a pair is painted; none for everywhere."""
        photograph = self.photographs[self.pairs[number].content]
        return tuple(jnp.asarray(mask.grey) for mask in photograph.masks)

    def shown(self, number: int, picture: np.ndarray) -> np.ndarray:
        """A picture as the user sees it: confined to its regions, with the chosen colours."""
        photograph = jnp.asarray(self.photographs[self.pairs[number].content].pixels)
        if self.config.colors == "photograph":
            picture = np.asarray(color.with_chroma(jnp.asarray(picture), photograph))
        if regions := self.regions(number):
            picture = np.asarray(confine(jnp.asarray(picture), photograph, union(regions)))
        return picture

    def enlarged(self, pictures: Sequence[np.ndarray], smaller: "Canvas") -> list[np.ndarray]:
        """The pictures of a smaller canvas, enlarged to this one."""
        pairs = (pair.content for pair in self.pairs)
        return [
            self.photographs[n].place(smaller.photographs[n].crop(picture))
            for n, picture in zip(pairs, pictures, strict=True)
        ]


def paint(
    objective: StyleTransfer,
    network: Network | Ensemble,
    canvas: Canvas,
    config: StylizeConfig,
    weights: Mapping[str, np.ndarray],
    *,
    progress: bool = True,
    preview: Any = None,
    finished: Finished | None = None,
    skip: Collection[int] = (),
    snapshots: Path | None = None,
    plan: Sequence[Stage] | None = None,
    known: Mapping[str, Any] | None = None,
) -> optimize.Minimized:
    """Paints the pictures in stages; the result is on the full canvas.

    Args:
      objective, network, config, weights: of the stylization, see `stylize_batch`.
      canvas: the pairs at full size.
      progress, preview, snapshots: see `stylize_batch`.
      finished: called with each picture once it is finished.
      skip: the indices of pictures that are not painted, see `optimize.minimize`.
      plan: the stages, which end at the full size; those of `stages` by default.
      known: see `StyleTransfer.measure`; the same for all pictures and stages.
    """
    jitter_key, step_key, noise_key = jax.random.split(jax.random.key(config.seed), 3)
    # A picture that is to tile has no edges, so that it may be rolled by any number of pixels.
    jitters = random_jitters(jitter_key, reach=LARGEST if config.tile else config.jitter)
    variables = network.laid_out()
    # Near the photograph there is little to change, and large steps would only add noise to it.
    rate = weights["learning_rate"] * np.sqrt(np.minimum(weights["strength"], 1))
    plan = stages(config) if plan is None else plan

    def minimize(
        stage: Stage, here: Canvas, first: Sequence[np.ndarray], **how: Any
    ) -> optimize.Minimized:
        loss = _loss(objective, stage, here)

        def data(n: int) -> Any:
            content, style = here.pair(n)
            shares, regions = here.shares(n), here.regions(n)
            few = jitters[:FEW_JITTERS] if loss.divides(content.pixels.shape) else jitters
            pictures = content.pixels, style.pixels
            return loss.measure(network.variables, *pictures, few, shares, regions, known)

        return optimize.minimize(
            loss,
            variables,
            first,
            data,
            _repeated(weights, len(stage.shrinks)),
            parametrization=_parametrization(config),
            optimizer=config.optimizer,
            learning_rate=rate,
            steps=stage.steps,
            key=step_key,
            progress=progress,
            skip=skip,
            **how,
        )

    if len(plan) > 1 and canvas.large:
        # What the smaller stages paint would be lost if the last one did not fit into memory.
        like = [canvas.photographs[pair.content].pixels for pair in canvas.pairs]
        minimize(plan[-1], canvas, like, rehearse=True)
    previous: tuple[Canvas, list[np.ndarray]] | None = None
    parts: list[optimize.Minimized] = []
    for number, stage in enumerate(plan):
        here = canvas if stage is plan[-1] else canvas.at(stage)
        first = (
            [
                initial(*here.pair(n), config.of_picture(n), noise_key)
                for n in range(len(here.pairs))
            ]
            if previous is None
            else here.enlarged(previous[1], previous[0])
        )
        if here.large:
            measure: Any = StyleTransfer.measure
            measure.clear_cache()  # the programs of smaller stages fill a GiB
        found = minimize(
            stage,
            here,
            first,
            watch=_watcher(here, preview, finished if here is canvas else None),
            snapshots=None if snapshots is None else snapshots / f"stage{number}",
        )
        parts.append(found)
        previous = here, found.pictures
        if found.interrupted:
            break
    if here is not canvas:
        parts[-1].pictures = canvas.enlarged(parts[-1].pictures, here)
    parts[-1].pictures = [canvas.shown(*item) for item in enumerate(parts[-1].pictures)]
    return _joined(parts)


def _loss(objective: StyleTransfer, stage: Stage, canvas: Canvas) -> StyleTransfer:
    """The loss of a stage."""
    whole = objective.in_windows() if canvas.large else objective
    return whole.looking(stage.shrinks)


def _repeated(weights: Mapping[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """The weights with those of the taps repeated for every look at the picture."""
    return {n: np.tile(w, count) if n in PER_TAP else w for n, w in weights.items()}


def _parametrization(config: StylizeConfig) -> optimize.Parametrization:
    if config.parametrization == "pyramid":
        return optimize.pyramid(around=config.tile)
    return PARAMETRIZATIONS[config.parametrization]()


def _watcher(canvas: Canvas, preview: Any, finished: Finished | None) -> Any:
    def show(update: optimize.Update) -> None:
        names = [canvas.pairs[member].name for member in update.members]
        photographs = [canvas.pair(member)[0] for member in update.members]
        shown = map(canvas.shown, update.members, update.pictures)
        cropped = [p.crop(image) for p, image in zip(photographs, shown, strict=True)]
        if finished is not None and update.finished:
            for member, picture in zip(update.members, cropped, strict=True):
                finished(member, picture)
        if preview is not None:
            preview(update.steps, names, cropped)

    return show


def _joined(parts: Sequence[optimize.Minimized]) -> optimize.Minimized:
    """The results of all stages as one: the last pictures, and the histories in a row."""
    if len(parts) == 1:
        return parts[0]
    last = parts[-1]
    history = []
    for rows in zip(*(part.history for part in parts), strict=True):
        names = max(rows, key=len)
        history.append({name: np.concatenate([r[name] for r in rows if r]) for name in names})
    diverged: dict[int, int] = {}
    for number, part in enumerate(parts):
        for member, step in part.diverged.items():
            before = sum(len(p.history[member].get("total", ())) for p in parts[:number])
            diverged.setdefault(member, before + step)
    seconds = {name: sum(part.seconds[name] for part in parts) for name in last.seconds}
    memory = max(part.estimated_memory for part in parts)
    return optimize.Minimized(last.pictures, history, diverged, last.interrupted, memory, seconds)


def initial(content: Picture, style: Picture, config: StylizeConfig, key: Array) -> np.ndarray:
    """The picture that the optimisation starts from, on the photograph's canvas: [H, W, 3]."""
    if content.start is not None:
        return content.place(content.start.cropped)
    if config.init == "content":
        return content.pixels
    if config.init == "matched":
        matched = [np.asarray(color.match(content.pixels, p.pixels)) for p in style.paintings]
        recoloured = np.average(matched, axis=0, weights=config.style_blend).astype(np.float32)
        strength = np.clip(np.asarray(config.strength, np.float32), 0, 1)
        return (1 - strength) * content.pixels + strength * recoloured
    if config.init == "grey":
        return np.full_like(content.pixels, 0.5)
    # The noise is faint: at full contrast the first responses are hundreds of times those of any
    # painting, where the pseudo-gradients are zero and offer no way back.
    return np.asarray(jax.random.uniform(key, content.pixels.shape, jnp.float32, 0.45, 0.55))
