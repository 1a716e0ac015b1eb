"""What else could measure style: other statistics, and single taps of other networks.

    python benchmarks/style_terms.py --contents_dir=PHOTOS --styles_dir=PAINTINGS \\
        --judges=vgg19.npz,efficientnet_lite0.pth --taps=my_bmxnet:section2_block1_norm

Every row makes all pairs with one term or one tap beside InkNet's own, at every content weight, so
that rows can be compared where content is equal. Existing pictures in ``--output_dir`` are kept.

| row | term |
|---|---|
| shifted | covariances of a map with itself 2 and 4 positions away (Berger and Memisevic 2017) |
| nearest | cosine distance of centred features to the painting's nearest (relaxed EMD, STROTSS) |
| sliced | sliced Wasserstein distance (Heitz et al., CVPR 2021) along 32 fixed directions |
| normalized | the style term itself, every channel divided by the painting's deviation |
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import judging
import numpy as np
from absl import flags
from jax import Array

from bnnjax import cli
from bnnjax.nst.ensemble import load_models
from bnnjax.nst.statistics import mean_covariance
from bnnjax.nst.terms import Scene, Seen, Taps, Term, relative

FLAGS = flags.FLAGS
flags.DEFINE_string("contents_dir", None, "folder of the photographs", required=True)
flags.DEFINE_string("styles_dir", None, "folder of the paintings", required=True)
flags.DEFINE_list("judges", None, "weights: VGG-19 .npz, EfficientNet .pth", required=True)
flags.DEFINE_list("terms", ["shifted", "nearest", "sliced", "normalized"], "which terms to try")
flags.DEFINE_list("taps", [], "MODEL:TAP of other networks, each in a row of its own")
flags.DEFINE_string("output_dir", "style_terms", "folder for the pictures")
flags.DEFINE_list(
    "pairs",
    "architecture__starry_night,lion__kandinsky_composition_vii,portrait__munch_the_scream",
    "CONTENT__STYLE stems",
)
flags.DEFINE_list("content_weights", ["0.3", "0.9"], "weights of content")
flags.DEFINE_integer("size", 160, "side of the squares, in pixels")
flags.DEFINE_integer("steps", 100, "steps of each picture")
cli.define_json()
TAPS = ("stem_conv", "stem", "section1", "section2", "section3")  # InkNet's for style
DIRECTIONS, SAMPLES = 32, 1024


class Compared(Term):
    """A term that compares `measured` taps of picture and painting, averaged over the taps."""

    def measured(self, tap: Array) -> Array:
        """What is compared, of a map [h, w, C]."""
        raise NotImplementedError

    def target(self, scene: Scene) -> dict[str, Array]:
        taps = scene.look(scene.painting)
        return {tap: self.measured(taps[tap]) for tap in self.taps}

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        each = [distance(self.measured(seen.taps[tap]), target[tap]) for tap in self.taps]
        return jnp.stack(each).mean()


@dataclasses.dataclass(frozen=True)
class Shifted(Compared):
    """Covariances of a map with itself, shifted along either axis."""

    name: ClassVar[str] = "shifted"

    def measured(self, tap: Array) -> Array:
        centred = tap - tap.mean((0, 1))
        found = []
        for offset in (2, 4):
            for here, there in (
                (centred[:-offset], centred[offset:]),
                (centred[:, :-offset], centred[:, offset:]),
            ):
                found.append(jnp.einsum("hwc,hwd->cd", here, there) / (here.size / here.shape[-1]))
        return jnp.stack(found)


@dataclasses.dataclass(frozen=True)
class Sliced(Compared):
    """Sorted projections; a large map is sampled at fixed random positions."""

    name: ClassVar[str] = "sliced"

    def measured(self, tap: Array) -> Array:
        flat = tap.reshape(-1, tap.shape[-1])
        if flat.shape[0] > SAMPLES:
            flat = flat[np.random.default_rng(0).choice(flat.shape[0], SAMPLES, replace=False)]
        directions = jax.random.normal(jax.random.key(0), (flat.shape[1], DIRECTIONS))
        return jnp.sort(flat @ (directions / jnp.linalg.norm(directions, axis=0)), axis=0)


@dataclasses.dataclass(frozen=True)
class Nearest(Term):
    """The greater of the mean distances to the nearest feature, from picture and from painting."""

    name: ClassVar[str] = "nearest"

    def target(self, scene: Scene) -> tuple[Array, Array]:
        features = self._together(scene.look(scene.painting))
        return features, features.mean(0)

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        painting, mean = target
        ours, theirs = (_unit(x - mean) for x in (self._together(seen.taps), painting))
        apart = 1 - ours @ theirs.T
        return jnp.maximum(apart.min(0).mean(), apart.min(1).mean())

    def _together(self, taps: Taps) -> Array:
        """The taps, averaged to the size of the last, side by side: [positions, channels]."""
        height, width, _ = taps[self.taps[-1]].shape
        found = []
        for tap in self.taps:
            cells = taps[tap].reshape(
                height, taps[tap].shape[0] // height, width, -1, taps[tap].shape[-1]
            )
            found.append(cells.mean((1, 3)).reshape(height * width, -1))
        return jnp.concatenate(found, axis=1)


@dataclasses.dataclass(frozen=True)
class Normalized(Term):
    """Mean and covariance after every channel is divided by its deviation in the painting."""

    name: ClassVar[str] = "normalized"

    def target(self, scene: Scene) -> dict[str, Any]:
        taps, found = scene.look(scene.painting), {}
        for tap in self.taps:
            _, covariance = mean_covariance(taps[tap])
            variances = jnp.diag(covariance)
            scale = 1 / jnp.sqrt(variances + 0.05 * variances.mean())
            found[tap] = scale, mean_covariance(taps[tap] * scale)
        return found

    def loss(self, seen: Seen, target: Any, weights: Mapping[str, Array]) -> Array:
        each = []
        for tap in self.taps:
            scale, goal = target[tap]
            found = mean_covariance(seen.taps[tap] * scale)
            each += [distance(x, y) for x, y in zip(found, goal, strict=True)]
        return jnp.stack(each).mean()


# Name → options of `stylize_batch`; one weight of each was tried.
TERMS: dict[str, dict[str, Any]] = {
    "shifted": {"extra_terms": {Shifted(taps=TAPS[:3]): 3.0}},
    "nearest": {"extra_terms": {Nearest(taps=TAPS[1:4]): 3.0}},
    "sliced": {"extra_terms": {Sliced(taps=TAPS): 6.0}},
    "normalized": {"extra_terms": {Normalized(taps=TAPS): 6.0}, "style_weight": 0.0},
}


def main() -> int:
    pairs = [tuple(name.split("__", 1)) for name in FLAGS.pairs]
    contents = {c: judging.square(FLAGS.contents_dir, c, size=FLAGS.size) for c, _ in pairs}
    styles = {s: judging.square(FLAGS.styles_dir, s, size=FLAGS.size) for _, s in pairs}
    judges = {Path(path).name: judging.judge_of(path) for path in FLAGS.judges}
    table = {}
    for name, options in {"inknet": {}, **recipes()}.items():
        for weight in FLAGS.content_weights:
            folder = Path(FLAGS.output_dir, f"{name}_{weight}")
            choices = {"model": "inknet", "steps": FLAGS.steps, **options}
            pictures = judging.make(
                folder, FLAGS.pairs, contents, styles, content_weight=float(weight), **choices
            )
            table[folder.name] = judging.judged(judges, FLAGS.pairs, pictures, contents, styles)
    for judge in judges:
        rows = [[name, *(f"{v:.3f}" for v in row[judge].values())] for name, row in table.items()]
        cli.print_table([[judge, "style", "strokes", "content", "checker"], *rows])
    cli.print_json(table)
    return 0


def recipes() -> dict[str, dict[str, Any]]:
    """The rows of the flags."""
    found = {name: TERMS[name] for name in FLAGS.terms}
    own = tuple(f"inknet:{tap}" for tap in TAPS)
    for text in FLAGS.taps:
        model, _, tap = text.rpartition(":")
        if not model:
            raise ValueError(f"taps has {text!r}, needs MODEL:TAP")
        both = load_models(["inknet", model])
        name = both.networks[1].name
        taps = {"style_taps": (*own, f"{name}:{tap}"), "content_taps": ("inknet:section3",)}
        found[f"{name}_{tap}"] = {"model": both, **taps}
    return found


def distance(found: Array, target: Array) -> Array:
    """√`relative`, with a finite gradient at 0."""
    return jnp.sqrt(relative(found, target) + 1e-4)


def _unit(x: Array) -> Array:
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-6)


if __name__ == "__main__":
    cli.run(main)
