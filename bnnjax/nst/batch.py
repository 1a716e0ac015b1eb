"""Groups of pictures that one compiled step takes together, and the host's loop over them."""

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from bnnjax.models.network import Variables
from bnnjax.nst import color, optimize
from bnnjax.nst import objective as objectives
from bnnjax.nst.config import LossWeights, StylizeConfig
from bnnjax.nst.inputs import Canvas, Pair
from bnnjax.nst.objective import Objective, Targets

_SHIFTS = 32  # different shifts a run: enough to average the strides' grid out, few to store


class Randomness(NamedTuple):
    """What is random, the same for all pictures, so that none depends on its batch mates."""

    shifts: Array
    steps: Array
    noise: Array

    @classmethod
    def from_config(cls, config: StylizeConfig) -> "Randomness":
        """Of a seed."""
        shifts, steps, noise = jax.random.split(jax.random.key(config.seed), 3)
        count = _SHIFTS if config.shift else 1
        return cls(objectives.random_shifts(shifts, count=count, reach=config.shift), steps, noise)


class Progress(NamedTuple):
    """A sign of life: steps of single pictures made since the last one, the steps that the group
    has behind it, and whether all groups have."""

    picture_steps: int
    steps: int
    whole_turn: bool


@dataclasses.dataclass
class Group:
    """Pictures under way; every array but those of ``targets`` has a leading axis a picture.

    ``members`` are the numbers of their pairs; a group that was filled up to a compiled size has
    more pictures than members.
    """

    members: tuple[int, ...]
    state: optimize.State
    targets: tuple[Targets, ...]  # shared with other pictures of the same photograph
    weights: LossWeights
    best: Array  # pictures [G, H, W, 3], of the lowest loss so far
    diverged: np.ndarray  # [G] bool: whose loss or picture is no longer finite
    history: list[dict[str, np.ndarray]] = dataclasses.field(default_factory=list)

    def advance(
        self,
        objective: Objective,
        variables: Variables,
        randomness: Randomness,
        steps: optimize.Steps,
    ) -> None:
        """Makes a chunk of steps and keeps the best pictures so far."""
        self.state, terms = optimize.run_chunk(
            objective,
            variables,
            self.state,
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *self.targets),
            self.weights,
            randomness.shifts,
            randomness.steps,
            steps,
        )
        host = {name: np.asarray(value)[: int(steps.number)] for name, value in terms.items()}
        self.history.append(host)
        self.best = optimize.pictures_of(objective, self.state.best)
        pictures = optimize.pictures_of(objective, self.state.z)
        finite = np.asarray(jnp.isfinite(pictures).all(axis=(1, 2, 3)))
        self.diverged = ~(finite & np.isfinite(host["total"]).all(axis=0))

    def release(self) -> None:
        """Lets go of all but the best pictures and the losses; no more steps after this."""
        del self.state, self.targets, self.weights

    def losses(self, place: int) -> dict[str, np.ndarray]:
        """Every term by name, [steps made], of the picture at this place."""
        names = self.history[0] if self.history else ()
        return {name: np.concatenate([h[name][:, place] for h in self.history]) for name in names}


def make_groups(
    objective: Objective,
    variables: Variables,
    pairs: Sequence[Pair],
    contents: Sequence[Canvas],
    styles: Sequence[Canvas],
    weights: LossWeights,
    config: StylizeConfig,
    randomness: Randomness,
    group_sizes: Mapping[tuple[int, ...], int],
) -> list[Group]:
    """Pairs whose canvases have one shape together, in groups of the size given for the shape."""
    measured = _measure(objective, variables, contents, styles, randomness)
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, pair in enumerate(pairs):
        by_shape.setdefault(contents[pair.content].pixels.shape, []).append(index)
    groups = []
    for shape, members in by_shape.items():
        size = group_sizes[shape]
        for first in range(0, len(members), size):
            chosen = members[first : first + size]
            filled = (chosen + [chosen[-1]] * size)[:size]  # filled up rather than compiled anew
            start = [_first_picture(pairs[i], contents, styles, config, randomness) for i in filled]
            state = optimize.start(objective, jnp.stack(start))
            groups.append(
                Group(
                    members=tuple(chosen),
                    state=state,
                    targets=tuple(measured(pairs[i]) for i in filled),
                    weights=jax.tree.map(lambda leaf, at=filled: jnp.asarray(leaf[at]), weights),
                    best=optimize.pictures_of(objective, state.z),
                    diverged=np.zeros(size, bool),
                )
            )
    return groups


def _measure(
    objective: Objective,
    variables: Variables,
    contents: Sequence[Canvas],
    styles: Sequence[Canvas],
    randomness: Randomness,
) -> Any:
    """A function pair → `Targets`; every photograph and painting is looked at once."""
    style = [_style_targets(objective, variables, canvas.pixels) for canvas in styles]
    content = [
        _content_targets(objective, variables, canvas.pixels, randomness.shifts)
        for canvas in contents
    ]
    return lambda pair: Targets(style[pair.style][0], style[pair.style][1], content[pair.content])


_style_targets = jax.jit(objectives.style_targets, static_argnums=0)
_content_targets = jax.jit(objectives.content_targets, static_argnums=0)


def _first_picture(
    pair: Pair,
    contents: Sequence[Canvas],
    styles: Sequence[Canvas],
    config: StylizeConfig,
    randomness: Randomness,
) -> Array:
    content, style = contents[pair.content].pixels, styles[pair.style].pixels
    if config.init == "content":
        return jnp.asarray(content)
    if config.init == "matched":
        return color.match(jnp.asarray(content), jnp.asarray(style))
    return jax.random.uniform(randomness.noise, content.shape)


def run(
    groups: Sequence[Group],
    objective: Objective,
    variables: Variables,
    randomness: Randomness,
    *,
    total: int,
) -> Iterator[Progress]:
    """Makes ``total`` steps with every group, in turns; yields after every group's turn.

    Turns are lengthened and shortened to about a second, the time between two signs of life. A
    group all of whose pictures have diverged is left alone.
    """
    done, count = 0, 1  # the first turn compiles: a single step shows soon that all is well
    while done < total:
        count = min(count, total - done)
        spent = []
        for group in groups:
            began = time.perf_counter()
            if not group.diverged.all():
                steps = optimize.Steps(done, count, total)
                group.advance(objective, variables, randomness, steps)
            spent.append(time.perf_counter() - began)
            whole_turn = len(spent) == len(groups)
            yield Progress(count * len(group.members), done + count, whole_turn)
        done += count
        count = _next_count(count, spent=float(np.median(spent)))


def _next_count(count: int, *, spent: float) -> int:
    """Steps of the next turn, after one of so many that took a group so many seconds."""
    if spent < 0.7:
        return min(2 * count, optimize.CHUNK)
    return count if spent < 2 else max(count // 2, 1)
